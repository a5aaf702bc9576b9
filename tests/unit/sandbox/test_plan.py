"""What of a device is to be changed, and how what differs is said; the kernel's part is in the functional tests."""

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from fairlead.adapters.kernel.netlink import Link
from fairlead.adapters.kernel.netlink_routes import RTPROT_KERNEL, RTPROT_RA, DeviceAddress, Route
from fairlead.adapters.sandbox import plan
from fairlead.adapters.sandbox.differences import differences
from fairlead.adapters.sandbox.plan import PROTOCOL, LinkChange
from fairlead.adapters.sandbox.seen import Seen
from fairlead.model.sandbox import SandboxConfig, SandboxRoute

EVERYWHERE, EVERYWHERE6 = ip_network("0.0.0.0/0"), ip_network("::/0")
GATEWAY, GATEWAY6 = ip_address("10.60.0.1"), ip_address("fd00:60::1")
CONFIG = SandboxConfig(
    "flc0",
    "FA:16:3E:00:00:01",
    1442,
    (ip_interface("10.60.7.2/32"), ip_interface("fd00:60::2/128")),
    (SandboxRoute(EVERYWHERE, GATEWAY), SandboxRoute(EVERYWHERE6, GATEWAY6), SandboxRoute(ip_network("10.60.0.1/32"))),
)
DEVICE = Link("eth0", 7, "veth", "fa:16:3e:00:00:01", 1442, up=True, alias="fairlead:0", peer=3, peer_away=True)
ADDRESSES = tuple(DeviceAddress(one, 7, 0, PROTOCOL) for one in CONFIG.addresses)
ROUTES = tuple(Route(one.destination, one.via, 7, PROTOCOL, 0) for one in CONFIG.routes)
SEEN = Seen(DEVICE, DEVICE, ADDRESSES, ROUTES)


def words(changes: list[plan.Change]) -> list[str]:
    return [change.what for change in changes]


def test_what_is_as_it_should_be_needs_nothing_and_has_no_differences() -> None:
    assert not plan.link_change(DEVICE, "eth0", CONFIG)
    assert plan.removals(ADDRESSES, ROUTES, 7, CONFIG) == plan.additions(ADDRESSES, ROUTES, 7, CONFIG) == []
    assert differences(SEEN, "eth0", CONFIG) == []


@pytest.mark.parametrize(
    ("device", "change", "said"),
    [
        (replace(DEVICE, up=False), LinkChange(up=True), "eth0 is down"),
        (replace(DEVICE, mtu=1500), LinkChange(mtu=1442), "eth0 has an MTU of 1500, not 1442"),
        (
            replace(DEVICE, mac="02:00:00:00:00:01"),
            LinkChange(mac=CONFIG.mac),
            "eth0 has the MAC 02:00:00:00:00:01, not fa:16:3e:00:00:01",
        ),
        (
            replace(DEVICE, name="eth9"),
            LinkChange(name="eth0", up_again=True),
            "the device is called eth9, not eth0",
        ),
        (
            replace(DEVICE, name="eth9", up=False),
            LinkChange(name="eth0", up=True),
            "the device is called eth9, not eth0; eth0 is down",
        ),
    ],
)
def test_what_differs_of_the_devices_own_is_changed_alone_and_told(device: Link, change: LinkChange, said: str) -> None:
    assert plan.link_change(device, "eth0", CONFIG) == change
    assert "; ".join(differences(replace(SEEN, device=device), "eth0", CONFIG)) == said


def test_what_the_config_does_not_say_of_the_device_stays() -> None:
    assert not plan.link_change(
        replace(DEVICE, mtu=9000, mac="02:00:00:00:00:01"), "eth0", replace(CONFIG, mac="", mtu=0)
    )


def test_addresses_come_first_then_routes_on_the_link_then_those_by_way_of_them() -> None:
    assert words(plan.additions((), (), 7, CONFIG)) == [
        "add the address 10.60.7.2/32",
        "add the address fd00:60::2/128",
        "route 10.60.0.1/32 on the link",
        "route 0.0.0.0/0 by 10.60.0.1",
        "route ::/0 by fd00:60::1",
    ]
    assert differences(Seen(DEVICE, DEVICE), "eth0", CONFIG) == [
        "eth0 lacks the address 10.60.7.2/32",
        "eth0 lacks the address fd00:60::2/128",
        "there is no route to 10.60.0.1/32 on the link",
        "there is no route to 0.0.0.0/0 by 10.60.0.1",
        "there is no route to ::/0 by fd00:60::1",
    ]


def test_a_route_that_is_there_is_enough_whoever_made_it() -> None:
    theirs = tuple(replace(one, protocol=RTPROT_KERNEL, metric=256) for one in ROUTES)
    assert plan.additions(ADDRESSES, theirs, 7, CONFIG) == plan.removals(ADDRESSES, theirs, 7, CONFIG) == []


@pytest.mark.parametrize(
    ("route", "goes"),
    [
        (Route(EVERYWHERE, ip_address("10.60.0.9"), 7, 4, 0), True),  # by hand, in the way
        (Route(EVERYWHERE6, ip_address("fe80::1"), 7, RTPROT_RA, 1024), False),
        (Route(ip_network("10.60.0.1/32"), GATEWAY, 7, RTPROT_KERNEL, 0), False),
        (Route(ip_network("198.51.100.0/24"), GATEWAY, 7, PROTOCOL, 0), True),  # of an earlier config
        (Route(ip_network("198.51.100.0/24"), GATEWAY, 7, 4, 0), False),
        (Route(ip_network("198.51.100.0/24"), GATEWAY, 8, PROTOCOL, 0), False),  # another device's
    ],
)
def test_only_what_is_fairleads_or_in_the_way_is_deleted(route: Route, goes: bool) -> None:
    removed = words(plan.removals(ADDRESSES, (*ROUTES, route), 7, CONFIG))
    assert removed == ([f"delete the route to {route.destination}"] if goes else [])


@pytest.mark.parametrize(
    ("address", "protocol", "goes"),
    [
        ("10.60.7.9/32", PROTOCOL, True),
        ("10.60.7.9/32", 0, False),
        ("10.60.7.2/24", 0, True),  # the config's, on another link
        ("fe80::1/64", 3, False),
    ],
)
def test_only_addresses_of_fairleads_or_in_the_way_are_taken_off(address: str, protocol: int, goes: bool) -> None:
    extra = DeviceAddress(ip_interface(address), 7, 0, protocol)
    removed = words(plan.removals((*ADDRESSES, extra), ROUTES, 7, CONFIG))
    assert removed == ([f"take away the address {address}"] if goes else [])


def test_routes_of_other_devices_are_others_unless_a_router_announced_them() -> None:
    by_hand = Route(EVERYWHERE, GATEWAY, 8, 3, 0)
    learnt = Route(EVERYWHERE6, ip_address("fe80::1"), 8, RTPROT_RA, 1024)
    elsewhere = Route(ip_network("198.51.100.0/24"), None, 8, 3, 0)
    assert plan.others_routes((*ROUTES, by_hand, learnt, elsewhere), CONFIG, 7) == [by_hand]


def test_a_device_that_is_not_there_is_the_only_difference() -> None:
    assert differences(Seen(None, None), "eth0", CONFIG) == ["there is no device eth0"]
    assert differences(Seen(None, DEVICE), "eth0", CONFIG) == ["eth0 is another device than Fairlead's"]
