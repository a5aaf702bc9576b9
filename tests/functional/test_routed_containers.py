"""Containers of mode `routed` on one host, by packets: devices with routes, and the packet filter."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from fairlead.adapters.kernel.nft import NftGuard
from fairlead.adapters.kernel.ruleset import Openings
from fairlead.adapters.vif.veth_routes import PROTOCOL, RoutedDataplane, become_router
from fairlead.model.vif import Vif
from fairlead.ports.guard import GuardedNetwork, GuardedNode
from tests.functional.conftest import SandboxMaker
from tests.functional.namespaces import Sandbox, run
from tests.functional.sweeping import sweep

pytestmark = pytest.mark.root

GATEWAYS = (ip_address("10.60.0.1"), ip_address("fd00:60::1"))
WEB = GuardedNetwork(
    ranges=(ip_network("10.60.0.0/16"), ip_network("fd00:60::/64")),
    blocks=(ip_network("10.60.7.0/26"), ip_network("fd00:60::7:0/112")),
    gateways=GATEWAYS,
)
DB = GuardedNetwork((ip_network("10.61.0.0/24"),), (ip_network("10.61.0.16/28"),), (ip_address("10.61.0.1"),))


def guarded(*networks: GuardedNetwork) -> GuardedNode:
    return GuardedNode(networks, "nic", (ip_address("10.30.0.6"),))


@pytest.fixture
def node(namespace: None) -> RoutedDataplane:
    """A host that has a NIC, with nobody at its other end."""
    run("ip", "link", "add", "nic", "type", "veth", "peer", "name", "far")
    for device in ("nic", "far"):
        run("ip", "link", "set", device, "up")
    run("ip", "address", "add", "10.30.0.5/24", "dev", "nic")
    run("ip", "route", "add", "default", "via", "10.30.0.1")
    become_router("nic")
    return RoutedDataplane()


def attachment(number: int, address: str = "") -> Vif:
    addresses = (address,) if address else (f"10.60.7.{number}", f"fd00:60::7:{number}")
    gateways = GATEWAYS if not address else (ip_address("10.61.0.1"),)
    return Vif(
        f"{number:064x}"[::-1],
        "",
        f"02:42:00:00:00:{number:02x}",
        1442,
        addresses=tuple(map(ip_address, addresses)),
        gateways=gateways,
    )


Plug = Callable[[Vif], Awaitable[Sandbox]]


@pytest.fixture
def plug(node: RoutedDataplane, sandbox: SandboxMaker) -> Plug:
    """Wire a sandbox, and set it up as dockerd does."""

    async def plug(one: Vif) -> Sandbox:
        await node.apply(one)
        inside = sandbox()
        inside.take(one.sandbox_device)
        for address, gateway in zip(one.addresses, one.gateways, strict=True):
            alone = f"{address}/{address.max_prefixlen}"
            inside.run("ip", "address", "add", alone, "dev", "eth0", *(["nodad"] if address.version == 6 else []))
            inside.run("ip", "route", "add", f"{gateway}/{gateway.max_prefixlen}", "dev", "eth0")
            inside.run("ip", f"-{address.version}", "route", "add", "default", "via", str(gateway))
        return inside

    return plug


def pings(sandbox: Sandbox, address: str, *options: str) -> bool:
    """Say whether any of three is answered: the host's end makes sure of its own IPv6 address for a second first."""
    said = sandbox.run("busybox", "ping", "-c", "3", "-W", "1", *options, address, check=False)
    return "packets received" in said and " 0 packets received" not in said


async def test_containers_of_a_host_reach_each_other_and_the_gateway_in_both_families(
    node: RoutedDataplane, plug: Plug
) -> None:
    await NftGuard(Openings(7170)).put(guarded(WEB))
    first, _ = await plug(attachment(2)), await plug(attachment(3))
    for address in ("10.60.7.3", "fd00:60::7:3", "10.60.0.1", "fd00:60::1"):
        assert pings(first, address), address


