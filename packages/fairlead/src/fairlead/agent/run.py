"""The agent's life: find out what the node is, open the doors, keep all of it going."""

import asyncio
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import structlog

from fairlead.adapters.store.identity import node_identity
from fairlead.agent.auto import remember, settle_mode
from fairlead.agent.doors.known import chosen_doors
from fairlead.agent.logs import configure_logs
from fairlead.agent.memory import share_one_arena
from fairlead.agent.settings import Settings
from fairlead.agent.unix_server import serve_unix
from fairlead.agent.wiring import Agent, wire_agent
from fairlead.core.background.supervision import Supervisor, Task
from fairlead.model.errors import FairleadError, SettingsError, StoreError

log = structlog.get_logger(__name__)

SETTLE_EVERY = 3.0
"""Seconds between two attempts to find out what the node is."""


async def run_agent(settings: Settings, environ: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT. Raises SettingsError, StoreError, and TaskFailed where a door can't be kept."""
    share_one_arena()
    configure_logs(settings.log)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    chosen_doors(settings)
    # Before anything is read that is remembered: on a copied disk it is another node's.
    node_identity(Path(settings.agent.state_dir))
    settled = await _settle(settings, environ, stop)
    if settled is None:
        return
    async with wire_agent(settled, environ) as agent:
        await serve(agent, stop)


async def serve(agent: Agent, stop: asyncio.Event) -> None:
    """Serve all doors until told to stop, and do what is done behind meanwhile.

    Raises SettingsError where a door can't be opened, and TaskFailed where one can't be kept open.
    """
    failed = agent.ground.metrics.background_failure
    async with AsyncExitStack() as stack:
        tasks = list(agent.tasks)
        for door in agent.doors:
            site = await stack.enter_async_context(serve_unix(door.app, door.socket))
            log.info("serving", socket=str(door.socket))
            name = f"door {door.name}"
            # An agent with a door that nobody gets in by looks alive, and is not.
            tasks.append(Task(name, partial(site.tend, partial(failed, name), agent.ground.clock), vital=True))
        await Supervisor(agent.ground.clock, failed).run(tasks, stop)
        log.info("stopping")


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
