"""Reading needs no rights; what changes devices is in the functional tests."""

import errno
import os
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.adapters.kernel import netlink
from fairlead.adapters.kernel.netlink import Link, Reply
from fairlead.model.errors import DataplaneError

DEVICE = struct.pack("=BxHiII", 0, 0, 7, 1, 0)
"""Device 7, up."""


def test_each_message_gets_its_own_answer_in_order() -> None:
    missing, loopback, again = netlink.exchange([netlink.get_link(name) for name in ("flh-none", "lo", "lo")])
    assert missing.links == ()
    assert missing.error == errno.ENODEV
    assert missing.reason
    assert loopback == again
    (lo,) = loopback.links
    assert (lo.name, lo.index, lo.alias, lo.peer_away) == ("lo", 1, "", False)
    assert (loopback.error, loopback.reason) == (0, "")


def test_a_dump_tells_veths_only() -> None:
    (answer,) = netlink.exchange([netlink.dump_veths()])
    assert answer.error == 0
    assert {link.kind for link in answer.links} <= {"veth"}


def test_a_name_too_long_is_refused_by_the_kernel_not_cut_short() -> None:
    (answer,) = netlink.exchange([netlink.get_link("n" * 16)])
    assert (answer.error, answer.links) == (errno.ERANGE, ())
    assert answer.reason not in ("", os.strerror(errno.ERANGE))  # the kernel's own words


def test_a_silent_kernel_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "_TIMEOUT_S", 0.01)
    monkeypatch.setattr(socket.socket, "send", lambda _self, data: len(data))
    with pytest.raises(DataplaneError, match="does not answer over rtnetlink: timed out"):
        netlink.exchange([netlink.get_link("lo")])


@pytest.mark.skipif(struct.pack("=H", 1) != b"\1\0", reason="the bytes are those of a little-endian host")
def test_a_new_pair_is_written_as_the_kernel_reads_it() -> None:
    written = netlink.encode([netlink.new_veth("flh1", "flc1", peer_mac="FA:16:3e:00:00:01", mtu=1442)])
    device = "00000000 00000000 00000000 00000000"
    assert written == bytes.fromhex(
        f"7c000000 1000 0506 01000000 00000000 {device}"  # RTM_NEWLINK; request, ack, create, exclusively
        "0900 0300 666c683100 000000"  # IFLA_IFNAME
        "0800 0400 a2050000"  # IFLA_MTU
        "4800 1200 0900 0100 7665746800 000000"  # IFLA_LINKINFO, IFLA_INFO_KIND
        f"3800 0200 3400 0100 {device}"  # IFLA_INFO_DATA, VETH_INFO_PEER
        "0900 0300 666c633100 000000 0a00 0100 fa163e000001 0000 0800 0400 a2050000"  # name, MAC, MTU
    )


def test_messages_are_numbered_and_follow_each_other_without_a_gap() -> None:
    messages = [netlink.delete_link(7), netlink.bring_up("a", alias="odd", mtu=1400), netlink.dump_veths()]
    written = netlink.encode(messages)
    for sequence, message in enumerate(messages, start=1):
        assert struct.unpack_from("=IHHI", written) == (16 + len(message.body), message.kind, message.flags, sequence)
        assert len(message.body) % 4 == 0
        written = written[16 + len(message.body) :]
    assert written == b""


def test_a_device_is_read_with_all_that_is_asked_of_it() -> None:
    body = (
        DEVICE
        + attribute(3, b"flh1\0")
        + attribute(4, struct.pack("=I", 1442))
        + attribute(5, struct.pack("=I", 8))
        + attribute(1, bytes.fromhex("fa163e00000a"))
        + attribute(18 | 0x8000, attribute(1, b"veth\0"))  # the kernel may mark it as nested
        + attribute(20, b"fairlead:x\0")
        + attribute(37, struct.pack("=i", 0))
        + attribute(999, b"what a later kernel tells")
    )
    link = Link("flh1", 7, "veth", "fa:16:3e:00:00:0a", 1442, up=True, alias="fairlead:x", peer=8, peer_away=True)
    assert netlink.decode(message(16, body)) == [Reply(1, last=True, link=link)]
    assert netlink.decode(message(16, body, flags=2)) == [Reply(1, last=False, link=link)]


def test_a_refusal_carries_the_kernels_words_behind_the_request_or_its_header() -> None:
    request = netlink.encode([netlink.get_link("flh1")])
    words = attribute(1, b"no such luck\0")
    status = struct.pack("=i", -errno.EINVAL)
    refused = Reply(1, last=True, error=errno.EINVAL, reason="no such luck")
    assert netlink.decode(message(2, status + request + words, flags=0x200)) == [refused]
    assert netlink.decode(message(2, status + request[:16] + words, flags=0x300)) == [refused]
    assert netlink.decode(message(3, status + words, flags=0x202)) == [refused]  # at a dump's end
    (plain,) = netlink.decode(message(2, status + request))
    assert plain.reason == os.strerror(errno.EINVAL)


