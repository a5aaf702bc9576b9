"""Unmodified flannel with Neutron under it: pods on instances of one subnet and of two, by packets."""

import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from fairlead.lab import Lab
from fairlead.lab.flannel import Daemon, Etcd, Flanneld, Pod, clean, pod
from tests.e2e.docker import eventually
from tests.e2e.instance import Instance

pytestmark = pytest.mark.real

PROGRAMS = Path(__file__).parents[2] / "build/flannel/bin"
PYTHON = Path(sys.executable)
NETWORK, NETWORK6 = "10.100.0.0/16", "fd00:100::/48"
REPAIRED = 40.0
"""Seconds within which what somebody changed in Neutron is put right: a look every 15 to 22, and Neutron's own time."""


@dataclass
class Node:
    """An instance with an agent, flanneld, and a pod."""

    instance: Instance
    agent: Daemon
    flanneld: Flanneld
    pod: Pod

    def status(self) -> dict[str, Any]:
        done = self.instance.host.run([str(PYTHON.with_name("fairlead")), "flannel", "status", "--json"], check=False)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def pings(self, other: "Node", *, version: int = 4) -> bool:
        address = next(str(one) for one in other.pod.addresses if one.version == version)
        return self.pod.run(["busybox", "ping", "-c", "1", "-W", "1", address], check=False).returncode == 0


def fairlead(instance: Instance, *command: str) -> str:
    return instance.host.run([str(PYTHON.with_name("fairlead")), *command]).stdout


def start_agent(daemon: Daemon) -> None:
    """Start it, and wait until it answers: a socket may be left from one that was killed."""

    def answers() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(daemon.host.path("/run/fairlead/flannel.sock"))) == 0

    daemon.start(answers)


@pytest.fixture
def etcd(instance_lab: Lab) -> Iterator[Etcd]:
    with Etcd(instance_lab.host("fabric"), PROGRAMS, instance_lab.paths.log) as running:
        yield running


@pytest.fixture
def join(instance_lab: Lab, instances: dict[str, Instance], etcd: Etcd) -> Iterator[Callable[[str], Node]]:
    """Make an instance a node; in the end each node leaves, and nothing may be left in Neutron or in its kernel."""
    logs, nodes = instance_lab.paths.log, ExitStack()

    def join(name: str) -> Node:
        instance = instances[name]
        host = instance.host
        daemon = Daemon(host, (str(PYTHON), "-m", "fairlead", "agent"), logs / f"{name}-agent.log")
        nodes.callback(clean, host, NETWORK)
        nodes.callback(daemon.stop)
        start_agent(daemon)
        nodes.callback(leave, instance, daemon)
        flanneld = nodes.enter_context(Flanneld(host, etcd.url, PROGRAMS, logs, interface="eth0"))
        return Node(instance, daemon, flanneld, nodes.enter_context(pod(host, "web", PROGRAMS)))

    def leave(instance: Instance, daemon: Daemon) -> None:
        start_agent(daemon)
        fairlead(instance, "flannel", "leave")
        assert eventually(lambda: '"leases": []' in fairlead(instance, "flannel", "status", "--json"), seconds=60)

    with nodes:
        yield join


def configure(instance: Instance, etcd: Etcd, *more: str) -> None:
    fairlead(instance, "flannel", "config", "--network", NETWORK, "--etcd", etcd.url, *more)


def pairs(demo: Any, instance: Instance) -> set[str]:
    return {pair["ip_address"] for pair in demo.get_port(instance.port).allowed_address_pairs}


def routes(demo: Any) -> list[dict[str, str]]:
    (router,) = demo.routers(name="instances")
    found: list[dict[str, str]] = router.routes
    return found


def left(demo: Any, instances: dict[str, Instance]) -> list[Any]:
    """What of Fairlead's is in Neutron."""
    groups = [group.name for group in demo.security_groups(tags="fairlead")]
    return [*groups, *routes(demo), *(pair for one in instances.values() for pair in pairs(demo, one))]


@pytest.fixture(autouse=True)
def nothing_left(instance_demo: Any, instances: dict[str, Instance]) -> Iterator[None]:
    yield
    assert left(instance_demo, instances) == []
    for instance in instances.values():
        assert instance.host.run(["ip", "route", "show", "proto", "170"]).stdout == ""


