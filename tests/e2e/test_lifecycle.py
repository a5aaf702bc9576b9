"""Nothing is left afterwards, and restarts of anything in between change nothing."""

import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.docker import Docker, eventually, tcp_works

pytestmark = pytest.mark.real

SUBNET, SUBNET6 = "10.20.0.0/24", "fd00:20::/64"


def in_neutron(demo: Any) -> dict[str, int]:
    return {kind: len(list(getattr(demo.network, kind)())) for kind in ("networks", "subnets", "ports")}


def namespaces(docker: Docker) -> list[str]:
    return docker.host.run(["ls", "/run/docker/netns"], check=False).stdout.split()


def test_after_rm_nothing_is_left_on_the_host_in_ovsdb_or_in_neutron(h1: Docker, h2: Docker, demo: Any) -> None:
    before = in_neutron(demo), [namespaces(docker) for docker in (h1, h2)]
    for docker in (h1, h2):
        docker.network_create("web", SUBNET, "--ipv6", "--subnet", SUBNET6)
        for number in range(3):
            docker.run(f"c{number}", "web")
        assert len(docker.left()["switch"]) >= 3
    found = in_neutron(demo)
    assert (found["networks"], found["subnets"]) == (1, 2)
    assert found["ports"] >= 6
    for docker in (h1, h2):
        docker.rm("c0", "c1", "c2")
    for docker in (h1, h2):
        docker.network_rm("web")
    assert eventually(lambda: in_neutron(demo) == before[0], seconds=120)
    for docker in (h1, h2):
        assert docker.left() == {"devices": [], "switch": []}
    # dockerd itself clears away the namespaces of containers that are gone, once a minute.
    assert eventually(lambda: [namespaces(docker) for docker in (h1, h2)] == before[1], seconds=90)
    for docker in (h1, h2):
        rows = json.loads(docker.host.run(["ovs-vsctl", "--format=json", "list", "Interface"]).stdout)
        assert not [row for row in rows["data"] if "fairlead" in json.dumps(row)]


def test_ports_tell_an_operator_whose_they_are(h1: Docker, demo: Any) -> None:
    h1.network_create("web", SUBNET)
    address = h1.run("a1", "web").address
    endpoint = h1.inspect("a1")["NetworkSettings"]["Networks"]["web"]["EndpointID"]
    (port,) = demo.network.ports(fixed_ips=f"ip_address={address}")
    (node,) = (tag.removeprefix("fairlead:node=") for tag in port.tags if tag.startswith("fairlead:node="))
    assert set(port.tags) == {"fairlead", "fairlead:at=h1", f"fairlead:node={node}"}
    assert port.device_owner == "fairlead:container"
    assert eventually(lambda: demo.network.get_port(port.id).device_id == endpoint)
    assert demo.network.get_port(port.id).name == f"h1/{endpoint[:12]}"
    network = h1.inspect("web", kind="network")["Id"]
    (made,) = demo.network.networks()
    assert set(made.tags) == {"fairlead", f"fairlead:host=h1:{node}:{network[:12]}", f"fairlead:pool={SUBNET}"}


