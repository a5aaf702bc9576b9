"""Neutron is killed under flannel: what is in place goes on, and what came meanwhile is there when it is back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import permutations
from typing import Any

import pytest

from fairlead.model.errors import LabError
from fairlead_lab import Lab
from fairlead_lab.flannel import SUBNET_FILE, Etcd
from tests.e2e.docker import eventually
from tests.e2e.instance import Instance
from tests.e2e.under_flannel.nodes import Node, configure, pairs, pod_on, routes, start_agent

pytestmark = pytest.mark.real

BACK = 120.0
"""Seconds after Neutron's return until everything is as it should be: pauses grow to as long as it was away."""


@contextmanager
def killed(lab: Lab) -> Iterator[None]:
    """Have no Neutron for a while."""
    lab.stop("neutron", kill=True)
    try:
        yield
    finally:
        lab.start("neutron")


def part(etcd: Etcd, instance: Instance) -> str:
    (found,) = (str(lease.subnet) for lease in etcd.leases() if str(lease.public_ip) == instance.address)
    return found


def test_without_neutron_packets_go_on_and_leases_that_change_meanwhile_are_carried_out_when_it_is_back(
    instance_lab: Lab, instance_demo: Any, instances: dict[str, Instance], etcd: Etcd, join: Callable[..., Node]
) -> None:
    configure(instances["i1"], etcd)
    i1, i3 = join("i1"), join("i3")
    assert eventually(lambda: i1.pings(i3) and i3.pings(i1), seconds=60)
    old = part(etcd, i3.instance)
    with killed(instance_lab):
        assert i1.pings(i3)
        assert i3.pings(i1)

        i1.host.run(["ip", "route", "flush", "proto", "170"])
        assert eventually(lambda: i1.pings(i3))

        i1.agent.stop(kill=True)
        i1.flanneld.stop(kill=True)
        i1.host.run(["ip", "route", "flush", "proto", "170"])
        start_agent(i1.agent)
        i1.flanneld.start()
        assert eventually(lambda: i1.pings(i3) and i3.pings(i1))

        # A peer's lease ends, and it gets another one, as one does that was away for a day and lost its disk.
        i3.flanneld.stop()
        etcd.expire(next(lease for lease in etcd.leases() if str(lease.subnet) == old))
        i3.host.run(["rm", SUBNET_FILE])
        i3.flanneld.start()
        new = part(etcd, i3.instance)
        assert new != old

        def routed() -> str:
            return i1.host.run(["ip", "route", "show", "proto", "170"]).stdout

        assert eventually(lambda: new in routed() and old not in routed())

        # Who is new can't be told apart yet: flanneld ends, and whoever keeps it running starts it again.
        with pytest.raises(LabError, match="flanneld on i2 ended at its start"):
            join("i2")

    i3.host.run(["ip", "link", "delete", "cni0"])
    with pod_on(i3.host, "again") as again:
        i2, i3 = join("i2"), Node(i3.instance, i3.agent, i3.flanneld, again)
        nodes = (i1, i2, i3)
        assert eventually(lambda: all(one.pings(two) for one, two in permutations(nodes, 2)), seconds=BACK)
        parts = {node.instance.address: part(etcd, node.instance) for node in nodes}
        assert parts[i3.instance.address] == new
        assert eventually(
            lambda: {route["nexthop"]: route["destination"] for route in routes(instance_demo)} == parts, seconds=BACK
        )
        assert len(routes(instance_demo)) == 3
        for node in nodes:
            assert pairs(instance_demo, node.instance) == {parts[node.instance.address]}
            assert eventually(lambda node=node: node.status()["trouble"] == {}, seconds=BACK)
