"""An apply that can't succeed: it says why, in bounded time, and leaves nothing."""

import asyncio
import time

import pytest

from fairlead.adapters.vif.switched import with_ovn
from fairlead.model.errors import SwitchUnavailable, WiringTimeout
from tests.functional.conftest import TIMEOUT_S, WIRING_S, Host, SandboxMaker, attachment
from tests.functional.namespaces import fairlead_links, links, run
from tests.functional.sweeping import sweep
from tests.functional.switch import BRIDGE, Switch, until

pytestmark = pytest.mark.root

SLACK_S = 5.0  # what a busy machine may add; without its limit a call would wait for ever


async def test_ovn_never_wires_the_port(host: Host) -> None:
    host.controller.awake = False
    started = time.monotonic()
    with pytest.raises(WiringTimeout) as told:
        await host.dataplane.apply(attachment())
    assert WIRING_S <= time.monotonic() - started < WIRING_S + SLACK_S
    assert host.left_over() == set()
    for word in (attachment().port_id, f"within {WIRING_S:g} s", "ovn-controller", "southbound"):
        assert word in str(told.value)
    host.controller.awake = True
    await host.dataplane.apply(attachment())


async def test_the_daemon_does_not_run(host: Host) -> None:
    host.controller.awake = False
    host.switch.stop_daemon()
    with pytest.raises(WiringTimeout, match="ovs-vswitchd running"):
        await host.dataplane.apply(attachment())
    assert host.left_over() == set()
    with pytest.raises(SwitchUnavailable, match="ovs-vswitchd does not follow its database"):
        await host.dataplane.apply(attachment())
    assert host.left_over() == set()
    host.controller.awake = True
    host.switch.start_daemon()
    await host.dataplane.apply(attachment())


async def test_the_switch_can_not_open_the_device(host: Host) -> None:
    host.controller.awake = False
    host.switch.stop_daemon()
    applying = asyncio.create_task(host.dataplane.apply(attachment()))
    await asyncio.to_thread(until, lambda: host.switch.rows("Interface").get(attachment().host_device), "not plugged")
    run("ip", "link", "delete", attachment().host_device)
    host.switch.start_daemon()
    with pytest.raises(WiringTimeout, match=f"can't open {attachment().host_device}"):
        await applying
    assert host.left_over() == set()


async def test_the_caller_gives_up(host: Host) -> None:
    host.controller.awake = False
    for patience in (0.0, 0.001, 0.002, 0.004, 0.008, 0.016, 0.3):
        applying = asyncio.create_task(host.dataplane.apply(attachment()))
        await asyncio.sleep(patience)
        applying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await applying
        assert host.left_over() == set()


async def test_a_container_in_use_keeps_what_it_has(host: Host, sandbox: SandboxMaker) -> None:
    await host.dataplane.apply(attachment())
    container = sandbox()
    container.take(attachment().sandbox_device)
    host.controller.awake = False
    host.switch.vsctl("del-port", attachment().host_device)
    with pytest.raises(WiringTimeout):
        await host.dataplane.apply(attachment())
    assert attachment().host_device in links()
    assert "eth0" in container.run("ip", "-o", "link")


async def test_a_container_in_use_is_plugged_again(host: Host, sandbox: SandboxMaker) -> None:
    wanted = attachment()
    await host.dataplane.apply(wanted)
    container = sandbox()
    container.take(wanted.sandbox_device)
    host.switch.vsctl("del-port", wanted.host_device)
    run("ip", "link", "set", wanted.host_device, "down", "mtu", "1400")
    index = links()[wanted.host_device]["ifindex"]
    await host.dataplane.apply(wanted)
    near = links()[wanted.host_device]
    assert (near["ifindex"], near["mtu"], "UP" in near["flags"]) == (index, wanted.mtu, True)
    assert wanted.host_device in host.switch.rows("Port")


async def test_there_is_no_bridge(switch: Switch) -> None:
    dataplane = with_ovn(bridge="br-none", ovsdb=switch.remote)
    for call in (dataplane.view(), dataplane.apply(attachment())):
        with pytest.raises(SwitchUnavailable, match=r"no bridge br-none.*ovn-controller"):
            await call
    await dataplane.close()
    assert fairlead_links() == set()


async def test_the_database_is_down_when_the_agent_starts(host: Host) -> None:
    host.switch.stop_database()
    started = time.monotonic()
    for call in (host.dataplane.view(), host.dataplane.apply(attachment())):
        with pytest.raises(SwitchUnavailable) as told:
            await call
        for word in (host.switch.remote, "systemctl start openvswitch-switch"):
            assert word in str(told.value)
    assert time.monotonic() - started < 2 * TIMEOUT_S + SLACK_S
    assert fairlead_links() == set()
    host.switch.start_database()
    await host.dataplane.apply(attachment())


async def test_the_database_restarts_between_two_calls(host: Host) -> None:
    await host.dataplane.apply(attachment(1))
    host.switch.stop_database()
    host.switch.start_database()
    await host.dataplane.apply(attachment(2))
    await host.dataplane.remove(attachment(1).id)
    await host.dataplane.remove(attachment(2).id)
    assert host.left_over() == set()


async def test_the_database_restarts_while_ovn_is_awaited(host: Host) -> None:
    host.controller.awake = False
    applying = asyncio.create_task(host.dataplane.apply(attachment()))
    await asyncio.to_thread(until, lambda: host.switch.rows("Interface").get(attachment().host_device), "not plugged")
    host.switch.stop_database()
    host.controller.awake = True
    host.switch.start_database()
    await asyncio.to_thread(until, lambda: host.switch.rows("Interface").get(attachment().host_device), "row is gone")
    host.switch.vsctl("--no-wait", "set", "Interface", attachment().host_device, "external_ids:ovn-installed=true")
    await applying
    assert host.left_over() == {attachment().host_device, attachment().sandbox_device}


async def test_the_database_is_back_after_a_long_time(host: Host) -> None:
    """The longer it is away, the more rarely ovs would look for it by itself."""
    await host.dataplane.view()
    host.switch.stop_database()
    await asyncio.sleep(4)
    host.switch.start_database()
    await host.dataplane.apply(attachment())
    assert host.left_over() == {attachment().host_device, attachment().sandbox_device}


async def test_the_daemon_is_behind_when_a_name_is_used_again(host: Host) -> None:
    """It must have let go of the old device before there is a new one, or no packet would ever pass."""
    await host.dataplane.apply(attachment())
    with host.switch.frozen_daemon():
        await host.dataplane.remove(attachment().id)
        applying = asyncio.create_task(host.dataplane.apply(attachment()))
        await asyncio.sleep(0.3)
        assert not applying.done()
        assert fairlead_links() == set()
    await applying
    assert host.left_over() == {attachment().host_device, attachment().sandbox_device}


async def test_the_database_is_stuck(host: Host) -> None:
    await host.dataplane.view()
    with host.switch.frozen_database():
        started = time.monotonic()
        with pytest.raises(SwitchUnavailable, match="does not answer"):
            await host.dataplane.apply(attachment())
        assert time.monotonic() - started < 2 * TIMEOUT_S + SLACK_S
    await sweep(host.dataplane, set())
    assert host.left_over() == set()
    await host.dataplane.apply(attachment())


async def test_the_database_is_stuck_before_the_first_call(host: Host) -> None:
    with host.switch.frozen_database(), pytest.raises(SwitchUnavailable, match="does not answer"):
        await host.dataplane.view()
    assert (await host.dataplane.view()).bridge == BRIDGE
