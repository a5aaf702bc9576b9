"""Docker inside of Nova instances, mode `routed`, by packets: i1 and i3 share a subnet, i2 is behind the router."""

import re
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from fairlead.lab import Lab
from fairlead.lab.flannel import Daemon
from fairlead.lab.spec import FABRIC_ADDRESS
from tests.e2e.docker import Docker, Running, eventually, tcp_works, udp_arrives
from tests.e2e.instance import Instance
from tests.e2e.metrics import rpc_calls

pytestmark = pytest.mark.real

PYTHON = Path(sys.executable)
WEB, WEB6 = "10.60.0.0/16", "fd00:60::/64"
DB, DB6 = "10.61.0.0/24", "fd00:61::/64"
IP_HEADER = {4: 20, 6: 40}
UDP_HEADER = 8


class Node:
    """An instance with an agent, and Docker on it."""

    def __init__(self, instance: Instance, logs: Path) -> None:
        self.instance = instance
        self.docker = Docker(instance.host)
        self.agent = Daemon(
            instance.host,
            (str(PYTHON), "-m", "fairlead", "agent"),
            logs / f"{instance.host.name}-routed.log",
            {"FAIRLEAD_AGENT_MODE": "auto"},
        )

    def start(self) -> None:
        """Start the agent, and wait until it answers: a socket may be left from one that was killed."""

        def answers() -> bool:
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(self.instance.host.path("/run/docker/plugins/fairlead.sock"))) == 0

        self.agent.start(answers)

    def clear(self) -> None:
        """Remove the test's containers and networks."""
        self.start()
        self.docker.clear()
        self.docker.containers, self.docker.networks = [], []

    def left(self) -> list[str]:
        """What of Fairlead's is on the instance."""
        run = self.instance.host.run
        devices = re.findall(r"fl[hc]\w+", run(["ip", "-o", "link"]).stdout)
        rules = [line for line in run(["iptables", "-S", "FORWARD"]).stdout.splitlines() if "flh" in line]
        tables = [line for line in run(["nft", "list", "tables"]).stdout.splitlines() if "fairlead" in line]
        routes = [run(["ip", "route", "show", "proto", number]).stdout for number in ("170", "171")]
        return [*devices, *rules, *tables, *filter(None, routes)]


def left(demo: Any, nodes: dict[str, Node]) -> list[Any]:
    """What of Fairlead's is in Neutron."""
    (router,) = demo.routers(name="instances")
    return [
        *(group.name for group in demo.security_groups(tags="fairlead")),
        *(network.name for network in demo.networks(tags="fairlead")),
        *router.routes,
        *(pair for node in nodes.values() for pair in demo.get_port(node.instance.port).allowed_address_pairs),
    ]


@pytest.fixture(scope="module")
def agents(instance_lab: Lab, instance_demo: Any) -> Iterator[dict[str, Node]]:
    with ExitStack() as running:
        nodes = {}
        for host in instance_lab.instances:
            node = nodes[host.name] = Node(Instance.of(host, instance_demo), instance_lab.paths.log)
            running.callback(node.agent.stop)
            node.start()
        yield nodes


@pytest.fixture
def nodes(agents: dict[str, Node], instance_demo: Any) -> Iterator[dict[str, Node]]:
    """The nodes; after each test their Docker networks go, and nothing may be left."""
    yield agents
    with ThreadPoolExecutor(len(agents)) as threads:
        for _ in threads.map(Node.clear, agents.values()):
            pass
    assert eventually(lambda: left(instance_demo, agents) == [], seconds=60), left(instance_demo, agents)
    assert {name: node.left() for name, node in agents.items()} == {name: [] for name in agents}


def join(nodes: dict[str, Node], name: str, *ranges: str) -> dict[str, Running]:
    """Make a network on every node at once, and run a container of it on each."""
    more = ("--ipv6", "--subnet", ranges[1]) if ranges[1:] else ()
    with ThreadPoolExecutor(len(nodes)) as threads:
        made = [threads.submit(node.docker.network_create, name, ranges[0], *more) for node in nodes.values()]
        for one in made:
            one.result()
    return {host: node.docker.run(f"{name}-{host}", name) for host, node in nodes.items()}


def blocks(demo: Any, range_: str) -> dict[str, str]:
    """Next hop by block."""
    (network,) = list(demo.networks(tags=f"fairlead:routed={range_}"))
    return {one.cidr: one.host_routes[0]["nexthop"] for one in demo.subnets(network_id=network.id)}


def reach(one: Running, other: Running) -> bool:
    return one.pings(other.address) and one.pings(other.address6)


