"""The parts of a node in mode `routed`: containers have addresses of the node's blocks, and each block is a lease."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import random

from fairlead.adapters.vif.nft import NftGuard
from fairlead.adapters.vif.veth_routes import RoutedDataplane, become_router
from fairlead.agent.behind import keeping, prepared
from fairlead.agent.ground import Ground
from fairlead.agent.hints import Hints
from fairlead.agent.leases import lease_keeping
from fairlead.agent.metrics import Addresses
from fairlead.agent.parts import Containers, Parts
from fairlead.core.attachments.block_endpoints import Endpoints
from fairlead.core.background.supervision import Task
from fairlead.core.blocks.addresses import Addresses as BlockAddresses
from fairlead.core.blocks.keeper import NetworkKeeper
from fairlead.core.blocks.networks import Networks
from fairlead.core.networks.pools import AddressPools
from fairlead.core.reconcile.rebuild_blocks import Rebuild
from fairlead.model.network import IPNetwork, Network
from fairlead.model.records import NetworkReference


@asynccontextmanager
async def routed_parts(ground: Ground) -> AsyncIterator[Parts]:
    """Build the parts while the context lasts. What is remembered is kept up whichever doors there are."""
    metrics, settings = ground.metrics, ground.settings
    metrics.show(Addresses(ground.store))
    leases = lease_keeping(ground, asyncio.Lock())
    node, reconciler = leases.leases.node, leases.reconciler
    dataplane = RoutedDataplane(on_exchange=lambda count, seconds: metrics.dataplane_step("netlink", seconds, count))
    hints, name = Hints(settings.routed.port), settings.agent.host or socket.gethostname()
    networks = Networks(node, reconciler, dataplane, NftGuard(), name=name, tell=hints.tell)
    pools = AddressPools(node, nothing_to_adopt, on_no_range)
    addresses, endpoints = BlockAddresses(networks, pools), Endpoints(networks, dataplane)
    failed = partial(metrics.background_failure, "networks")
    keeper = NetworkKeeper(networks, addresses, random=random, failed=failed)
    rebuild, ready = Rebuild(networks, dataplane), asyncio.Event()

    async def begin() -> None:
        become_router((await node.routing.nic()).name)
        await rebuild.ensure()
        await dataplane.sweep(endpoints)
        await networks.guard()

    yield Parts(
        containers=Containers(networks, endpoints, pools, addresses, rebuild.ensure, alone=True),
        leases=leases,
        tasks=(
            Task("hints", partial(hints.listen, keeper.look, ground.clock)),
            prepared("memory", begin, "not ready", ready, ground.clock),
            keeping("reconciler", reconciler, ready),
            keeping("networks", keeper, ready),
        ),
    )


async def nothing_to_adopt(_reference: NetworkReference, _cidr: IPNetwork | None) -> Network | None:
    """Find no network: which one has a range, and whether one may be named, is known where it is joined."""
    return None


async def on_no_range(_cidr: IPNetwork) -> bool:
    """Say that the NIC is on no range that Docker has not named: it names them all."""
    return False