def test_twenty_containers_started_at_once_on_two_hosts_all_reach_each_other(h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    with ThreadPoolExecutor(20) as pool:
        starts = [pool.submit(docker.run, f"c{number}", "web") for docker in (h1, h2) for number in range(10)]
        containers = [start.result() for start in starts]
    addresses = {one.address for one in containers}
    assert len(addresses) == 20
    script = "for i in " + " ".join(sorted(addresses)) + "; do ping -c 3 -i 0.3 -W 3 $i >/dev/null || echo $i; done"
    with ThreadPoolExecutor(4) as pool:
        silent = list(pool.map(lambda one: one.command("sh", "-c", script).stdout, containers))
    assert silent == [""] * 20


def test_the_agent_may_be_restarted_between_any_two_steps(lab: Any, h1: Docker, h2: Docker, demo: Any) -> None:
    def restart() -> None:
        for name in ("h1", "h2"):
            lab.restart("agent", name)

    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    restart()
    one = h1.run("a1", "web")
    restart()
    other = h2.run("b1", "web")
    restart()
    assert one.pings(other.address)
    assert tcp_works(one, other, one.address)
    h1.rm("a1")
    restart()
    assert h1.run("a2", "web").pings(other.address)
    restart()
    h1.rm("a2")
    h2.rm("b1")
    restart()
    for docker in (h1, h2):
        docker.network_rm("web")
    restart()
    assert eventually(lambda: in_neutron(demo) == {"networks": 0, "subnets": 0, "ports": 0}, seconds=120)


def test_one_request_id_leads_from_dockers_request_to_neutrons_log(lab: Any, h1: Docker) -> None:
    h1.network_create("web", SUBNET, "--ip-range", "10.20.0.128/25")
    # The first request of an agent's life also finds out what its role may do.
    h1.rm(h1.run("a0", "web", "--ip", "10.20.0.4").name)
    before = len(lab.neutron_calls())
    h1.run("a1", "web", "--ip", "10.20.0.5")

    def events() -> list[dict[str, Any]]:
        lines = (lab.paths.log / "h1-agent.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line[:1] == "{"]

    def calls() -> list[dict[str, Any]]:
        requests = [one for one in events() if one["event"] == "rpc" and one["path"] == "/IpamDriver.RequestAddress"]
        chosen = requests[-1]["request_id"]
        return [call for call in lab.neutron_calls(before) if call["global_request_id"] == chosen]

    (call,) = calls()
    assert (call["method"], call["path"], call["status"]) == ("POST", "/v2.0/ports", 201)
    ours = [event for event in events() if event.get("request_id") == call["global_request_id"]]
    assert [(event["event"], event["path"]) for event in ours] == [
        ("neutron", "/ports"),
        ("rpc", "/IpamDriver.RequestAddress"),
    ]
    assert ours[0]["neutron_request_id"] == call["request_id"]


def test_an_agent_killed_in_the_middle_of_a_start_leaves_no_port(lab: Any, h1: Docker, demo: Any) -> None:
    h1.network_create("web", SUBNET)
    command = ["docker", "run", "-d", "--name", f"k{uuid.uuid4().hex[:6]}", "--network", "web", "busybox", "sleep", "9"]
    h1.containers.append(command[4])
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(h1.host.run, command, check=False, timeout=90)
        lab.stop("agent", "h1", kill=True)
        lab.start("agent", "h1")
        done: subprocess.CompletedProcess[str] = start.result()
    # dockerd repeats what got no answer: the start either works in the end or fails with nothing left.
    h1.rm(command[4])
    assert done.returncode in (0, 125)
    h1.network_rm("web")
    assert eventually(lambda: in_neutron(demo)["ports"] == 0, seconds=150)
    assert h1.left() == {"devices": [], "switch": []}


def test_dockerd_restarted_with_containers_running(lab: Any, h1: Docker, h2: Docker, demo: Any) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    h1.run("a1", "web", "--restart", "always")
    other = h2.run("b1", "web")
    lab.restart("dockerd", "h1")
    assert eventually(lambda: h1.inspect("a1")["State"]["Running"] and h1.running("a1", "web").address, seconds=60)
    one = h1.running("a1", "web")
    assert eventually(lambda: other.pings(one.address, count=1))
    assert one.pings(other.address)
    h1.rm("a1")
    h1.network_rm("web")
    assert eventually(lambda: not list(demo.network.ports(tags="fairlead:at=h1")), seconds=30)
    assert eventually(lambda: h1.left() == {"devices": [], "switch": []})


def test_the_switchs_database_restarted_with_containers_running(lab: Any, h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    one, other = h1.run("a1", "web"), h2.run("b1", "web")
    lab.restart("ovsdb", "h1")
    assert eventually(lambda: one.pings(other.address, count=1), seconds=30)
    assert h1.run("c1", "web").pings(other.address)


def test_a_port_is_bound_where_the_role_may_and_packets_flow(
    h1: Docker, h2: Docker, admin: Any, service_on_h1: None
) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    one, other = h1.run("a1", "web"), h2.run("b1", "web")
    bound, unbound = (
        next(iter(admin.network.ports(fixed_ips=f"ip_address={address}"))) for address in (one.address, other.address)
    )
    check = h1.host.run([sys.executable, "-m", "fairlead", "agent", "--check"])
    assert "may bind ports to this host" in check.stdout
    assert bound.binding_host_id == "h1"
    assert eventually(lambda: admin.network.get_port(bound.id).status == "ACTIVE")
    assert unbound.binding_host_id in ("", None)
    assert unbound.status == "DOWN"
    assert one.pings(other.address)
    assert tcp_works(one, other, one.address)
    assert tcp_works(other, one, other.address)
