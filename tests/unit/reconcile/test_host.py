"""This host compared with what is remembered: devices and rows that are lost, or left over."""

from dataclasses import replace

import pytest

from fairlead.model.errors import DataplaneError
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import Plugged
from tests.unit.docker.dockerd import Host

SUBNET = "10.20.0.0/24"


async def test_a_device_that_was_plugged_ahead_and_lost_is_plugged_again_at_join(pooled: Host) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    await pooled.behind(10)
    assert len(pooled.dataplane.attachments) == 3
    pooled.dataplane.attachments.clear()
    container = await pooled.run(network)
    device = container.join["InterfaceName"]["SrcName"]
    assert device in {one.sandbox_device for one in pooled.dataplane.attachments.values()}


async def test_devices_that_wait_and_are_lost_are_plugged_again_before_anybody_needs_them(pooled: Host) -> None:
    await pooled.network_create(SUBNET)
    await pooled.behind(10)
    await pooled.behind(10)
    before = dict(pooled.dataplane.attachments)
    pooled.dataplane.attachments.clear()
    await pooled.patient(60)
    assert pooled.dataplane.attachments == before


async def test_a_running_containers_row_that_is_lost_is_made_again(
    pooled: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = await pooled.network_create(SUBNET)
    container = await pooled.run(network)
    (vif,) = [one for one in pooled.dataplane.attachments.values() if one.id in pooled.dataplane.away]
    plugged, applied = pooled.dataplane.plugged, pooled.dataplane.apply
    again: list[Vif] = []

    async def without_the_row() -> list[Plugged]:
        return [replace(one, whole=bool(again) or one.port_id != vif.id) for one in await plugged()]

    async def apply(asked: Vif) -> None:
        again.append(asked)
        await applied(asked)

    monkeypatch.setattr(pooled.dataplane, "plugged", without_the_row)
    monkeypatch.setattr(pooled.dataplane, "apply", apply)
    await pooled.core.reconciliation.step()
    assert again == [vif]
    assert pooled.node.port_table.of_owner(container.endpoint_id)


async def test_what_belongs_to_no_port_is_removed_at_the_first_look(pooled: Host) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.run(network)
    known = dict(pooled.dataplane.attachments)
    pooled.dataplane.attachments["orphan"] = Vif("orphan", "orphan", "02:00:00:00:00:01", 1442)
    await pooled.core.reconciliation.step()
    assert pooled.dataplane.attachments == known


async def test_a_dry_run_tells_the_plan_and_changes_nothing_and_then_it_is_done(pooled: Host) -> None:
    network = await pooled.network_create(SUBNET)
    await pooled.behind(10)
    running = await pooled.run(network)
    pooled.dataplane.attachments["orphan"] = Vif("orphan", "orphan", "02:00:00:00:00:01", 1442)
    await pooled.behind(60)
    pooled.rm_unheard(running)
    before = (dict(pooled.dataplane.attachments), list(pooled.node.port_table))
    plan = await pooled.core.reconciliation.reconcile(dry_run=True)
    assert (dict(pooled.dataplane.attachments), list(pooled.node.port_table)) == before
    address = running.address.split("/")[0]
    assert [(one.state, one.finding.what, one.finding.act) for one in plan.outcomes] == [
        ("would", "device of orphan", "remove it"),
        ("would", f"container's attachment {running.endpoint_id[:12]} ({address})", "detach it"),
    ]
    done = await pooled.core.reconciliation.reconcile(dry_run=False)
    assert [(one.finding, one.state) for one in done.outcomes] == [(one.finding, "done") for one in plan.outcomes]
    assert not (await pooled.core.reconciliation.reconcile(dry_run=True)).outcomes


async def test_one_that_can_not_be_mended_is_told_of_and_keeps_no_other_from_it(
    pooled: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for orphan in ("one", "two"):
        pooled.dataplane.attachments[orphan] = Vif(orphan, orphan, "02:00:00:00:00:01", 1442)
    remove = pooled.dataplane.remove

    async def refuse(attachment_id: str) -> None:
        if attachment_id == "one":
            raise DataplaneError("the kernel does not delete it")
        await remove(attachment_id)

    monkeypatch.setattr(pooled.dataplane, "remove", refuse)
    report = await pooled.core.reconciliation.reconcile(dry_run=False)
    assert [(one.state, one.error) for one in report.outcomes] == [
        ("failed", "the kernel does not delete it"),
        ("done", ""),
    ]
    assert set(pooled.dataplane.attachments) == {"one"}
