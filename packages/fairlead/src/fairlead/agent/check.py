"""`fairlead agent --check`: whether everything that the agent needs is there, and what to do where it is not."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fairlead.adapters.kernel.routes import KernelRoutes
from fairlead.adapters.neutron.credentials import find_cloud
from fairlead.adapters.neutron.service import NeutronService
from fairlead.adapters.store.identity import known_identity
from fairlead.adapters.vif.nic import NicDataplane
from fairlead.agent.auto import settle_mode
from fairlead.agent.clock import SystemClock
from fairlead.agent.doors.door import DoorKind
from fairlead.agent.doors.known import chosen_doors
from fairlead.agent.modes import make_mode
from fairlead.agent.settings import Settings
from fairlead.agent.switch import look_at_switch
from fairlead.agent.unix_server import look_at
from fairlead.core.nesting.address_pairs import PairNesting
from fairlead.core.nesting.own_port import find_own_port
from fairlead.core.nesting.trunk import TrunkNesting
from fairlead.model.errors import DataplaneError, FairleadError, PermissionDenied, SettingsError

_CAP_NET_ADMIN = 12
"""Bit in CapEff, from linux/capability.h."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. text: what was found, or what is wrong; remedy: what to do then."""

    what: str
    ok: bool
    text: str
    remedy: str = ""


async def check(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Look at Keystone, Neutron, the switch or (on an instance) the node's port, and the kernel, each for itself.

    And whether each door's socket can be had. Where the mode is `auto`, what it comes to is found out first; nothing is
    remembered of it.
    """
    mode: list[Finding] = []
    if settings.agent.mode == "auto":
        try:
            settings, choice = await settle_mode(settings, environ)
            mode = [Finding("mode", ok=True, text=f"{choice.mode}: {choice.why}")]
        except FairleadError as error:
            mode = [Finding("mode", ok=False, text=error.message, remedy=error.remedy)]
    return [
        *mode,
        await _finding("cloud", lambda: _cloud(settings, environ)),
        *[await _finding(what, look) for what, look in _of_mode(settings, environ)],
        await _finding("kernel", _kernel),
        await _finding("state", lambda: _state(settings)),
        *[await _finding(what, look) for what, look in _of_doors(settings)],
    ]


def _of_mode(settings: Settings, environ: Mapping[str, str]) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
    """What the mode needs beside."""
    match settings.agent.mode:
        case "auto":
            return []
        case "ovs":
            return [("switch", lambda: _switch(settings))]
        case "routed":
            return [("port", lambda: _port(settings, environ))]
        case _:
            return [("port", lambda: _nic(settings, environ)), ("devices", lambda: _devices(settings, environ))]


def _of_doors(settings: Settings) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
    """One look at each door's socket, or the one that says why there are no such doors."""
    try:
        kinds = chosen_doors(settings)
    except SettingsError as error:
        return [("doors", partial(_raise, error))]
    return [(kind.name, partial(_door, kind, settings)) for kind in kinds]


async def _raise(error: FairleadError) -> str:
    raise error


async def _door(kind: DoorKind, settings: Settings) -> str:
    return f"door {kind.name}: {look_at(Path(kind.socket(settings)))}"


async def _finding(what: str, look: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(what, ok=True, text=await look())
    except FairleadError as error:
        return Finding(what, ok=False, text=error.message, remedy=error.remedy)


async def _cloud(settings: Settings, environ: Mapping[str, str]) -> str:
    async with _neutron(settings, environ) as neutron:
        view = await neutron.view()
    if not view.roles & {"reader", "admin"}:
        # Implied roles are not added to an application credential's own: `--role member` alone leaves reader out.
        raise PermissionDenied(
            f"user {view.user} in project {view.project} has no role reader (it has {', '.join(sorted(view.roles))}),"
            " without which Neutron's default policy shows it nothing",
            remedy="make the application credential without --role, or with --role reader as well",
        )
    binding = "may bind ports to this host" if view.may_bind else "may not bind ports, which OVN does not need"
    roles = ", ".join(sorted(view.roles))
    return f"Keystone and Neutron answer; user {view.user} in project {view.project} (roles {roles}) {binding}"


async def _switch(settings: Settings) -> str:
    view = await look_at_switch(settings)
    wired = "OVN connected" if view.ovn_controller else "Neutron says what is wired"
    return f"host {settings.agent.host or view.host}, bridge {view.bridge} ({view.datapath} datapath), {wired}"


async def _port(settings: Settings, environ: Mapping[str, str]) -> str:
    async with _neutron(settings, environ) as neutron:
        port = await find_own_port(neutron, KernelRoutes())
        routers = await neutron.find_routers([fixed.subnet_id for fixed in port.fixed_ips])
    security = "on" if port.port_security else "off, so it needs no address pairs"
    names = ", ".join(router.name or router.id for router in routers) or "none: nodes must be on one subnet"
    return f"this node's port is {port.id}; port security is {security}; routers of its subnets: {names}"


async def _nic(settings: Settings, environ: Mapping[str, str]) -> str:
    async with _neutron(settings, environ) as neutron:
        match make_mode(settings, neutron, SystemClock()).nesting:
            case TrunkNesting() as nesting:
                trunk = await nesting.trunk()
                return (
                    f"this node's port is {trunk.port_id}, its trunk {trunk.id} with {len(trunk.sub_ports)} sub-ports"
                )
            case PairNesting() as nesting:
                port = await nesting.port()
                return (
                    f"this node's port is {port.id} on network {port.network_id}, where containers will be;"
                    f" it has {len(port.address_pairs)} address pairs, of which Neutron's default allows 10"
                )
            case _:
                return ""


async def _devices(settings: Settings, environ: Mapping[str, str]) -> str:
    async with _neutron(settings, environ) as neutron:
        dataplane = make_mode(settings, neutron, SystemClock()).dataplane
        try:
            if isinstance(dataplane, NicDataplane):
                await dataplane.check()
            view = await dataplane.view()
        finally:
            await dataplane.close()
    return f"host {settings.agent.host or view.host}, {view.datapath} devices over {view.bridge}"


def _neutron(settings: Settings, environ: Mapping[str, str]) -> NeutronService:
    config = find_cloud(settings.cloud.name, environ=environ)
    return NeutronService(config, connect_timeout=settings.cloud.connect_timeout, total_timeout=settings.cloud.timeout)


async def _kernel() -> str:
    status = Path("/proc/self/status").read_text()
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
    if not effective & (1 << _CAP_NET_ADMIN):
        raise DataplaneError("no permission to make network devices", remedy="run the agent as root")
    return f"Linux {os.uname().release}, may make network devices"


async def _state(settings: Settings) -> str:
    directory = Path(settings.agent.state_dir)
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        raise DataplaneError(f"can't write {directory}", remedy="run as root, or set agent.state_dir")
    node_id = known_identity(directory)
    return f"state in {directory}, {f'node {node_id}' if node_id else 'where the node gets its id at the first start'}"
