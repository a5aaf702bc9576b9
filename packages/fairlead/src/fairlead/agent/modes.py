"""An attachment mode's two parts: the data plane, which makes devices, and the nesting, which brings ports here."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from fairlead.adapters.kernel.routes import KernelRoutes
from fairlead.adapters.vif.nic import IPVLAN, VLAN, Kind, NicDataplane
from fairlead.adapters.vif.ovs import OvsDataplane, Step
from fairlead.adapters.vif.switched import with_ml2_ovs, with_ovn
from fairlead.adapters.wired.nothing import NothingToWaitFor
from fairlead.agent.settings import Settings
from fairlead.core.nesting.address_pairs import PairNesting
from fairlead.core.nesting.nesting import Nesting, OnChassis
from fairlead.core.nesting.trunk import TrunkNesting
from fairlead.model.errors import SettingsError
from fairlead.ports.clock import Clock
from fairlead.ports.network_service import NetworkService


@dataclass(frozen=True, slots=True)
class Mode:
    """The parts of one mode. Close the data plane in the end."""

    dataplane: OvsDataplane | NicDataplane
    nesting: Nesting


def make_mode(
    settings: Settings,
    network_service: NetworkService,
    clock: Clock,
    on_step: Callable[[Step], None] = lambda _step: None,
    *,
    port_lock: asyncio.Lock | None = None,
) -> Mode:
    """Make the parts of the mode that is set, for containers that have ports.

    port_lock: of whoever changes the pairs of the node's own port; None: nobody else does. Raises SettingsError for a
    mode that can't work.
    """
    routing = KernelRoutes()

    def over_nic(kind: Kind) -> NicDataplane:
        def note(count: int, seconds: float) -> None:
            on_step(Step("netlink", seconds, count))

        # A sub-port's ACTIVE is waited for where it is nested, behind the pool; the device itself needs nobody.
        return NicDataplane(kind, routing, NothingToWaitFor(), on_exchange=note)

    match settings.agent.mode:
        case "trunk":
            return Mode(over_nic(VLAN), TrunkNesting(network_service, routing, clock))
        case "ipvlan":
            return Mode(over_nic(IPVLAN), PairNesting(network_service, routing, port_lock or asyncio.Lock()))
        case "macvlan":
            raise SettingsError(
                "mode macvlan can't work: Neutron on OVN lets no MAC but its own through an instance's port",
                remedy="set agent.mode to ipvlan, which shares that MAC, or to trunk",
            )
        case _:
            ovs = settings.ovs
            join = partial(with_ml2_ovs, network_service, clock) if ovs.wired == "neutron" else with_ovn
            dataplane = join(
                ovsdb=ovs.db,
                bridge=ovs.bridge,
                timeout=ovs.timeout,
                wiring_timeout=ovs.wiring_timeout,
                on_step=on_step,
            )
            return Mode(dataplane, OnChassis())
