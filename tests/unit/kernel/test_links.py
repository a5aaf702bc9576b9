"""Removals in one go, on a kernel that is written down; the real one is in the functional tests."""

import errno
from collections.abc import Sequence

import pytest

from fairlead.adapters.kernel import netlink
from fairlead.adapters.kernel.links import Links
from fairlead.adapters.kernel.netlink import Answer, Link, Message
from fairlead.adapters.marks import alias, host_device

IDS = [f"{number:011x}" + "e" * 53 for number in range(4)]


class Kernel:
    """Shows a marked device for each of IDS, and does what it is told, but for `refused`."""

    def __init__(self) -> None:
        self.devices = {
            host_device(each): Link(host_device(each), 10 + number, "veth", "", 1500, True, alias(each), 1, True)
            for number, each in enumerate(IDS)
        }
        self.refused: dict[Message, Answer] = {}
        self.sent: list[list[Message]] = []

    def exchange(self, messages: Sequence[Message]) -> list[Answer]:
        self.sent.append(list(messages))
        asked = {netlink.get_link(name): Answer((link,)) for name, link in self.devices.items()}
        missing = {netlink.get_link(host_device("f" * 64)): Answer(error=errno.ENODEV, reason="No such device")}
        known = asked | missing | self.refused
        return [known.get(message, Answer()) for message in messages]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(netlink, "exchange", kernel.exchange)
    monkeypatch.setattr("secrets.randbits", lambda _bits: 42)
    return kernel


@pytest.fixture
def links() -> Links:
    return Links(on_exchange=lambda _count, _seconds: None)


def test_a_lone_pair_is_deleted_by_its_index(kernel: Kernel, links: Links) -> None:
    assert links.remove(IDS[:1]) == [None]
    assert kernel.sent[1:] == [[netlink.delete_link(10)]]


def test_several_are_deleted_as_one_group(kernel: Kernel, links: Links) -> None:
    assert links.remove(IDS[:3]) == [None] * 3
    assert kernel.sent[1:] == [[*(netlink.set_group(index, 43) for index in (10, 11, 12)), netlink.delete_group(43)]]


def test_nothing_is_deleted_that_is_missing_or_not_marked(kernel: Kernel, links: Links) -> None:
    name = host_device(IDS[0])
    kernel.devices[name] = Link(name, 10, "veth", "", 1500, True, "", 1, True)
    assert links.remove(["f" * 64, IDS[0]]) == [None, None]
    assert len(kernel.sent) == 1


def test_each_is_told_what_the_kernel_has_against_it_alone(kernel: Kernel, links: Links) -> None:
    kernel.refused = {
        netlink.get_link(host_device(IDS[0])): Answer(error=errno.EPERM, reason="Operation not permitted"),
        netlink.set_group(11, 43): Answer(error=errno.EBUSY, reason="Device or resource busy"),
        netlink.set_group(12, 43): Answer(error=errno.ENODEV, reason="No such device"),
    }
    told = links.remove(IDS)
    assert [str(each) if each else None for each in told] == [
        f"can't look at {host_device(IDS[0])}: Operation not permitted",
        f"the kernel does not delete {host_device(IDS[1])}: Device or resource busy",
        None,
        None,
    ]


def test_a_group_that_stays_is_told_to_all_of_it(kernel: Kernel, links: Links) -> None:
    kernel.refused = {netlink.delete_group(43): Answer(error=errno.EPERM, reason="Operation not permitted")}
    assert all(each and "Operation not permitted" in str(each) for each in links.remove(IDS))
