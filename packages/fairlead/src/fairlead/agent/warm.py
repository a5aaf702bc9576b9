"""The parts of a node in the modes in which containers have Neutron ports: `ovs`, `trunk`, `ipvlan`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import structlog

from fairlead.adapters.sandbox.sandboxes import KernelSandboxes
from fairlead.agent.behind import keeping, prepared
from fairlead.agent.ground import Ground
from fairlead.agent.leases import lease_keeping, tasks_of_leases
from fairlead.agent.memory import give_back_memory
from fairlead.agent.metrics import Ports
from fairlead.agent.modes import make_mode
from fairlead.agent.parts import Containers, Parts
from fairlead.agent.runtime import runtime_of
from fairlead.core.assembly import PortCore
from fairlead.core.background.supervision import Task
from fairlead.core.warm.node import Node
from fairlead.core.warm.port_table import PortTable
from fairlead.core.warm.sizing import PoolLimits
from fairlead.ports.clock import Clock

log = structlog.get_logger(__name__)


@asynccontextmanager
async def warm_parts(ground: Ground, *, with_leases: bool) -> AsyncIterator[Parts]:
    """Build the parts while the context lasts. with_leases: also what keeps leases on the node's own port.

    Raises SettingsError for a mode that can't work.
    """
    metrics, port_table, port_lock = ground.metrics, PortTable(ground.store), asyncio.Lock()
    metrics.show(Ports(ground.store, port_table))
    mode = make_mode(
        ground.settings,
        ground.neutron,
        ground.clock,
        lambda step: metrics.dataplane_step(step.name, step.seconds, step.count),
        port_lock=port_lock,
    )
    try:
        host = ground.settings.agent.host
        node = Node(
            ground.neutron, mode.dataplane, ground.store, port_table, ground.clock, ground.node_id, host, mode.nesting
        )
        limits = PoolLimits(**msgspec.structs.asdict(ground.settings.pool))
        core = PortCore.over(
            node, limits, KernelSandboxes(), runtime=runtime_of(ground.settings), failed=metrics.background_failure
        )
        leases = lease_keeping(ground, port_lock) if with_leases else None
        try:
            yield Parts(
                containers=Containers(core.networks, core.attachments, core.rebuild.ensure, core.reconciliation),
                leases=leases,
                tasks=(*_tasks(core, ground.clock), *(tasks_of_leases(ground, leases) if leases else ())),
            )
        finally:
            await core.unawaited.close()
    finally:
        await mode.dataplane.close()


def _tasks(core: PortCore, clock: Clock) -> tuple[Task, ...]:
    """Nothing begins before the node's memory is whole: what it does not know would be taken for orphans."""
    ready, waits = asyncio.Event(), "this node's memory waits to be rebuilt"
    return (
        prepared("introduction", lambda: _introduce(core.node), "not ready", asyncio.Event(), clock),
        prepared("memory", core.rebuild.ensure, waits, ready, clock),
        keeping("reconciliation", core.reconciliation, ready),
        Task("free memory", lambda: give_back_memory(clock)),
        keeping("keeper", core.keeper, ready),
        keeping("devices", core.devices, ready),
    )


async def _introduce(node: Node) -> None:
    """Say in the log what the cloud lets us do, as soon as it answers."""
    host, view = await node.host(), await node.network_service.view()
    log.info(
        "ready",
        host=host,
        project=view.project,
        user=view.user,
        roles=sorted(view.roles),
        ports=_ports(may_bind=view.may_bind, at_creation=node.nesting.at_creation),
    )


def _ports(*, may_bind: bool, at_creation: bool) -> str:
    if not at_creation:
        return "brought here by way of this node's own port"
    return "bound to this host" if may_bind else "unbound: this role may not bind, and OVN needs no binding"
