"""What somebody else undoes is seen on a real switch and kernel: by who plugged it, and by a look at the host."""

import asyncio
from collections.abc import Callable

import pytest

from fairlead.ports.dataplane import Plugged
from tests.functional.conftest import Host, SandboxMaker, attachment
from tests.functional.namespaces import run

pytestmark = pytest.mark.root

WANTED = attachment(1)


def no_port(host: Host) -> None:
    host.switch.vsctl("del-port", WANTED.host_device)


def no_word_of_ovns(host: Host) -> None:
    """As OVN does where the port is deleted in Neutron."""
    host.switch.vsctl("remove", "Interface", WANTED.host_device, "external_ids", "ovn-installed")


def no_pair(_: Host) -> None:
    run("ip", "link", "delete", WANTED.host_device)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the replica reports to this event loop."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  reports ring nothing here
            await asyncio.sleep(0.005)


async def test_a_port_that_ovn_has_lost_is_not_whole(host: Host) -> None:
    await host.dataplane.apply(WANTED)
    no_word_of_ovns(host)
    await until(lambda: not host.dataplane.is_whole(WANTED))


@pytest.mark.parametrize("undo", [no_port, no_pair])
async def test_what_waits_is_whole_until_somebody_undoes_a_part_of_it(host: Host, undo: Callable[[Host], None]) -> None:
    await host.dataplane.apply(WANTED)
    assert host.dataplane.is_whole(WANTED)
    host.steps.clear()
    undo(host)
    await until(lambda: not host.dataplane.is_whole(WANTED))
    assert host.steps == []
    assert await host.dataplane.plugged() == [
        Plugged(WANTED.port_id if undo is no_pair else WANTED.id, away=False, whole=False, marked=WANTED.id)
    ]
    await host.dataplane.apply(WANTED)
    assert host.dataplane.is_whole(WANTED)
    assert await host.dataplane.plugged() == [Plugged(WANTED.port_id, away=False, marked=WANTED.id)]


async def test_a_container_whose_row_is_gone_has_its_device_all_the_same_and_gets_the_row_again(
    host: Host, sandbox: SandboxMaker
) -> None:
    await host.dataplane.apply(WANTED)
    sandbox().take(WANTED.sandbox_device)
    no_port(host)
    await until(lambda: WANTED.host_device not in host.switch.fairlead_rows())
    assert await host.dataplane.plugged() == [Plugged(WANTED.id, away=True, whole=False, marked=WANTED.id)]
    await host.dataplane.apply(WANTED)
    assert await host.dataplane.plugged() == [Plugged(WANTED.port_id, away=True, marked=WANTED.id)]


async def test_a_port_that_never_was_plugged_is_not_whole(host: Host) -> None:
    assert not host.dataplane.is_whole(WANTED)
