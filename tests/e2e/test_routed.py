"""Docker's commands inside of Nova instances, mode `routed`: i1 and i3 share a subnet, i2 is behind the router."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import Any

import pytest

from fairlead_lab import Lab
from fairlead_lab.spec import FABRIC_ADDRESS
from tests.e2e.docker import eventually
from tests.e2e.metrics import rpc_calls
from tests.e2e.routed import DB, DB6, PYTHON, WEB, WEB6, Node, blocks, clear, join, left, reach, routed_nodes

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def agents(instance_lab: Lab, instance_demo: Any) -> Iterator[dict[str, Node]]:
    with routed_nodes(instance_lab, instance_demo) as nodes:
        yield nodes


@pytest.fixture
def nodes(agents: dict[str, Node], instance_demo: Any) -> Iterator[dict[str, Node]]:
    """The nodes; after each test their Docker networks go, and nothing may be left."""
    yield agents
    clear(agents)
    assert eventually(lambda: left(instance_demo, agents) == [], seconds=60), left(instance_demo, agents)
    assert {name: node.left() for name, node in agents.items()} == {name: [] for name in agents}


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


def test_a_lost_memory_is_rebuilt_with_containers_running(nodes: dict[str, Node]) -> None:
    pair = {name: nodes[name] for name in ("i1", "i2")}
    web = join(pair, "web", WEB, WEB6)
    assert eventually(lambda: reach(web["i1"], web["i2"]))
    node = nodes["i1"]
    node.agent.stop(kill=True)
    node.lose_memory()
    assert reach(web["i2"], web["i1"])
    node.start()
    another = node.docker.run("another", "web")
    assert "rebuilt this node's memory" in node.agent.log.read_text()
    assert another.address != web["i1"].address
    assert reach(web["i2"], web["i1"])
    assert eventually(lambda: reach(another, web["i2"]) and reach(another, web["i1"]))


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
