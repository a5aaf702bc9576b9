"""A crash after any step: what comes next finishes the work or undoes it."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.functional import crashing
from tests.functional.conftest import Host, attachment
from tests.functional.namespaces import fairlead_links, links, run
from tests.functional.sweeping import sweep
from tests.functional.switch import BRIDGE

pytestmark = pytest.mark.root

WANTED = attachment()

FRESH = ["netlink", "netlink", "host stack", "offload", "transaction", "wiring"]
"""The steps of an apply where nothing is there."""

MENDING = ["netlink", "transaction", *FRESH[1:]]
"""The steps of an apply that makes a pair anew: the switch has to let go of the old one first."""

REMOVE = ["transaction", "netlink", "netlink"]


def spoil_mtu() -> None:
    run("ip", "link", "set", WANTED.sandbox_device, "mtu", "1300")


def lose_device() -> None:
    run("ip", "link", "delete", WANTED.host_device)


async def crash(host: Host, call: str, steps: list[str]) -> None:
    """Make the call in another process, and see that it died just after these steps."""
    program = [sys.executable, crashing.__file__, call, str(len(steps))]
    arguments = [host.switch.remote, BRIDGE, json.dumps(asdict(WANTED))]
    done = await asyncio.to_thread(
        subprocess.run, [*program, *arguments], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout.split("\n")[:-1], done.stderr) == (crashing.CRASHED, steps, "")


async def finish(host: Host) -> None:
    await host.dataplane.apply(WANTED)
    near, far = links()[WANTED.host_device], links()[WANTED.sandbox_device]
    assert fairlead_links() == {WANTED.host_device, WANTED.sandbox_device}
    assert (near["mtu"], far["mtu"], far["address"]) == (WANTED.mtu, WANTED.mtu, WANTED.mac)
    assert ("UP" in near["flags"], "UP" in far["flags"]) == (True, False)
    assert Path(f"/proc/sys/net/ipv6/conf/{WANTED.host_device}/disable_ipv6").read_text().strip() == "1"
    for end in (WANTED.host_device, WANTED.sandbox_device):
        (features,) = json.loads(run("ethtool", "--json", "-k", end))
        assert features["tx-checksum-ip-generic"]["active"] is False
    interface = host.switch.rows("Interface")[WANTED.host_device]
    assert interface["external_ids"]["iface-id"] == WANTED.port_id
    assert interface["external_ids"]["ovn-installed"] == "true"
    assert host.switch.rows("Port")[WANTED.host_device]["_uuid"] in host.switch.rows("Bridge")[BRIDGE]["ports"]
    await host.dataplane.remove(WANTED.id)


async def remove(host: Host) -> None:
    await host.dataplane.remove(WANTED.id)


async def sweep_all(host: Host) -> None:
    expected = [WANTED.id] if host.left_over() else []
    assert await sweep(host.dataplane, set()) == expected


def after_each(steps: list[str]) -> list[list[str]]:
    return [steps[: number + 1] for number in range(len(steps))]


@pytest.mark.parametrize("then", [finish, remove, sweep_all])
@pytest.mark.parametrize("steps", after_each(FRESH), ids=len)
async def test_apply_crashes(host: Host, steps: list[str], then: Callable[[Host], Awaitable[None]]) -> None:
    await crash(host, "apply", steps)
    await then(host)
    assert host.left_over() == set()


@pytest.mark.parametrize("then", [finish, sweep_all])
@pytest.mark.parametrize("spoil", [spoil_mtu, lose_device])
@pytest.mark.parametrize("steps", after_each(MENDING), ids=len)
async def test_apply_crashes_while_it_mends(
    host: Host, steps: list[str], spoil: Callable[[], None], then: Callable[[Host], Awaitable[None]]
) -> None:
    await host.dataplane.apply(WANTED)
    spoil()
    await crash(host, "apply", steps)
    await then(host)
    assert host.left_over() == set()


@pytest.mark.parametrize("then", [finish, remove, sweep_all])
@pytest.mark.parametrize("steps", after_each(REMOVE), ids=len)
async def test_remove_crashes(host: Host, steps: list[str], then: Callable[[Host], Awaitable[None]]) -> None:
    await host.dataplane.apply(WANTED)
    await crash(host, "remove", steps)
    await then(host)
    assert host.left_over() == set()