def test_containers_reach_each_other_from_every_node_to_every_node_in_both_families(
    nodes: dict[str, Node], instance_demo: Any
) -> None:
    web = join(nodes, "web", WEB, WEB6)
    assert len(list(instance_demo.networks(tags="fairlead"))) == 1
    held = blocks(instance_demo, WEB)
    addresses = {address for node in nodes.values() for address in (node.instance.address, node.instance.address6)}
    assert set(held.values()) == addresses
    assert len(held) == len(addresses)
    # Whoever joins tells the others, which need not look at Neutron by the clock to hear of it.
    pairs = list(permutations(web.values(), 2))
    assert eventually(lambda: all(reach(one, other) for one, other in pairs), seconds=15)
    for one, other in pairs:
        assert tcp_works(other, one, other.address)
        assert tcp_works(other, one, other.address6)
    local = nodes["i1"].docker.run("web-i1-2", "web")
    assert reach(local, web["i1"])
    assert reach(web["i1"], local)


def test_a_datagram_of_the_full_mtu_passes_and_one_byte_more_does_not(nodes: dict[str, Node]) -> None:
    web = join(nodes, "web", WEB, WEB6)
    assert eventually(lambda: reach(web["i1"], web["i3"]) and reach(web["i1"], web["i2"]))
    mtu = int(nodes["i1"].instance.host.run(["cat", "/sys/class/net/eth0/mtu"]).stdout)
    inside = web["i1"].command("cat", "/sys/class/net/eth0/mtu").stdout
    assert int(inside) == mtu
    for far in ("i2", "i3"):
        for version, address in ((4, web[far].address), (6, web[far].address6)):
            full = mtu - IP_HEADER[version] - UDP_HEADER
            assert udp_arrives(web[far], web["i1"], address, full)
            assert not udp_arrives(web[far], web["i1"], address, full + 1)


def test_networks_stay_apart_on_one_node_and_across(nodes: dict[str, Node]) -> None:
    web, db = join(nodes, "web", WEB, WEB6), join(nodes, "db", DB, DB6)
    assert eventually(lambda: reach(web["i1"], web["i2"]) and reach(db["i1"], db["i2"]) and reach(db["i2"], db["i3"]))
    for near, far in (("i1", "i1"), ("i1", "i2"), ("i1", "i3"), ("i2", "i1")):
        for target in (db[far].address, db[far].address6):
            assert not web[near].pings(target, count=1), (near, far, target)
    # Who is not on the network, an instance itself, is let in no more than by a security group.
    assert not nodes["i3"].instance.pings(web["i1"].address)
    assert not nodes["i2"].instance.pings(web["i1"].address)


def forged(one: Running, address: str, other: Running, target: str) -> str:
    """Send datagrams with a source that is not the container's; return what arrived."""
    length, nodad = (32, []) if ip_address(address).version == 4 else (128, ["nodad"])
    inside = ["nsenter", "-t", str(one.pid), "-n", "ip", "address"]
    one.docker.host.run([*inside, "add", f"{address}/{length}", "dev", "eth0", *nodad])
    try:
        with other.probing("listen-udp", target, "5003", "3") as listening:
            for _ in range(3):
                one.probe("send-udp", target, "5003", "50", address)
            assert listening.stdout
            return listening.stdout.read()
    finally:
        one.docker.host.run([*inside, "del", f"{address}/{length}", "dev", "eth0"])


def test_a_forged_source_gets_nothing_through(nodes: dict[str, Node]) -> None:
    web = join(nodes, "web", WEB, WEB6)
    neighbour = nodes["i1"].docker.run("web-i1-2", "web")
    assert eventually(lambda: reach(web["i1"], web["i3"]) and reach(web["i1"], web["i2"]))
    own = next(ip_network(f"{web['i1'].address}/26", strict=False).hosts())
    for far in ("i2", "i3"):
        assert udp_arrives(web[far], web["i1"], web[far].address, 100)
        for source in (neighbour.address, str(own + 40), "10.60.255.9", "192.0.2.99", nodes["i1"].instance.address):
            assert forged(web["i1"], source, web[far], web[far].address) == "", source
        for source in (neighbour.address6, "fd00:60::1234", "fd00:99::1"):
            assert forged(web["i1"], source, web[far], web[far].address6) == "", source
    assert forged(web["i1"], web["i3"].address, neighbour, neighbour.address) == ""


def test_the_world_is_reached_under_the_nodes_address_unless_the_network_is_internal(nodes: dict[str, Node]) -> None:
    docker = nodes["i1"].docker
    docker.network_create("web", WEB)
    docker.network_create("inner", DB, "--internal")
    assert docker.run("outside", "web").pings(str(FABRIC_ADDRESS))
    one, two = docker.run("in1", "inner"), docker.run("in2", "inner")
    assert one.pings(two.address)
    assert not one.pings(str(FABRIC_ADDRESS), count=1)
    gateway = one.command("ip", "route").stdout.split()[0]
    one.command("ip", "route", "add", "default", "via", gateway, check=False)
    assert not one.pings(str(FABRIC_ADDRESS), count=1)


