"""The use cases of one node, put together."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import random as by_chance
from typing import Self

from fairlead.engine.allocations import Allocations
from fairlead.engine.bell import Bell
from fairlead.engine.devices import Devices
from fairlead.engine.endpoints import Endpoints
from fairlead.engine.keeper import Keeper
from fairlead.engine.lookup import find_network
from fairlead.engine.membership import Memberships
from fairlead.engine.node import Node
from fairlead.engine.pace import Pace
from fairlead.engine.pools import AddressPools
from fairlead.engine.rebuild import Rebuild
from fairlead.engine.sizing import PoolLimits
from fairlead.engine.sweep import Sweep
from fairlead.engine.warm import WarmPools


@dataclass(frozen=True, slots=True)
class Engine:
    """What front ends call: pools, allocations, memberships, endpoints. What runs beside: devices, keeper, sweep."""

    node: Node
    pools: AddressPools
    memberships: Memberships
    allocations: Allocations
    endpoints: Endpoints
    devices: Devices
    warm: WarmPools
    keeper: Keeper
    sweep: Sweep
    rebuild: Rebuild

    @classmethod
    def over(cls, node: Node, limits: PoolLimits, *, random: Callable[[], float] = by_chance) -> Self:
        """Build the use cases over a node. random gives numbers from 0 up to 1."""
        bell, pace = Bell(), Pace(random)
        pools, memberships = AddressPools(node, partial(find_network, node), node.binding.is_on), Memberships(node)
        warm, devices = WarmPools(node, limits, pace, bell.ring), Devices(node)
        return cls(
            node=node,
            pools=pools,
            memberships=memberships,
            allocations=Allocations(node, pools, warm),
            endpoints=Endpoints(node, memberships, devices),
            devices=devices,
            warm=warm,
            keeper=Keeper(node, memberships, warm, bell=bell, pace=pace, random=random),
            sweep=Sweep(node, memberships, warm),
            rebuild=Rebuild(node, limits.cool_down),
        )