async def test_an_attachment_is_made_again_wherever_it_is_and_removed_with_its_routes(
    node: RoutedDataplane, plug: Plug
) -> None:
    one = attachment(2)
    for _ in range(2):
        await node.apply(one)
    sandbox = await plug(one)
    (seen,) = await node.plugged()
    assert (seen.port_id, seen.away, {str(address) for address in seen.addresses}) == (
        one.id,
        True,
        {"10.60.7.2", "fd00:60::7:2"},
    )
    await node.apply(one)
    assert pings(sandbox, "10.60.0.1")
    assert "10.60.7.2" in run("ip", "route", "show", "proto", str(PROTOCOL))
    for _ in range(2):
        await node.remove(one.id)
    assert run("ip", "route", "show", "proto", str(PROTOCOL)) == ""
    assert await node.plugged() == []


async def test_what_nobody_knows_is_swept(node: RoutedDataplane) -> None:
    known, orphan = attachment(2), attachment(3)
    await node.apply(known)
    await node.apply(orphan)
    assert await sweep(node, {known.id}) == [orphan.id]
    assert [seen.port_id for seen in await node.plugged()] == [known.id]


async def test_a_forged_source_gets_nothing_through_in_either_family(node: RoutedDataplane, plug: Plug) -> None:
    await NftGuard(Openings(7170)).put(guarded(WEB))
    first, second = await plug(attachment(2)), await plug(attachment(3))
    for forged, length, target in (("10.60.7.9", 32, "10.60.7.3"), ("fd00:60::7:9", 128, "fd00:60::7:3")):
        nodad = ["nodad"] if length == 128 else []
        first.run("ip", "address", "add", f"{forged}/{length}", "dev", "eth0", *nodad)
        second.run("ip", "route", "add", f"{forged}/{length}", "via", str(GATEWAYS[length == 128]))
        assert pings(first, target)
        assert not pings(first, target, "-I", forged)


async def test_networks_are_kept_apart_and_their_unassigned_addresses_go_nowhere(
    node: RoutedDataplane, plug: Plug
) -> None:
    guard = NftGuard(Openings(7170))
    await guard.put(guarded(WEB, DB))
    web, db = await plug(attachment(2)), await plug(attachment(4, "10.61.0.18"))
    assert not pings(web, "10.61.0.18")
    assert not pings(db, "10.60.7.2")
    run("ip", "address", "add", "10.30.0.1/24", "dev", "far")
    seen = run("nft", "list", "table", "inet", "fairlead")
    pings(web, "10.60.7.50")
    assert run("nft", "list", "table", "inet", "fairlead") != seen  # the counter of the rule that drops it


async def test_the_filter_is_put_back_where_somebody_took_it_and_left_alone_where_not(node: RoutedDataplane) -> None:
    guard = NftGuard(Openings(7170))
    await guard.put(guarded(WEB))
    before = run("nft", "-a", "list", "ruleset")
    await guard.put(guarded(WEB))
    assert run("nft", "-a", "list", "ruleset") == before
    run("nft", "flush", "ruleset")
    await guard.put(guarded(WEB))
    assert "fib saddr . iif oif missing" in run("nft", "list", "table", "inet", "fairlead")
    assert "-A FORWARD -i flh+ -j ACCEPT" in run("iptables", "-S", "FORWARD")
    await guard.put(guarded(replace(WEB, internal=True)))
    await guard.put(GuardedNode())
    assert "fairlead" not in run("nft", "list", "ruleset")
    assert "flh" not in run("iptables", "-S", "FORWARD")


def test_a_host_that_hears_router_advertisements_goes_on_hearing_them_as_a_router(tmp_path: Path) -> None:
    for name, value in {
        "ipv4/ip_forward": "0\n",
        "ipv6/conf/all/forwarding": "0\n",
        "ipv6/conf/eth0/accept_ra": "1\n",
        "ipv6/conf/eth1/accept_ra": "0\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value)
    become_router("eth0", tmp_path)
    become_router("eth1", tmp_path)
    assert (tmp_path / "ipv6/conf/eth0/accept_ra").read_text() == "2"
    assert (tmp_path / "ipv6/conf/eth1/accept_ra").read_text() == "0\n"
    assert (tmp_path / "ipv4/ip_forward").read_text() == "1"
    assert (tmp_path / "ipv6/conf/all/forwarding").read_text() == "1"
