"""The parts of an agent in routed mode, joined: for flannel, and for Docker."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import random

from aiohttp import web

from fairlead.adapters.kernel.nft import NftGuard
from fairlead.adapters.kernel.routes import KernelRoutes
from fairlead.adapters.neutron.credentials import find_cloud
from fairlead.adapters.neutron.service import NeutronService
from fairlead.adapters.store.sqlite import SqliteStore
from fairlead.adapters.vif.veth_routes import RoutedDataplane, become_router
from fairlead.agent.clock import SystemClock
from fairlead.agent.hints import Hints
from fairlead.agent.logs import current_request_id, new_request_id
from fairlead.agent.metrics import Addresses, Metrics
from fairlead.agent.observation import Observation
from fairlead.agent.settings import Settings
from fairlead.core.attachments.block_endpoints import Endpoints
from fairlead.core.blocks.addresses import Addresses as BlockAddresses
from fairlead.core.blocks.keeper import NetworkKeeper
from fairlead.core.blocks.leases import Leases
from fairlead.core.blocks.networks import Networks
from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.core.networks.pools import AddressPools
from fairlead.core.reconcile.rebuild_blocks import Rebuild
from fairlead.frontends.docker.app import make_app as make_docker_app
from fairlead.frontends.docker.app import routes
from fairlead.frontends.docker.ipam_driver import IpamDriver
from fairlead.frontends.docker.network_driver import NetworkDriver
from fairlead.frontends.flannel.app import Flannel, make_app
from fairlead.model.network import IPNetwork, Network
from fairlead.model.records import NetworkReference

STORE = "routed.sqlite"


@dataclass(frozen=True, slots=True)
class RoutedAgent:
    """A wired agent: the applications to serve, and what runs beside them. begin is to be called once before."""

    reconciler: Reconciler
    keeper: NetworkKeeper
    flannel: web.Application
    docker: web.Application
    begin: Callable[[], Awaitable[None]]


@asynccontextmanager
async def wire_routed(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[RoutedAgent]:
    """Build an agent, and close its connections at the end. Raises SettingsError, StoreError."""
    async with AsyncExitStack() as stack:
        config = find_cloud(settings.cloud.name, environ=environ)
        store = SqliteStore(Path(settings.agent.state_dir) / STORE)
        stack.callback(store.close)
        metrics = Metrics(Addresses(store))
        observation = Observation(metrics)
        neutron = NeutronService(
            config,
            request_id=current_request_id,
            on_call=observation.on_call,
            connect_timeout=settings.cloud.connect_timeout,
            total_timeout=settings.cloud.timeout,
        )
        await stack.enter_async_context(neutron)
        node = RoutedNode(neutron, KernelRoutes(), store, SystemClock())
        reconciler = Reconciler(node, random=random)
        dataplane = RoutedDataplane(
            on_exchange=lambda count, seconds: metrics.dataplane_step("netlink", seconds, count)
        )
        hints = Hints(settings.routed.port)
        name = settings.agent.host or socket.gethostname()
        networks = Networks(node, reconciler, dataplane, NftGuard(), name=name, tell=hints.tell)
        pools = AddressPools(node, nothing_to_adopt, on_no_range)
        addresses, endpoints = BlockAddresses(networks, pools), Endpoints(networks, dataplane)
        keeper = NetworkKeeper(networks, addresses, random=random)
        rebuild = Rebuild(networks, dataplane)
        await stack.enter_async_context(hints.listen(keeper.look))

        async def begin() -> None:
            become_router((await node.routing.nic()).name)
            await rebuild.ensure()
            await dataplane.sweep(endpoints)
            await networks.guard()

        docker = make_docker_app(
            routes(NetworkDriver(networks, endpoints), IpamDriver(pools, addresses, routed=True)),
            prepare=rebuild.ensure,
            new_request_id=observation.begin_rpc,
            observe=observation.end_rpc,
        )
        observation.show_in(docker)
        yield RoutedAgent(
            reconciler=reconciler,
            keeper=keeper,
            flannel=make_app(Flannel(Leases(node, reconciler.wake), reconciler), new_request_id=new_request_id),
            docker=docker,
            begin=begin,
        )


async def nothing_to_adopt(_reference: NetworkReference, _cidr: IPNetwork | None) -> Network | None:
    """Find no network: which one has a range, and whether one may be named, is known where it is joined."""
    return None


async def on_no_range(_cidr: IPNetwork) -> bool:
    """Say that the NIC is on no range that Docker has not named: it names them all."""
    return False
