"""Addresses and routes of one device, as the kernel reads and writes them."""

import struct
from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.adapters.kernel import netlink_routes
from fairlead.adapters.kernel.attributes import read_attributes
from fairlead.adapters.kernel.netlink import Answer
from fairlead.adapters.kernel.netlink_routes import DeviceAddress, Route
from fairlead.model.errors import DataplaneError

little_endian = pytest.mark.skipif(struct.pack("=H", 1) != b"\1\0", reason="the bytes are a little-endian host's")


@little_endian
def test_an_address_is_written_with_its_broadcast_and_who_made_it() -> None:
    message = netlink_routes.add_address(ip_interface("10.20.0.5/24"), 7, protocol=172)
    assert message.body == bytes.fromhex(
        "02 18 02 00 07000000"  # AF_INET, length, IFA_F_NODAD, scope, index
        "0800 0200 0a140005 0800 0100 0a140005 0800 0400 0a1400ff"  # IFA_LOCAL, IFA_ADDRESS, IFA_BROADCAST
        "0500 0b00 ac000000"  # IFA_PROTO
    )
    (read,) = netlink_routes.read_addresses(Answer(others=(message.body,)))
    assert read == DeviceAddress(ip_interface("10.20.0.5/24"), 7, 0, 172)


@pytest.mark.parametrize("alone", ["10.20.0.5/32", "10.20.0.4/31", "fd00::5/128", "fd00::5/64"])
def test_an_address_of_a_link_without_broadcast_has_none(alone: str) -> None:
    body = netlink_routes.add_address(ip_interface(alone), 7, protocol=172).body
    assert 4 not in read_attributes(body, 8)


@little_endian
def test_a_default_route_is_written_with_its_device_and_metric() -> None:
    message = netlink_routes.add_route(ip_network("::/0"), ip_address("fd00::1"), 7, protocol=172, metric=512)
    assert message.flags == 0x605  # request, ack, create, exclusively
    assert message.body == bytes.fromhex(
        "0a 00 00 00 fe ac 00 01 00000000"  # AF_INET6, lengths, tos, main table, protocol, universe, unicast
        "1400 0100 00000000000000000000000000000000 1400 0500 fd000000000000000000000000000001"
        "0800 0400 07000000 0800 0600 00020000"  # RTA_OIF, RTA_PRIORITY
    )
    (read,) = netlink_routes.read_routes(Answer(others=(message.body,)))
    assert read == Route(ip_network("::/0"), ip_address("fd00::1"), 7, 172, 512)


def test_a_route_on_the_link_has_no_gateway_and_the_scope_of_one() -> None:
    body = netlink_routes.add_route(ip_network("10.20.0.1/32"), None, 7, protocol=172, metric=0).body
    assert body[6] == 253
    assert set(read_attributes(body, 12)) == {1, 4}


@pytest.mark.parametrize("family", [5, 28, 128, 129])
def test_what_else_a_dump_of_all_families_holds_is_passed_over(family: int) -> None:
    route = struct.pack("=BBBBBBBBI", family, 32, 0, 0, 254, 0, 0, 1, 0)
    address = struct.pack("=BBBBI", family, 32, 0, 0, 1)
    assert netlink_routes.read_routes(Answer(others=(route,))) == []
    assert netlink_routes.read_addresses(Answer(others=(address,))) == []


@given(st.binary(max_size=80))
def test_rubbish_is_an_error_of_ours(data: bytes) -> None:
    for read in (netlink_routes.read_routes, netlink_routes.read_addresses):
        told = ""
        try:
            read(Answer(others=(data,)))
        except DataplaneError as error:
            told = str(error)
        assert not told or "can't be read" in told
