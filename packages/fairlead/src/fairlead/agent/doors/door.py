"""What a door is."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from fairlead.agent.observation import Observation
from fairlead.agent.parts import Parts
from fairlead.agent.settings import Settings
from fairlead.ports.store import LeaseStore, Record


@dataclass(frozen=True, slots=True)
class Door:
    """A door that is built: its application, and the unix socket that it is served on."""

    name: str
    socket: Path
    app: web.Application


@dataclass(frozen=True, slots=True)
class DoorKind:
    """How a door is built. name: as in `agent.doors`.

    by_default: the modes that have it where `agent.doors` names none. build: makes the application over the parts and
    the node's store. needs_leases: it keeps leases on the node's own port, and needs a node that has one. records:
    kinds of what it remembers for itself.
    """

    name: str
    by_default: Collection[str]
    socket: Callable[[Settings], str]
    build: Callable[[Parts, LeaseStore, Observation], web.Application]
    needs_leases: bool = False
    records: tuple[type[Record], ...] = ()
