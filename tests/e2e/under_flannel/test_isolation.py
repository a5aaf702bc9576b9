"""What must not arrive at flannel's pods does not: forged sources, another project; and what is others' stays."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Any

import pytest

from fairlead_lab import Lab
from fairlead_lab.flannel import Etcd
from fairlead_lab.host import Host
from tests.e2e.conftest import connected
from tests.e2e.docker import eventually
from tests.e2e.instance import Instance, changed
from tests.e2e.under_flannel.nodes import (
    NETWORK,
    NETWORK6,
    End,
    Node,
    configure,
    fairlead,
    pairs,
    router,
    routes,
    source_seen,
)

pytestmark = pytest.mark.real

STRANGER = "10.30.0.77"


def test_nothing_with_a_forged_source_gets_out_of_a_node(
    instance_demo: Any, instances: dict[str, Instance], etcd: Etcd, join: Callable[..., Node], open_group: str
) -> None:
    configure(instances["i1"], etcd, "--ipv6-network", NETWORK6)
    i1, i2, i3 = (join(name) for name in instances)
    for version in (4, 6):
        assert eventually(lambda v=version: i1.pings(i3, version=v) and i1.pings(i2, version=v), seconds=60)
    own = {i1.end.address, i1.end.address6}
    # Another node's pod, nobody's part of the network, elsewhere, the node's own subnet.
    forged = {i2.end.address, "10.100.251.7", "10.99.0.7", "10.30.0.99"}
    forged |= {i2.end.address6, "fd00:100:0:fbfb::7", "fd00:99::7", "fd00:30::99"}

    def arriving() -> set[str]:
        """Send honestly from a pod, and forged frames from its node, whose own filters would put its address in.

        Says which sources the pod on i3 sees.
        """
        found = set()
        for target in (i3.end.address, i3.end.address6):
            with i3.end.probing("listen-udp", target, "5002", "2") as listening:
                for source in own | forged:
                    if ip_address(source).version != ip_address(target).version:
                        continue
                    if source in own:
                        i1.end.probe("send-udp", target, "5002", "100", source)
                    else:
                        i1.instance.probe("frame", "eth0", i1.instance.mac, source, i3.instance.mac, target, "5002")
                assert listening.stdout
                found |= {line.split()[1] for line in listening.stdout}
        return found

    groups = instance_demo.get_port(i3.instance.port).security_group_ids
    with changed(instance_demo, i3.instance.port, security_groups=[*groups, open_group]):
        # All of it arrives where port security is off: so that alone stops it.
        unsecured = {"port_security_enabled": False, "security_groups": [], "allowed_address_pairs": []}
        with changed(instance_demo, i1.instance.port, **unsecured):
            assert eventually(lambda: arriving() == own | forged) or arriving() == own | forged
        assert eventually(lambda: arriving() == own, seconds=30) or arriving() == own


@pytest.fixture
def stranger(instance_lab: Lab, instances: dict[str, Instance]) -> Iterator[tuple[Any, str, End]]:
    """An instance of the administrator's own project on the nodes' subnet: its network service, its port, itself."""
    host, undo = instance_lab.host("h1"), ExitStack()
    inside = ("ip", "netns", "exec", "stranger")
    with undo, connected(instance_lab, "admin") as admin:
        port = admin.network.create_port(
            network_id=instances["i1"].network,
            project_id=admin.current_project_id,
            fixed_ips=[{"ip_address": STRANGER}],
        )
        undo.callback(admin.network.delete_port, port.id)
        host.run(["ip", "netns", "add", "stranger"])
        undo.callback(host.run, ["ip", "netns", "delete", "stranger"])
        plug(host, port)
        undo.callback(host.run, ["ovs-vsctl", "del-port", "br-int", "stranger"])
        end = End(host, inside, STRANGER)
        end.run("ip", "address", "add", f"{STRANGER}/24", "dev", "stranger")
        end.run("ip", "link", "set", "stranger", "mtu", "1442", "up")
        end.run("ethtool", "-K", "stranger", "tx", "off")
        yield admin.network, port.id, end


def plug(host: Host, port: Any) -> None:
    interface = ["type=internal", f"external_ids:iface-id={port.id}", f'mac="{port.mac_address}"']
    host.run(["ovs-vsctl", "add-port", "br-int", "stranger", "--", "set", "Interface", "stranger", *interface])
    host.run(["ip", "link", "set", "stranger", "netns", "stranger"])


def test_an_instance_of_another_project_on_the_same_subnet_gets_nothing_to_the_pods(
    instance_demo: Any,
    instances: dict[str, Instance],
    etcd: Etcd,
    join: Callable[..., Node],
    stranger: tuple[Any, str, End],
    open_group: str,
) -> None:
    configure(instances["i1"], etcd)
    i1, i3 = join("i1"), join("i3")
    assert eventually(lambda: i1.pings(i3) and i3.pings(i1), seconds=60)
    admin, port, end = stranger
    end.run("ip", "route", "add", NETWORK, "via", i3.instance.address)
    end.run("ip", "address", "add", f"{i1.end.address}/32", "dev", "lo")

    def seen(source: str) -> bool:
        return source_seen(i3.end, end, i3.end.address, source) == source

    # As itself it gets there only where the node's owner lets everybody in.
    assert not seen(STRANGER)
    assert not end.pings(i3.end.address)
    groups = instance_demo.get_port(i3.instance.port).security_group_ids
    with changed(instance_demo, i3.instance.port, security_groups=[*groups, open_group]):
        assert eventually(lambda: seen(STRANGER))
    assert eventually(lambda: not seen(STRANGER))
    # As a pod, which the group lets in, only without port security.
    assert not seen(i1.end.address)
    with changed(admin, port, port_security_enabled=False, security_groups=[]):
        assert eventually(lambda: seen(i1.end.address))
    assert eventually(lambda: not seen(i1.end.address))


def test_pairs_groups_and_routes_that_are_not_fairleads_outlive_it(
    instance_demo: Any, instances: dict[str, Instance], etcd: Etcd, join: Callable[..., Node], open_group: str
) -> None:
    one, far = instances["i1"], instances["i2"]
    foreign = {"destination": "198.51.100.0/24", "nexthop": one.address}
    default = instance_demo.get_port(one.port).security_group_ids
    path, body = f"/routers/{router(instance_demo).id}", {"router": {"routes": [foreign]}}
    with ExitStack() as undo:
        kept = {"allowed_address_pairs": [{"ip_address": "192.0.2.0/28"}], "security_groups": [*default, open_group]}
        undo.enter_context(changed(instance_demo, one.port, **kept))
        instance_demo.put(f"{path}/add_extraroutes", json=body)
        undo.callback(instance_demo.put, f"{path}/remove_extraroutes", json=body)
        one.host.run(["ip", "route", "add", "198.51.100.0/24", "via", instances["i3"].address])
        undo.callback(one.host.run, ["ip", "route", "delete", "198.51.100.0/24"])
        configure(one, etcd)
        i1, i2 = join("i1"), join("i2")
        assert eventually(lambda: i1.pings(i2) and i2.pings(i1), seconds=60)
        assert len(routes(instance_demo)) == 3
        for instance in (far, one):
            fairlead(instance, "flannel", "leave")
        assert eventually(lambda: routes(instance_demo) == [foreign], seconds=60)
        assert eventually(lambda: pairs(instance_demo, one) == {"192.0.2.0/28"}, seconds=60)
        assert eventually(
            lambda: set(instance_demo.get_port(one.port).security_group_ids) == {*default, open_group}, seconds=60
        )
        assert "198.51.100.0/24 via" in one.host.run(["ip", "route"]).stdout
