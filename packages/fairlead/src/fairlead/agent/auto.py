"""`agent.mode = "auto"`: the mode follows from what the node is, and is remembered."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fairlead.adapters.kernel.routes import KernelRoutes
from fairlead.adapters.neutron.credentials import find_cloud
from fairlead.adapters.neutron.service import NeutronService
from fairlead.adapters.store.folder import open_folder
from fairlead.adapters.vif.switched import with_ovn
from fairlead.agent.settings import Settings, with_mode
from fairlead.core.nesting.own_port import find_own_port
from fairlead.model.errors import NotFound, StoreError, SwitchUnavailable, UnsupportedRequest

FILE = "mode"
"""In the state folder: what was chosen. What the node holds in one mode, another would not know of."""

CHOICES = ("ovs", "trunk", "routed")


@dataclass(frozen=True, slots=True)
class Choice:
    """A mode, and why it is that one."""

    mode: str
    why: str


async def settle_mode(settings: Settings, environ: Mapping[str, str]) -> tuple[Settings, Choice]:
    """Return settings in which the mode is no longer `auto`, and why it is what it is.

    Raises NotFound where the node is neither a host of OVN's nor an instance of this project's, StoreError, and what
    NetworkService raises.
    """
    if settings.agent.mode != "auto":
        return settings, Choice(settings.agent.mode, "it is set")
    choice = _remembered(Path(settings.agent.state_dir) / FILE) or await choose(settings, environ)
    return with_mode(settings, choice.mode), choice


def remember(settings: Settings, choice: Choice) -> None:
    """Keep the choice for the next start. Raises StoreError."""
    path = Path(settings.agent.state_dir) / FILE
    try:
        open_folder(path.parent)
        path.write_text(f"{choice.mode}\n")
    except OSError as error:
        raise StoreError(
            f"can't write {path}: {error.strerror}", remedy="run as root, or set agent.state_dir"
        ) from error


async def choose(settings: Settings, environ: Mapping[str, str]) -> Choice:
    """Ask the switch first, and Neutron, by the NIC's MAC, where there is none. Raises as `settle_mode`."""
    ovs = with_ovn(ovsdb=settings.ovs.db, bridge=settings.ovs.bridge, timeout=settings.ovs.timeout)
    try:
        view = await ovs.view()
        if view.ovn_controller:
            return Choice("ovs", f"OVN is connected to this host's bridge {view.bridge}")
        switch = "Open vSwitch is here, without OVN"
    except SwitchUnavailable:
        switch = "no Open vSwitch with OVN's bridge is here"
    finally:
        await ovs.close()
    config = find_cloud(settings.cloud.name, environ=environ)
    timeouts = settings.cloud
    async with NeutronService(
        config, connect_timeout=timeouts.connect_timeout, total_timeout=timeouts.timeout
    ) as neutron:
        try:
            port = await find_own_port(neutron, KernelRoutes())
        except NotFound as error:
            raise NotFound(
                f"no mode fits this node: {switch}, and {error.message}",
                remedy="start Open vSwitch and ovn-controller on a host of the fabric; give an agent on an instance"
                " credentials of the instance's own project",
            ) from error
        if await _has_trunk(neutron, port.id):
            return Choice("trunk", f"{switch}, and this node's port {port.id} has a trunk")
    return Choice("routed", f"{switch}, and this node's port {port.id} has no trunk")


async def _has_trunk(neutron: NeutronService, port_id: str) -> bool:
    try:
        return bool(await neutron.find_trunks(port_id))
    except UnsupportedRequest:
        return False


def _remembered(path: Path) -> Choice | None:
    try:
        mode = path.read_text().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(
            f"can't read {path}: {error.strerror}", remedy="run as root, or set agent.state_dir"
        ) from error
    return Choice(mode, f"it was chosen at an earlier start, says {path}") if mode in CHOICES else None
