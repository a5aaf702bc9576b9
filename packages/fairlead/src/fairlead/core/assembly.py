"""The use cases of one node, put together."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import random as by_chance
from typing import Self

from fairlead.core.attachments.allocations import Allocations
from fairlead.core.attachments.endpoints import Endpoints
from fairlead.core.background.attempts import Attempts
from fairlead.core.background.backoff import Backoff
from fairlead.core.background.unawaited import Unawaited
from fairlead.core.background.wake_up import WakeUp
from fairlead.core.networks.lookup import find_network
from fairlead.core.networks.pools import AddressPools
from fairlead.core.reconcile.rebuild import Rebuild
from fairlead.core.reconcile.sweep import Sweep
from fairlead.core.warm.devices import Devices
from fairlead.core.warm.keeper import Keeper
from fairlead.core.warm.networks import Memberships
from fairlead.core.warm.node import Node
from fairlead.core.warm.pools import WarmPools
from fairlead.core.warm.sizing import PoolLimits


@dataclass(frozen=True, slots=True)
class Engine:
    """What front ends call: pools, allocations, memberships, endpoints. What runs beside: devices, keeper, sweep.

    unawaited: what use cases start and do not wait for; to be closed in the end.
    """

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
    unawaited: Unawaited

    @classmethod
    def over(
        cls,
        node: Node,
        limits: PoolLimits,
        *,
        random: Callable[[], float] = by_chance,
        failed: Callable[[str], None] = lambda _task: None,
    ) -> Self:
        """Build the use cases over a node.

        random gives numbers from 0 up to 1. failed is called for unforeseen errors, with the name of what they ended.
        """
        wake_up, backoff, unawaited = WakeUp(), Backoff(random), Unawaited(failed)
        pools, memberships = AddressPools(node, partial(find_network, node), node.nesting.is_on), Memberships(node)
        warm, devices = WarmPools(node, limits, backoff, wake_up.wake, unawaited), Devices(node)
        return cls(
            node=node,
            pools=pools,
            memberships=memberships,
            allocations=Allocations(node, pools, warm),
            endpoints=Endpoints(node, memberships, devices),
            devices=devices,
            warm=warm,
            keeper=Keeper(node, memberships, warm, wake_up=wake_up, backoff=backoff, random=random),
            sweep=Sweep(node, memberships, warm, Attempts(node.clock, backoff, failed=partial(failed, "sweep"))),
            rebuild=Rebuild(node, limits.cool_down),
            unawaited=unawaited,
        )
