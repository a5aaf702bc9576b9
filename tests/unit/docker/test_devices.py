"""What waits is plugged ahead; what a container has used is plugged anew before the next one has it."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.errors import DataplaneError, SwitchUnavailable, WiringTimeout
from fairlead.model.records import Use
from fairlead.model.vif import Vif
from fairlead_lab.fakes import FakeCloud
from tests.unit.docker.dockerd import Host

SUBNET = "10.20.0.0/24"


@pytest.fixture
async def host(cloud: FakeCloud, tmp_path: Path) -> AsyncIterator[Host]:
    host = Host("h1", cloud.credentials("member"), tmp_path, PoolLimits(floor=2, ceiling=2, cool_down=10.0))
    await host.start()
    yield host
    await host.stop()


def watch(host: Host, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record what the data plane is asked from now on."""
    asked: list[str] = []
    apply, remove = host.dataplane.apply, host.dataplane.remove

    async def told_apply(attachment: Vif) -> None:
        asked.append("apply")
        await apply(attachment)

    async def told_remove(attachment_id: str) -> None:
        asked.append("remove")
        await remove(attachment_id)

    monkeypatch.setattr(host.dataplane, "apply", told_apply)
    monkeypatch.setattr(host.dataplane, "remove", told_remove)
    return asked


async def test_ports_that_wait_are_plugged_and_a_start_or_stop_asks_nothing_of_the_switch(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = await host.network_create(SUBNET)
    await host.behind(5)
    assert len(host.dataplane.attachments) == 2
    asked = watch(host, monkeypatch)
    container = await host.run(network)
    await host.rm(container, behind=False)
    assert asked == []


async def test_devices_of_a_container_go_soon_and_come_anew_after_the_rest(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = await host.network_create(SUBNET)
    await host.behind(5)
    asked = watch(host, monkeypatch)
    await host.rm(await host.run(network))
    await host.behind(1)
    assert asked == ["remove"]
    await host.behind(10)
    assert asked == ["remove", "apply"]
    assert len(host.dataplane.attachments) == 2


async def test_devices_are_worked_on_when_no_start_waits_for_the_processors_or_after_ten_seconds(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = await host.network_create(SUBNET)
    await host.behind(5)
    asked = watch(host, monkeypatch)
    await host.rm(await host.run(network))
    for _ in range(24):
        await host.behind(0.4)
        await host.run(network)
        assert "remove" not in asked
    await host.behind(0.4)
    assert "remove" in asked


async def test_a_port_is_never_given_out_with_the_devices_of_another_container(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = await host.network_create(SUBNET)
    await host.behind(5)
    for _ in range(2):
        await host.rm(await host.run(network), behind=False)
    asked = watch(host, monkeypatch)
    host.clock.time += 10
    await host.run(network)
    assert asked == ["remove", "apply"]


async def test_while_the_switch_is_down_nothing_is_lost(host: Host) -> None:
    network = await host.network_create(SUBNET)
    await host.behind(5)
    container = await host.run(network)
    host.dataplane.broken = SwitchUnavailable("OVSDB is down")
    await host.rm(container)
    host.dataplane.broken = None
    await host.behind(20)
    await host.behind(20)
    assert len(host.dataplane.attachments) == 2
    assert not any(one.dirty for one in host.node.port_table)


async def test_what_waits_goes_with_the_network(host: Host) -> None:
    network = await host.network_create(SUBNET)
    await host.behind(5)
    await host.network_rm(network)
    assert not host.dataplane.attachments


@pytest.mark.parametrize(
    "error",
    [DataplaneError("no"), WiringTimeout("never ready"), SwitchUnavailable("it hangs"), TypeError("int and str")],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("act", ["apply", "remove"])
async def test_a_port_whose_devices_can_not_be_worked_on_keeps_no_other_from_being_plugged(
    host: Host, monkeypatch: pytest.MonkeyPatch, act: str, error: Exception
) -> None:
    network = await host.network_create(SUBNET)
    await host.behind(5)
    for container in [await host.run(network) for _ in range(2)]:
        await host.rm(container, behind=False)
    bad, other = (one.id for one in host.node.port_table.in_use(network.id, Use.RETURNED))
    original = getattr(host.dataplane, act)

    async def fail(what: Vif | str) -> None:
        if bad == (what.id if isinstance(what, Vif) else what):
            raise error
        await original(what)

    monkeypatch.setattr(host.dataplane, act, fail)
    for _ in range(20):
        with suppress(TypeError):  # the supervisor starts the task again
            await host.behind(15)
    assert other in host.dataplane.attachments
    assert other not in {one.id for one in host.node.port_table if one.dirty}
    monkeypatch.undo()
    for _ in range(40):
        await host.behind(15)
    assert bad not in {one.id for one in host.node.port_table if one.dirty}
    assert bad in host.dataplane.attachments
