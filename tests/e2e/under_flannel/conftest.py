"""Nodes that come and go, and leave nothing."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from fairlead_lab import Lab
from fairlead_lab.flannel import Daemon, Etcd, Flanneld, clean
from fairlead_lab.host import Host
from tests.e2e.docker import eventually
from tests.e2e.instance import Instance
from tests.e2e.under_flannel.nodes import (
    NETWORK,
    NETWORK6,
    PROGRAMS,
    PYTHON,
    End,
    Node,
    fairlead,
    pairs,
    pod_on,
    routes,
    start_agent,
)


@pytest.fixture
def etcd(instance_lab: Lab) -> Iterator[Etcd]:
    with Etcd(instance_lab.host("fabric"), PROGRAMS, instance_lab.paths.log) as running:
        yield running


@pytest.fixture
def join(instance_lab: Lab, instances: dict[str, Instance], etcd: Etcd) -> Iterator[Callable[..., Node]]:
    """Make an instance a node; in the end each node leaves, and nothing may be left in Neutron or in its kernel.

    attach: gives the node its end in flannel's network, a pod unless told otherwise. As in flannel's own manifest,
    flanneld masquerades what leaves the network; else CNI's plugin would, also between nodes. flanneld: makes the
    node's, unless it is the one with etcd.
    """
    logs, nodes = instance_lab.paths.log, ExitStack()
    agents: dict[str, Daemon] = {}

    def run_agent(name: str) -> Daemon:
        host = instances[name].host
        daemon = Daemon(host, (str(PYTHON), "-m", "fairlead", "agent"), logs / f"{name}-agent.log")
        nodes.callback(clean, host, NETWORK, NETWORK6)
        nodes.callback(daemon.stop)
        start_agent(daemon)
        nodes.callback(leave, instances[name], daemon)
        return daemon

    def with_etcd(host: Host) -> Flanneld:
        return Flanneld(host, etcd.url, PROGRAMS, logs, interface="eth0", flags=["-ip-masq"])

    def join(
        name: str,
        *,
        flanneld: Callable[[Host], Flanneld] = with_etcd,
        attach: Callable[[Host], AbstractContextManager[End]] = pod_on,
    ) -> Node:
        host = instances[name].host
        agents[name] = agents.get(name) or run_agent(name)
        started = nodes.enter_context(flanneld(host))
        return Node(instances[name], agents[name], started, nodes.enter_context(attach(host)))

    def leave(instance: Instance, daemon: Daemon) -> None:
        start_agent(daemon)
        fairlead(instance, "flannel", "leave")
        assert eventually(lambda: '"leases": []' in fairlead(instance, "flannel", "status", "--json"), seconds=60)

    with nodes:
        yield join


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
