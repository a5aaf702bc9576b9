"""A host for each test: its own network namespace, Open vSwitch, and stand-in for ovn-controller."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from fairlead.adapters.vif.ovs import OvsDataplane, Step
from fairlead.adapters.vif.switched import with_ovn
from fairlead.model.vif import Vif
from tests.functional.controller import Controller
from tests.functional.namespaces import Sandbox, fairlead_links, new_namespace
from tests.functional.switch import BRIDGE, Switch

TIMEOUT_S = 2.5  # of one transaction, a reconnection (which ovs begins after a second) included
WIRING_S = 1.5
PROGRAMS = ("ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovsdb-tool", "ip", "nsenter", "unshare", "ethtool", "busybox")


@pytest.fixture(scope="session", autouse=True)
def _machine() -> None:
    """Say what is missing, instead of skipping or failing obscurely."""
    if os.geteuid() != 0:
        pytest.fail('these tests make network namespaces: run them as root, or leave them out with -m "not root"')
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)} (Debian: openvswitch-switch iproute2 ethtool busybox-static)")


@dataclass
class Host:
    """What a test sees of its host. steps: what the data plane reported, oldest first."""

    switch: Switch
    controller: Controller
    dataplane: OvsDataplane
    steps: list[Step] = field(default_factory=list)

    def left_over(self) -> set[str]:
        """Everything of Fairlead's by name, in the kernel and in OVSDB."""
        return fairlead_links() | self.switch.fairlead_rows()


SandboxMaker = Callable[[], Sandbox]


@pytest.fixture
def namespace() -> Iterator[None]:
    with new_namespace():
        yield


@pytest.fixture
def switch(namespace: None, tmp_path: Path) -> Iterator[Switch]:
    switch = Switch(tmp_path)
    try:
        switch.start_database()
        switch.start_daemon()
        switch.make_bridge()
        yield switch
    finally:
        switch.close()


@pytest_asyncio.fixture
async def controller(switch: Switch) -> AsyncIterator[Controller]:
    controller = Controller(switch.remote)
    work = asyncio.create_task(controller.run())
    yield controller
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


@pytest_asyncio.fixture
async def host(switch: Switch, controller: Controller) -> AsyncIterator[Host]:
    steps: list[Step] = []
    dataplane = with_ovn(
        bridge=BRIDGE, ovsdb=switch.remote, timeout=TIMEOUT_S, wiring_timeout=WIRING_S, on_step=steps.append
    )
    yield Host(switch, controller, dataplane, steps)
    await dataplane.close()


@pytest.fixture
def sandbox(namespace: None) -> Iterator[SandboxMaker]:
    """Make containers' namespaces; they end with the test."""
    made: list[Sandbox] = []

    def make() -> Sandbox:
        made.append(Sandbox())
        return made[-1]

    yield make
    for each in made:
        each.close()


def attachment(number: int = 1, *, mtu: int = 1442) -> Vif:
    """An attachment like any other; different numbers differ in everything."""
    return Vif(
        id=f"{number:011x}" + "e" * 53,
        port_id=f"00000000-0000-4000-8000-{number:012x}",
        mac=f"fa:16:3e:00:00:{number:02x}",
        mtu=mtu,
        network_id="11111111-2222-4333-8444-555555555555",
    )
