"""The agent's life: serve, say who we are, and do later what can wait."""

import asyncio
import signal
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import structlog
from aiohttp import web

from fairlead.agent.auto import remember, settle_mode
from fairlead.agent.logs import configure_logs, new_request_id
from fairlead.agent.memory import return_free_memory, share_one_arena
from fairlead.agent.routed import RoutedAgent, wire_routed
from fairlead.agent.settings import Settings
from fairlead.agent.unix_server import serve_unix
from fairlead.agent.wiring import Agent, wire_agent
from fairlead.core.assembly import PortCore
from fairlead.core.blocks.keeper import NetworkKeeper
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.core.reconcile.sweep import Sweep
from fairlead.core.warm.devices import Devices
from fairlead.core.warm.keeper import Keeper
from fairlead.model.errors import FairleadError, SettingsError, StoreError

log = structlog.get_logger(__name__)

SWEEP_EVERY = 15.0
"""Seconds between two sweeps."""


SETTLE_EVERY = 3.0
"""Seconds between two attempts to find out what the node is."""


async def run_agent(settings: Settings, environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT. Raises SettingsError, StoreError."""
    share_one_arena()
    configure_logs(settings.log)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settled = await _settle(settings, environ, stop)
    if settled is None:
        return
    settings = settled
    if settings.agent.mode == "routed":
        async with wire_routed(settings, environ) as routed:
            doors = {settings.flannel.socket: routed.flannel, settings.agent.socket: routed.docker}
            await _serve(doors, [_route(routed)], stop)
    else:
        async with wire_agent(settings, environ) as agent:
            await _serve({settings.agent.socket: agent.app}, [_introduce(agent), _work_behind(agent.core)], stop)


async def _settle(settings: Settings, environ: Mapping[str, str], stop: asyncio.Event) -> Settings | None:
    """Find out the mode, however long that takes; None where the agent is told to stop before."""
    while not stop.is_set():
        try:
            settled, choice = await settle_mode(settings, environ)
        except (SettingsError, StoreError):
            raise
        except FairleadError as error:
            log.warning("the mode is not known yet", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), SETTLE_EVERY)
            continue
        if settings.agent.mode == "auto":
            remember(settings, choice)
        log.info("mode", mode=choice.mode, why=choice.why)
        return settled
    return None


async def _serve(
    doors: Mapping[str, web.Application], behind: Sequence[Coroutine[None, None, None]], stop: asyncio.Event
) -> None:
    """Serve until told to stop, each application on its socket, and do what is done behind meanwhile."""
    async with AsyncExitStack() as stack:
        for path, app in doors.items():
            await stack.enter_async_context(serve_unix(app, Path(path)))
            log.info("serving", socket=path)
        work = [asyncio.create_task(one) for one in behind]
        await stop.wait()
        log.info("stopping")
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)


async def _introduce(agent: Agent) -> None:
    """Say in the log what the cloud lets us do, as soon as it answers."""
    new_request_id()
    while True:
        try:
            host = await agent.core.node.host()
            view = await agent.core.node.network_service.view()
        except FairleadError as error:
            log.warning("not ready", error=str(error))
            await asyncio.sleep(SWEEP_EVERY)
            continue
        log.info(
            "ready",
            host=host,
            project=view.project,
            user=view.user,
            roles=sorted(view.roles),
            ports=_ports(may_bind=view.may_bind, at_creation=agent.core.node.nesting.at_creation),
        )
        return


def _ports(*, may_bind: bool, at_creation: bool) -> str:
    if not at_creation:
        return "brought here by way of this node's own port"
    return "bound to this host" if may_bind else "unbound: this role may not bind, and OVN needs no binding"


async def _work_behind(core: PortCore) -> None:
    """Begin once the node's memory is whole: what it does not know would be taken for orphans."""
    while True:
        new_request_id()
        try:
            await core.rebuild.ensure()
        except FairleadError as error:
            log.warning("this node's memory waits to be rebuilt", error=str(error))
            await asyncio.sleep(SWEEP_EVERY)
            continue
        await asyncio.gather(_sweep(core.sweep), _keep(core.keeper), _keep(core.devices))


async def _route(agent: RoutedAgent) -> None:
    while True:
        new_request_id()
        try:
            await agent.begin()
        except FairleadError as error:
            log.warning("not ready", error=str(error))
            await asyncio.sleep(SWEEP_EVERY)
            continue
        await asyncio.gather(_keep(agent.reconciler), _keep(agent.keeper))


async def _sweep(sweep: Sweep) -> None:
    unplugged = False
    while True:
        new_request_id()
        try:
            if not unplugged:
                await sweep.unplug()
                unplugged = True
            await sweep.finish()
        except FairleadError as error:
            log.warning("sweep put off", error=str(error))
        except Exception:  # as in _keep
            log.exception("unexpected error")
        return_free_memory()
        await asyncio.sleep(SWEEP_EVERY)


async def _keep(keeper: Keeper | Devices | Reconciler | NetworkKeeper) -> None:
    while True:
        new_request_id()
        try:
            if not await keeper.step():
                await keeper.wake_up.wait()
        except Exception:  # a mistake in one job must not end all that is done behind
            log.exception("unexpected error")
            await asyncio.sleep(SWEEP_EVERY)