def test_twenty_containers_at_once_on_two_nodes_all_start_and_talk_without_a_call_of_neutrons(
    nodes: dict[str, Node],
) -> None:
    pair = {name: nodes[name] for name in ("i1", "i2")}
    first = join(pair, "web", WEB)
    before = [rpc_calls(node.docker) for node in pair.values()]
    with ThreadPoolExecutor(20) as threads:
        started = [
            threads.submit(node.docker.run, f"many-{name}-{number}", "web")
            for name, node in pair.items()
            for number in range(10)
        ]
        running = [one.result() for one in started]
    assert len({one.address for one in running}) == 20
    assert eventually(lambda: first["i1"].pings(first["i2"].address))
    for one in running:
        for first_one in first.values():
            assert first_one.pings(one.address, count=1), (first_one.name, one.name)
    for node in pair.values():
        node.docker.rm(*[name for name in node.docker.containers if name.startswith("many")])
    assert [rpc_calls(node.docker) for node in pair.values()] == before


def test_auto_is_routed_on_an_instance_without_a_trunk_and_says_why(agents: dict[str, Node]) -> None:
    node = agents["i1"]
    check = [str(PYTHON.with_name("fairlead")), "agent", "--check"]
    said = node.instance.host.run(check, env={"FAIRLEAD_AGENT_MODE": "auto"}, check=False).stdout
    assert re.search(r"ok +mode +routed: it was chosen at an earlier start", said)
    log = node.agent.log.read_text()
    assert f"this node's port {node.instance.port} has no trunk" in log


def test_a_killed_agent_leaves_containers_talking_and_a_new_one_goes_on(nodes: dict[str, Node]) -> None:
    web = join(nodes, "web", WEB, WEB6)
    assert eventually(lambda: reach(web["i1"], web["i2"]))
    nodes["i1"].agent.stop(kill=True)
    assert reach(web["i1"], web["i2"])
    nodes["i1"].start()
    nodes["i1"].docker.rm("web-i1")
    again = nodes["i1"].docker.run("web-i1-2", "web")
    assert again.address != web["i1"].address
    assert eventually(lambda: reach(again, web["i2"]) and reach(web["i3"], again))


def test_rules_and_routes_that_somebody_removes_come_back(nodes: dict[str, Node]) -> None:
    web, db = join(nodes, "web", WEB, WEB6), join(nodes, "db", DB, DB6)
    assert eventually(lambda: reach(web["i1"], web["i3"]))
    host = nodes["i1"].instance.host
    host.run(["nft", "delete", "table", "inet", "fairlead"])
    host.run(["iptables", "-D", "FORWARD", "-i", "flh+", "-j", "ACCEPT"])
    host.run(["ip", "route", "flush", "proto", "170"])
    assert eventually(
        lambda: reach(web["i1"], web["i3"]) and not web["i1"].pings(db["i1"].address, count=1), seconds=40
    )


def test_what_the_mode_can_not_do_is_refused_by_name(nodes: dict[str, Node]) -> None:
    docker, other = nodes["i1"].docker, nodes["i3"]
    said = docker.refused(*docker.network_command("web", WEB, "-o", "neutron.security_groups=db"))
    assert "share the node's port" in said
    said = docker.refused(*docker.network_command("web", WEB, neutron="instances"))
    assert "divided among the nodes" in said
    docker.network_create("web", WEB)
    other.docker.network_create("web", WEB)
    far = other.docker.run("far", "web")
    said = docker.refused("run", "--rm", "--network", "web", "--ip", far.address, "busybox", "true")
    assert "another node" in said
    assert other.instance.address in said
    said = docker.refused("run", "--rm", "--network", "web", "-p", "80:80", "busybox", "true")
    assert "-p" in said


def test_a_chosen_address_and_mac_and_a_second_network_work(nodes: dict[str, Node], instance_demo: Any) -> None:
    docker = nodes["i1"].docker
    docker.network_create("web", WEB)
    docker.network_create("db", DB)
    (block,) = blocks(instance_demo, WEB)
    chosen = str(ip_network(block)[40])
    one = docker.run("chosen", "web", "--ip", chosen, "--mac-address", "02:00:00:00:00:42")
    assert (one.address, one.mac) == (chosen, "02:00:00:00:00:42")
    two = docker.run("plain", "web")
    assert two.pings(chosen)
    other = docker.run("third", "db")
    docker("network", "connect", "db", "plain")
    assert eventually(lambda: other.pings(docker.running("plain", "db").address))
    docker("network", "disconnect", "db", "plain")
    assert two.pings(chosen)
