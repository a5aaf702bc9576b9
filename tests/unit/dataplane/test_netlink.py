"""Reading needs no rights; what changes devices is in the functional tests."""

import errno
import socket

import pytest

from fairlead.adapters.dataplane import netlink
from fairlead.model.errors import DataplaneError


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
    assert answer.error != 0
    assert answer.links == ()


def test_a_silent_kernel_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netlink, "_TIMEOUT_S", 0.01)
    monkeypatch.setattr(socket.socket, "send", lambda _self, data: len(data))
    with pytest.raises(DataplaneError, match="does not answer over rtnetlink: timed out"):
        netlink.exchange([netlink.get_link("lo")])
