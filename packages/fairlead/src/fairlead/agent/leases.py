"""Leases on the node's own port: in mode `routed` Docker's as well, in each other mode flannel's alone."""

import asyncio
from functools import partial
from random import random

from fairlead.adapters.kernel.routes import KernelRoutes
from fairlead.adapters.vif.veth_routes import become_router
from fairlead.agent.behind import keeping, prepared
from fairlead.agent.ground import Ground
from fairlead.agent.parts import LeaseKeeping
from fairlead.core.background.supervision import Task
from fairlead.core.blocks.leases import Leases
from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.reconciler import Reconciler


def lease_keeping(ground: Ground, port_lock: asyncio.Lock) -> LeaseKeeping:
    """Build it. port_lock: of whoever changes the pairs and groups of the node's own port."""
    node = RoutedNode(ground.neutron, KernelRoutes(), ground.store, ground.clock, port_lock)
    failed = partial(ground.metrics.background_failure, "reconciler")
    reconciler = Reconciler(node, random=random, failed=failed)
    return LeaseKeeping(Leases(node, reconciler.wake), reconciler)


def tasks_of_leases(ground: Ground, kept: LeaseKeeping) -> tuple[Task, ...]:
    """Return what keeps leases where nothing else of mode `routed` is there."""
    ready = asyncio.Event()

    async def begin() -> None:
        become_router((await kept.leases.node.routing.nic()).name)

    return (
        prepared("leases", begin, "not ready", ready, ground.clock),
        *(keeping(name, steps, ready) for name, steps in kept.reconciler.behind.items()),
    )
