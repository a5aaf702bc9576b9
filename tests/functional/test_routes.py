"""Routes of Fairlead's beside those of others, in a network namespace of the test's own."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

import pytest

from fairlead.adapters.kernel.routes import PROTOCOL, KernelRoutes
from fairlead.model.errors import Conflict, DataplaneError, NotFound
from fairlead.model.network import IPAddress, IPNetwork
from tests.functional.namespaces import new_namespace, run

pytestmark = pytest.mark.root

PODS4, PODS6 = IPv4Network("10.100.7.0/24"), IPv6Network("fd00:100:0:7::/64")
PEER4, PEER6 = IPv4Address("10.30.0.7"), IPv6Address("fd00:30::7")


@pytest.fixture
def routes() -> Iterator[KernelRoutes]:
    with new_namespace():
        run("ip", "link", "add", "nic", "type", "veth", "peer", "name", "far")
        run("ip", "link", "set", "nic", "address", "fa:16:3e:00:00:01", "mtu", "1442")
        for device in ("nic", "far", "lo"):
            run("ip", "link", "set", device, "up")
        run("ip", "address", "add", "10.30.0.5/24", "dev", "nic")
        run("ip", "address", "add", "fd00:30::5/64", "dev", "nic", "nodad")
        yield KernelRoutes()


def with_default_route() -> None:
    run("ip", "route", "add", "default", "via", "10.30.0.1")


async def test_the_nic_is_the_default_routes_device_with_its_global_addresses(routes: KernelRoutes) -> None:
    with pytest.raises(NotFound, match="no default route"):
        await routes.nic()
    with_default_route()
    nic = await routes.nic()
    assert (nic.name, nic.mac, nic.mtu) == ("nic", "fa:16:3e:00:00:01", 1442)
    assert set(nic.addresses) == {IPv4Interface("10.30.0.5/24"), IPv6Interface("fd00:30::5/64")}
    assert nic.reaches(PEER4)
    assert not nic.reaches(IPv4Address("10.31.0.7"))


async def test_routes_of_both_families_are_made_found_and_removed(routes: KernelRoutes) -> None:
    with_default_route()
    for _ in range(2):
        await routes.put(PODS4, PEER4)
        await routes.put(PODS6, PEER6)
    assert await routes.routes() == {PODS4: PEER4, PODS6: PEER6}
    assert f"10.100.7.0/24 via {PEER4} dev nic proto {PROTOCOL}" in run("ip", "route")
    assert f"via {PEER6}" in run("ip", "-6", "route", "get", "fd00:100:0:7::1")
    for _ in range(2):
        await routes.remove(PODS4)
        await routes.remove(PODS6)
    assert await routes.routes() == {}


async def test_another_next_hop_takes_the_place_of_the_first(routes: KernelRoutes) -> None:
    for last in (1, 2):
        await routes.put(PODS4, PEER4 + last)
        await routes.put(PODS6, PEER6 + last)
        assert await routes.routes() == {PODS4: PEER4 + last, PODS6: PEER6 + last}


async def test_a_foreign_route_is_neither_listed_nor_replaced_nor_removed(routes: KernelRoutes) -> None:
    run("ip", "route", "add", str(PODS4), "via", "10.30.0.9")
    assert await routes.routes() == {}
    with pytest.raises(Conflict, match=r"a route to 10\.100\.7\.0/24 is there that Fairlead did not make"):
        await routes.put(PODS4, PEER4)
    await routes.remove(PODS4)
    assert "10.100.7.0/24 via 10.30.0.9" in run("ip", "route")


async def test_a_next_hop_out_of_reach_is_refused_with_the_kernels_words(routes: KernelRoutes) -> None:
    with pytest.raises(DataplaneError, match=r"does not route 10\.100\.7\.0/24 by 10\.99\.0\.1: .*[Nn]exthop"):
        await routes.put(PODS4, IPv4Address("10.99.0.1"))


async def test_a_hundred_routes_are_listed(routes: KernelRoutes) -> None:
    wanted: dict[IPNetwork, IPAddress] = {IPv4Network(f"10.100.{number}.0/24"): PEER4 for number in range(100)}
    for destination, hop in wanted.items():
        await routes.put(destination, hop)
    assert await routes.routes() == wanted
