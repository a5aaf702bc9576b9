"""The parts of an agent in routed mode, joined."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import random

from aiohttp import web

from fairlead.adapters.dataplane.routes import KernelRoutes
from fairlead.adapters.neutron.credentials import find_cloud
from fairlead.adapters.neutron.service import NeutronService
from fairlead.adapters.store.sqlite import SqliteStore
from fairlead.engine.routed.leases import Leases
from fairlead.engine.routed.node import RoutedNode
from fairlead.engine.routed.reconcile import Reconciler
from fairlead.frontends.flannel.app import Flannel, make_app
from fairlead.runtime.clock import SystemClock
from fairlead.runtime.logs import current_request_id, new_request_id
from fairlead.runtime.settings import Settings

STORE = "routed.sqlite"


@dataclass(frozen=True, slots=True)
class RoutedAgent:
    """A wired agent: the application to serve, and what runs beside it."""

    reconciler: Reconciler
    app: web.Application


@asynccontextmanager
async def wire_routed(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[RoutedAgent]:
    """Build an agent, and close its connections at the end. Raises SettingsError, StoreError."""
    async with AsyncExitStack() as stack:
        config = find_cloud(settings.cloud.name, environ=environ)
        store = SqliteStore(Path(settings.agent.state_dir) / STORE)
        stack.callback(store.close)
        neutron = NeutronService(
            config,
            request_id=current_request_id,
            connect_timeout=settings.cloud.connect_timeout,
            total_timeout=settings.cloud.timeout,
        )
        await stack.enter_async_context(neutron)
        node = RoutedNode(neutron, KernelRoutes(), store, SystemClock())
        reconciler = Reconciler(node, random=random)
        app = make_app(Flannel(Leases(node, reconciler.wake), reconciler), new_request_id=new_request_id)
        yield RoutedAgent(reconciler, app)
