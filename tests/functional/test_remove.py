"""Remove and sweep: what goes, and what must stay."""

import pytest

from fairlead.model.errors import DataplaneError, FairleadError, SwitchUnavailable
from tests.functional.conftest import Host, SandboxMaker, attachment
from tests.functional.namespaces import fairlead_links, links, run
from tests.functional.sweeping import sweep
from tests.functional.switch import BRIDGE

pytestmark = pytest.mark.root


async def test_leaves_nothing(host: Host) -> None:
    before = set(links()), set(host.switch.rows("Port")), set(host.switch.rows("Interface"))
    await host.dataplane.apply(attachment())
    await host.dataplane.remove(attachment().id)
    assert (set(links()), set(host.switch.rows("Port")), set(host.switch.rows("Interface"))) == before


async def test_takes_the_sandbox_end_out_of_its_sandbox(host: Host, sandbox: SandboxMaker) -> None:
    await host.dataplane.apply(attachment())
    container = sandbox()
    container.take(attachment().sandbox_device)
    await host.dataplane.remove(attachment().id)
    assert "eth0" not in container.run("ip", "-o", "link")
    assert host.left_over() == set()


async def test_is_fine_where_nothing_is_left(host: Host) -> None:
    await host.dataplane.remove(attachment().id)
    await host.dataplane.apply(attachment())
    await host.dataplane.remove(attachment().id)
    await host.dataplane.remove(attachment().id)
    assert host.left_over() == set()


async def test_removes_a_row_whose_device_is_gone(host: Host) -> None:
    await host.dataplane.apply(attachment())
    run("ip", "link", "delete", attachment().host_device)
    await host.dataplane.remove(attachment().id)
    assert host.left_over() == set()


async def test_removes_devices_whose_row_is_gone(host: Host) -> None:
    await host.dataplane.apply(attachment())
    host.switch.vsctl("del-port", attachment().host_device)
    await host.dataplane.remove(attachment().id)
    assert host.left_over() == set()


async def test_removes_a_port_from_whatever_bridge_it_is_on(host: Host) -> None:
    await host.dataplane.apply(attachment())
    device = attachment().host_device
    row = host.switch.rows("Port")[device]["_uuid"]
    host.switch.vsctl("add-br", "other", "--", "set", "Bridge", "other", "datapath_type=netdev")
    host.switch.vsctl("remove", "Bridge", BRIDGE, "ports", row, "--", "add", "Bridge", "other", "ports", row)
    await host.dataplane.remove(attachment().id)
    assert host.left_over() == set()


async def test_deletes_the_devices_though_the_switch_is_silent(host: Host) -> None:
    await host.dataplane.apply(attachment())
    host.switch.stop_database()
    with pytest.raises(SwitchUnavailable, match="does not answer"):
        await host.dataplane.remove(attachment().id)
    assert fairlead_links() == set()


async def test_unplugs_though_the_kernel_refuses_and_tells_of_every_failure(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_attachment_id: str) -> None:
        raise DataplaneError("the kernel does not delete it")

    await host.dataplane.apply(attachment())
    monkeypatch.setattr(host.dataplane._links, "remove", refuse)
    with pytest.raises(DataplaneError, match="does not delete it"):
        await host.dataplane.remove(attachment().id)
    assert host.switch.fairlead_rows() == set()

    host.switch.stop_database()
    with pytest.raises(FairleadError) as told:
        await host.dataplane.remove(attachment().id)
    assert "does not delete it" in str(told.value)
    assert "does not answer" in str(told.value)


async def test_sweep_removes_all_but_the_known(host: Host) -> None:
    for number in range(5):
        await host.dataplane.apply(attachment(number))
    run("ip", "link", "delete", attachment(2).host_device)
    host.switch.vsctl("del-port", attachment(3).host_device)
    assert await sweep(host.dataplane, {attachment(0).id, attachment(1).id}) == [attachment(n).id for n in (2, 3, 4)]
    assert host.switch.fairlead_rows() == {attachment(n).host_device for n in (0, 1)}
    assert fairlead_links() == {
        end for n in (0, 1) for end in (attachment(n).host_device, attachment(n).sandbox_device)
    }
    assert await sweep(host.dataplane, {attachment(0).id, attachment(1).id}) == []


async def test_sweep_touches_nothing_unmarked(host: Host) -> None:
    theirs = attachment(1)
    run("ip", "link", "add", theirs.host_device, "type", "veth", "peer", "name", theirs.sandbox_device)
    run("ip", "link", "add", "copied", "type", "veth", "peer", "name", "peer")
    run("ip", "link", "set", "copied", "alias", f"fairlead:{theirs.id}")
    run("ip", "link", "set", theirs.sandbox_device, "alias", "fairleader")
    for device in (theirs.host_device, "copied"):
        host.switch.vsctl("add-port", BRIDGE, device)
    host.switch.vsctl("set", "Interface", "copied", f"external_ids:fairlead-attachment={theirs.id}")
    before = links(), host.switch.rows("Port")
    assert await sweep(host.dataplane, set()) == []
    assert (links(), host.switch.rows("Port")) == before
