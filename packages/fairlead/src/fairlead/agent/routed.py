"""The parts of a node in mode `routed`: containers have addresses of the node's blocks, and each block is a lease."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import random

from fairlead.adapters.kernel.nft import NftGuard
from fairlead.adapters.kernel.ruleset import Openings
from fairlead.adapters.sandbox.sandboxes import KernelSandboxes
from fairlead.adapters.vif.veth_routes import RoutedDataplane, become_router
from fairlead.agent.behind import keeping, prepared
from fairlead.agent.ground import Ground
from fairlead.agent.hints import Hints
from fairlead.agent.leases import lease_keeping
from fairlead.agent.memory import give_back_memory
from fairlead.agent.metrics import Addresses
from fairlead.agent.parts import Containers, Parts
from fairlead.agent.runtime import runtime_of
from fairlead.agent.settings import RoutedSettings
from fairlead.core.assembly import BlockCore
from fairlead.core.background.supervision import Task


def _openings(chosen: RoutedSettings) -> Openings:
    return Openings(chosen.port, host=chosen.containers_reach_host, metadata=chosen.containers_reach_metadata)


@asynccontextmanager
async def routed_parts(ground: Ground) -> AsyncIterator[Parts]:
    """Build the parts while the context lasts. What is remembered is kept up whichever doors there are."""
    metrics, settings = ground.metrics, ground.settings
    metrics.show(Addresses(ground.store))
    leases = lease_keeping(ground, asyncio.Lock())
    node, reconciler = leases.leases.node, leases.reconciler
    dataplane = RoutedDataplane(on_exchange=lambda count, seconds: metrics.dataplane_step("netlink", seconds, count))
    hints, name = Hints(settings.routed.port, node.routing.nic), settings.agent.host or socket.gethostname()
    core = BlockCore.over(
        node,
        reconciler,
        dataplane,
        NftGuard(_openings(settings.routed)),
        KernelSandboxes(),
        name=name,
        runtime=runtime_of(settings),
        tell=hints.tell,
        random=random,
        failed=metrics.background_failure,
    )
    ready = asyncio.Event()

    async def begin() -> None:
        become_router((await node.routing.nic()).name)
        await core.rebuild.ensure()
        await core.blocks.guarding.bring()

    yield Parts(
        containers=Containers(core.networks, core.attachments, core.rebuild.ensure, core.reconciliation),
        leases=leases,
        tasks=(
            Task("hints", partial(hints.listen, core.keeper.look, ground.clock)),
            prepared("memory", begin, "not ready", ready, ground.clock),
            *(keeping(name, steps, ready) for name, steps in core.behind.items()),
            Task("free memory", lambda: give_back_memory(ground.clock)),
        ),
    )
