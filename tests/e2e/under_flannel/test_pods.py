"""Unmodified flannel with Neutron under it: pods on instances of one subnet and of two, by packets."""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from fairlead_lab.flannel import Etcd, subnet_env
from tests.e2e.docker import eventually
from tests.e2e.instance import Instance
from tests.e2e.under_flannel.nodes import (
    NETWORK6,
    REPAIRED,
    Node,
    configure,
    pairs,
    router,
    routes,
    source_seen,
    start_agent,
)

pytestmark = pytest.mark.real


def test_pods_on_instances_of_one_subnet_and_of_two_reach_each_other(
    instance_demo: Any, instances: dict[str, Instance], etcd: Etcd, join: Callable[..., Node]
) -> None:
    configure(instances["i1"], etcd)
    i1, i3 = join("i1"), join("i3")
    assert eventually(lambda: i1.pings(i3) and i3.pings(i1), seconds=30)
    assert routes(instance_demo) == []
    assert subnet_env(i1.host)["FLANNEL_MTU"] == "1442"
    i2 = join("i2")
    assert eventually(lambda: all(one.pings(two) for one, two in permutations((i1, i2, i3), 2)), seconds=60)
    assert len(routes(instance_demo)) == 3
    for one, two in permutations((i1, i2, i3), 2):
        assert source_seen(two.end, one.end, two.end.address) == one.end.address
    for node in (i1, i2, i3):
        assert len(pairs(instance_demo, node.instance)) == 1
        assert node.status()["trouble"] == {}


def test_with_both_families(instances: dict[str, Instance], etcd: Etcd, join: Callable[..., Node]) -> None:
    configure(instances["i1"], etcd, "--ipv6-network", NETWORK6)
    i1, i3 = join("i1"), join("i3")
    for version in (4, 6):
        assert eventually(lambda v=version: i1.pings(i3, version=v) and i3.pings(i1, version=v), seconds=60)
    assert source_seen(i3.end, i1.end, i3.end.address6) == i1.end.address6


def test_changes_are_repaired_a_kill_harms_nothing_and_a_dead_node_is_cleaned_up(
    instance_demo: Any, instances: dict[str, Instance], etcd: Etcd, join: Callable[..., Node]
) -> None:
    configure(instances["i1"], etcd)
    i1, i2, i3 = join("i1"), join("i2"), join("i3")
    nodes = (i1, i2, i3)

    def all_reach_all() -> bool:
        return all(one.pings(two) for one, two in permutations(nodes, 2))

    assert eventually(all_reach_all, seconds=60)
    parts = {node.host.name: pairs(instance_demo, node.instance) for node in nodes}

    i1.agent.stop(kill=True)
    i1.flanneld.stop(kill=True)
    etcd.stop(kill=True)
    assert all_reach_all()  # what is in place needs none of them
    i1.host.run(["ip", "route", "flush", "proto", "170"])
    instance_demo.update_port(i1.instance.port, allowed_address_pairs=[])
    way = router(instance_demo)
    instance_demo.put(f"/routers/{way.id}/remove_extraroutes", json={"router": {"routes": way.routes}})
    assert not i1.pings(i3)
    etcd.start()
    start_agent(i1.agent)
    i1.flanneld.start()
    assert eventually(all_reach_all, seconds=REPAIRED)
    assert {node.host.name: pairs(instance_demo, node.instance) for node in nodes} == parts

    i3.agent.stop(kill=True)
    i3.flanneld.stop(kill=True)
    (dead,) = parts["i3"]
    etcd.expire(next(lease for lease in etcd.leases() if str(lease.subnet) == dead))
    assert eventually(lambda: not pairs(instance_demo, i3.instance), seconds=60)
    assert eventually(lambda: dead not in [route["destination"] for route in routes(instance_demo)], seconds=30)
    assert dead not in i1.host.run(["ip", "route"]).stdout
    assert i1.pings(i2)