def test_pods_on_instances_of_one_subnet_and_of_two_reach_each_other(
    instance_demo: Any, instances: dict[str, Instance], etcd: Etcd, join: Callable[[str], Node]
) -> None:
    configure(instances["i1"], etcd)
    i1, i3 = join("i1"), join("i3")
    assert eventually(lambda: i1.pings(i3) and i3.pings(i1), seconds=30)
    assert routes(instance_demo) == []
    assert i1.flanneld.subnet_env()["FLANNEL_MTU"] == "1442"
    i2 = join("i2")
    assert eventually(lambda: all(one.pings(two) for one, two in permutations((i1, i2, i3), 2)), seconds=60)
    assert len(routes(instance_demo)) == 3
    for node in (i1, i2, i3):
        assert len(pairs(instance_demo, node.instance)) == 1
        assert node.status()["trouble"] == {}


def test_with_both_families_and_no_forged_source(
    instances: dict[str, Instance], etcd: Etcd, join: Callable[[str], Node]
) -> None:
    configure(instances["i1"], etcd, "--ipv6-network", NETWORK6)
    i1, i3 = join("i1"), join("i3")
    for version in (4, 6):
        assert eventually(lambda v=version: i1.pings(i3, version=v) and i3.pings(i1, version=v), seconds=60)
    gateways = [node.flanneld.subnet_env()["FLANNEL_SUBNET"].partition("/")[0] for node in (i1, i3)]
    forged = "10.100.251.7"  # within the network, and of no node's part
    i1.instance.host.run(["ip", "address", "add", f"{forged}/32", "dev", "lo"])
    try:
        for source, arrives in ((forged, False), (gateways[0], True)):
            with i3.instance.probing("listen-udp", gateways[1], "5002", "3") as listening:
                i1.instance.probe("send-udp", gateways[1], "5002", "100", source)
                assert listening.stdout
                assert (listening.stdout.readline().split()[:1] == ["100"]) is arrives
    finally:
        i1.instance.host.run(["ip", "address", "delete", f"{forged}/32", "dev", "lo"])


def test_changes_are_repaired_a_kill_harms_nothing_and_a_dead_node_is_cleaned_up(
    instance_demo: Any, instances: dict[str, Instance], etcd: Etcd, join: Callable[[str], Node]
) -> None:
    configure(instances["i1"], etcd)
    i1, i2, i3 = join("i1"), join("i2"), join("i3")
    nodes = (i1, i2, i3)

    def all_reach_all() -> bool:
        return all(one.pings(two) for one, two in permutations(nodes, 2))

    assert eventually(all_reach_all, seconds=60)
    parts = {node.instance.host.name: pairs(instance_demo, node.instance) for node in nodes}

    i1.agent.stop(kill=True)
    i1.flanneld.stop(kill=True)
    etcd.stop(kill=True)
    assert all_reach_all()  # what is in place needs none of them
    i1.instance.host.run(["ip", "route", "flush", "proto", "170"])
    instance_demo.update_port(i1.instance.port, allowed_address_pairs=[])
    (router,) = instance_demo.routers(name="instances")
    instance_demo.put(f"/routers/{router.id}/remove_extraroutes", json={"router": {"routes": router.routes}})
    assert not i1.pings(i3)
    etcd.start()
    start_agent(i1.agent)
    i1.flanneld.start()
    assert eventually(all_reach_all, seconds=REPAIRED)
    assert {node.instance.host.name: pairs(instance_demo, node.instance) for node in nodes} == parts

    i3.agent.stop(kill=True)
    i3.flanneld.stop(kill=True)
    (dead,) = parts["i3"]
    etcd.expire(next(lease for lease in etcd.leases() if str(lease.subnet) == dead))
    assert eventually(lambda: not pairs(instance_demo, i3.instance), seconds=60)
    assert eventually(lambda: dead not in [route["destination"] for route in routes(instance_demo)], seconds=30)
    assert dead not in i1.instance.host.run(["ip", "route"]).stdout
    assert i1.pings(i2)