@given(st.binary(max_size=200))
def test_rubbish_is_an_error_of_ours(data: bytes) -> None:
    read_or_refused(data)


@given(
    st.sampled_from([2, 3, 16]),
    st.sampled_from([0, 2, 0x100, 0x200, 0x300]),
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=20)), max_size=4),
    st.binary(max_size=24),
)
def test_a_message_of_rubbish_is_an_error_of_ours(
    kind: int, flags: int, attributes: list[tuple[int, int, bytes]], start: bytes
) -> None:
    body = start + b"".join(struct.pack("=HH", length, number) + value for length, number, value in attributes)
    read_or_refused(message(kind, body, flags=flags))


@given(st.integers(0, 200), st.integers(0, 255))
def test_an_answer_cut_short_or_changed_anywhere_is_an_error_of_ours(place: int, byte: int) -> None:
    nested = attribute(18, attribute(1, b"veth\0"))
    whole = message(16, DEVICE + attribute(3, b"flh1\0") + nested + attribute(4, struct.pack("=I", 1442)))
    read_or_refused(whole[:place])
    changed = bytearray(whole)
    changed[place % len(whole)] = byte
    read_or_refused(bytes(changed))


def read_or_refused(data: bytes) -> None:
    """Decode; any other error than ours fails the test."""
    said, replies = "", []
    try:
        replies = netlink.decode(data)
    except DataplaneError as error:
        said = str(error)
    assert "can't be read" in said or (not said and all(isinstance(reply, Reply) for reply in replies))


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes, *, flags: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body


@pytest.mark.skipif(struct.pack("=H", 1) != b"\1\0", reason="the bytes are those of a little-endian host")
def test_a_vlan_device_is_written_as_the_kernel_reads_it() -> None:
    new = netlink.new_over("vlan", "flc1", 7, mac="FA:16:3e:00:00:01", mtu=1442, data=netlink.vlan_settings(101))
    assert new.body == bytes.fromhex(
        "00000000 00000000 00000000 00000000"
        "0900 0300 666c633100 000000 0800 0500 07000000"  # IFLA_IFNAME, IFLA_LINK
        "0a00 0100 fa163e000001 0000 0800 0400 a2050000"  # IFLA_ADDRESS, IFLA_MTU
        "1c00 1200 0900 0100 766c616e00 000000"  # IFLA_LINKINFO, IFLA_INFO_KIND
        "0c00 0200 0600 0100 6500 0000"  # IFLA_INFO_DATA, IFLA_VLAN_ID
    )
    answer = struct.pack("=IHHII", 16 + len(new.body), 16, 0, 1, 0) + new.body
    (reply,) = netlink.decode(answer)
    assert reply.link
    assert (reply.link.kind, reply.link.peer, reply.link.vlan) == ("vlan", 7, 101)


def test_an_ipvlan_device_says_its_mode_and_no_mac() -> None:
    new = netlink.new_over("ipvlan", "flc1", 7, data=netlink.ipvlan_settings())
    assert new.body.endswith(bytes.fromhex("0b00 0100 6970766c616e00 00 0c00 0200 0600 0100 0000 0000"))


@pytest.mark.parametrize("kind", ["vlan", "ipvlan"])
def test_asking_for_a_kind_makes_nothing(kind: str) -> None:
    (answer,) = netlink.exchange([netlink.new_over(kind, "", 0)])
    assert answer.error


@pytest.mark.skipif(struct.pack("=H", 1) != b"\1\0", reason="the bytes are those of a little-endian host")
def test_a_device_that_moves_is_told_all_that_it_is_to_be_at_once() -> None:
    moved = netlink.change_link(7, namespace=9, name="eth0", mac="FA:16:3e:00:00:01", mtu=1442, up=True)
    assert moved.body == bytes.fromhex(
        "00000000 07000000 01000000 01000000"  # by its index; up
        "0800 1c00 09000000 0a00 0100 fa163e000001 0000 0800 0400 a2050000"  # IFLA_NET_NS_FD, MAC, MTU
        "0900 0300 6574683000 000000"  # IFLA_IFNAME
    )
    down = netlink.change_link(7, up=False)
    assert down.body == bytes.fromhex("00000000 07000000 00000000 01000000")


def test_one_socket_serves_many_exchanges_and_one_dump_may_end_each() -> None:
    with netlink.open_socket() as handle:
        for _ in range(2):
            lo, dump = netlink.talk(handle, [netlink.get_link("lo"), netlink.dump_links()])
            assert [link.name for link in lo.links] == ["lo"]
            assert "lo" in [link.name for link in dump.links]
