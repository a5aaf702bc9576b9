"""The agent's life: find out what the node is, open the doors, keep all of it going."""

import asyncio
import signal
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import structlog

from fairlead.adapters.neutron.tokens import FIRST_WAIT, LONGEST_WAIT
from fairlead.adapters.store.identity import node_identity
from fairlead.agent.activation import handed_in, match
from fairlead.agent.auto import remember, settle_mode
from fairlead.agent.doors.known import chosen_doors
from fairlead.agent.logs import configure_logs
from fairlead.agent.memory import share_one_arena
from fairlead.agent.service_manager import ServiceManager, service_manager
from fairlead.agent.settings import Settings
from fairlead.agent.switch import await_switch
from fairlead.agent.unix_server import serve_unix
from fairlead.agent.wiring import Agent, wire_agent
from fairlead.core.background.supervision import Supervisor, Task
from fairlead.model.errors import Denied, FairleadError, SettingsError, StoreError

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
    manager = service_manager(environ)
    with handed_in(environ) as sockets:
        # Before anything is read that is remembered: on a copied disk it is another node's.
        node_identity(Path(settings.agent.state_dir))
        settled = await _settle(settings, environ, stop, manager)
        if settled is None:
            return

        def missing(error: FairleadError) -> None:
            log.warning("the switch is not there yet", error=str(error))
            manager.status(f"waits for the switch: {error}")

        await await_switch(settled, stop, missing)
        async with wire_agent(settled, environ) as agent:
            await serve(agent, stop, sockets, manager)


async def serve(
    agent: Agent, stop: asyncio.Event, sockets: Mapping[Path, socket.socket], manager: ServiceManager
) -> None:
    """Serve all doors until told to stop, and do what is done behind meanwhile.

    sockets: of doors, by real path, kept by whoever started the agent. manager: is told how it goes. Raises
    SettingsError where a door can't be opened, and TaskFailed where one can't be kept open.
    """
    failed = agent.ground.metrics.background_failure
    handed = match(sockets, [door.socket for door in agent.doors])
    async with AsyncExitStack() as stack:
        tasks = list(agent.tasks)
        for door in agent.doors:
            site = await stack.enter_async_context(serve_unix(door.app, door.socket, handed.get(door.socket)))
            log.info("serving", socket=str(door.socket))
            name = f"door {door.name}"
            # An agent with a door that nobody gets in by looks alive, and is not.
            tasks.append(Task(name, partial(site.tend, partial(failed, name), agent.ground.clock), vital=True))
        tasks.append(Task("service manager", partial(manager.keep, agent.status, agent.ground.clock)))
        manager.ready()
        await Supervisor(agent.ground.clock, failed).run(tasks, stop)
        log.info("stopping")
        manager.stopping()


async def _settle(
    settings: Settings, environ: Mapping[str, str], stop: asyncio.Event, manager: ServiceManager
) -> Settings | None:
    """Find out the mode, however long that takes; None where the agent is told to stop before.

    Credentials that Keystone refuses are shown to it ever more rarely, as by an agent that works.
    """
    pause = SETTLE_EVERY
    while not stop.is_set():
        try:
            settled, choice = await settle_mode(settings, environ)
        except (SettingsError, StoreError):
            raise
        except FairleadError as error:
            log.warning("the mode is not known yet", error=str(error))
            manager.status(f"the mode is not known yet: {error}")
            refused = isinstance(error, Denied)
            pause = min(LONGEST_WAIT, max(FIRST_WAIT, 2 * pause)) if refused else SETTLE_EVERY
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            continue
        if settings.agent.mode == "auto":
            remember(settings, choice)
        log.info("mode", mode=choice.mode, why=choice.why)
        return settled
    return None
