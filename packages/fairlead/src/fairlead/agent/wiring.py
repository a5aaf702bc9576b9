"""The one place that knows every part and joins them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aiohttp import web

from fairlead.adapters.neutron.credentials import find_cloud
from fairlead.adapters.neutron.service import NeutronService
from fairlead.adapters.sandbox.sandboxes import KernelSandboxes
from fairlead.adapters.store.sqlite import SqliteStore
from fairlead.agent.clock import SystemClock
from fairlead.agent.logs import current_request_id
from fairlead.agent.metrics import Metrics, Ports
from fairlead.agent.modes import make_mode
from fairlead.agent.observation import Observation
from fairlead.agent.settings import Settings
from fairlead.core.assembly import PortCore
from fairlead.core.warm.node import Node
from fairlead.core.warm.port_table import PortTable
from fairlead.core.warm.sizing import PoolLimits
from fairlead.frontends.docker import records as docker_records
from fairlead.frontends.docker.app import make_app, rpcs_over
from fairlead.model.records import KINDS

STORE = "node.sqlite"


@dataclass(frozen=True, slots=True)
class Agent:
    """A wired agent: the application to serve, and what runs beside it."""

    core: PortCore
    app: web.Application


@asynccontextmanager
async def wire_agent(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Agent]:
    """Build an agent, and close its connections at the end. Raises SettingsError, StoreError."""
    async with AsyncExitStack() as stack:
        config = find_cloud(settings.cloud.name, environ=environ)
        store = SqliteStore(Path(settings.agent.state_dir) / STORE, (*KINDS, *docker_records.KINDS))
        stack.callback(store.close)
        port_table = PortTable(store)
        metrics = Metrics(Ports(store, port_table))
        observation = Observation(metrics)
        neutron = NeutronService(
            config,
            request_id=current_request_id,
            on_call=observation.on_call,
            connect_timeout=settings.cloud.connect_timeout,
            total_timeout=settings.cloud.timeout,
            create_patience=settings.cloud.create_patience,
        )
        await stack.enter_async_context(neutron)
        clock = SystemClock()
        mode = make_mode(
            settings, neutron, clock, lambda step: metrics.dataplane_step(step.name, step.seconds, step.count)
        )
        stack.push_async_callback(mode.dataplane.close)
        node = Node(neutron, mode.dataplane, store, port_table, clock, settings.agent.host, mode.nesting)
        core = PortCore.over(node, PoolLimits(**msgspec.structs.asdict(settings.pool)), KernelSandboxes())
        app = make_app(
            rpcs_over(store, core.networks, core.attachments),
            prepare=core.rebuild.ensure,
            new_request_id=observation.begin_rpc,
            observe=observation.end_rpc,
        )
        observation.show_in(app)
        yield Agent(core, app)
