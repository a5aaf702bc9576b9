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
from fairlead.adapters.sandbox.sandboxes import KernelSandboxes
from fairlead.adapters.store.sqlite import SqliteStore
from fairlead.adapters.vif.veth_routes import RoutedDataplane, become_router
from fairlead.agent.clock import SystemClock
from fairlead.agent.hints import Hints
from fairlead.agent.logs import current_request_id, new_request_id
from fairlead.agent.metrics import Addresses, Metrics
from fairlead.agent.observation import Observation
from fairlead.agent.settings import Settings
from fairlead.core.assembly import BlockCore
from fairlead.core.blocks.keeper import NetworkKeeper
from fairlead.core.blocks.leases import Leases
from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.frontends.docker import records as docker_records
from fairlead.frontends.docker.app import make_app as make_docker_app
from fairlead.frontends.docker.app import rpcs_over
from fairlead.frontends.flannel.app import Flannel, make_app
from fairlead.model.records import KINDS

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
        store = SqliteStore(Path(settings.agent.state_dir) / STORE, (*KINDS, *docker_records.KINDS))
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
        core = BlockCore.over(
            node, reconciler, dataplane, NftGuard(), KernelSandboxes(), name=name, tell=hints.tell, random=random
        )
        await stack.enter_async_context(hints.listen(core.keeper.look))

        async def begin() -> None:
            become_router((await node.routing.nic()).name)
            await core.rebuild.ensure()
            await dataplane.sweep(core.addressing)
            await core.blocks.guard()

        docker = make_docker_app(
            rpcs_over(store, core.networks, core.attachments),
            prepare=core.rebuild.ensure,
            new_request_id=observation.begin_rpc,
            observe=observation.end_rpc,
        )
        observation.show_in(docker)
        yield RoutedAgent(
            reconciler=reconciler,
            keeper=core.keeper,
            flannel=make_app(Flannel(Leases(node, reconciler.wake), reconciler), new_request_id=new_request_id),
            docker=docker,
            begin=begin,
        )
