"""Unmodified flannel with Neutron under it: pods on instances of one subnet and of two, by packets."""

import json
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
    daemon.start(lambda: daemon.host.path("/run/fairlead/flannel.sock").is_socket())


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
