"""The one place that knows every part and joins them: the ground, the mode's parts over it, the doors over those."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fairlead.agent.doors.door import Door, DoorKind
from fairlead.agent.doors.known import RECORDS, chosen_doors
from fairlead.agent.ground import Ground, open_ground
from fairlead.agent.parts import Parts
from fairlead.agent.reconciling import answer_in
from fairlead.agent.routed import routed_parts
from fairlead.agent.settings import Settings
from fairlead.agent.warm import warm_parts
from fairlead.core.background.supervision import Task
from fairlead.model.records import JoinedNetwork

_NAMED: Final = 8
"""Networks that the status names."""


@dataclass(frozen=True, slots=True)
class Agent:
    """A wired agent: the doors to serve, and what runs beside them."""

    ground: Ground
    doors: tuple[Door, ...]
    tasks: tuple[Task, ...]

    def status(self) -> str:
        """Say in a line what the node is: its mode, its cloud, its networks."""
        names = sorted(joined.name or joined.id for joined in self.ground.store.all(JoinedNetwork))
        listed = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        return f"mode {self.ground.settings.agent.mode}; {self.ground.cloud}; networks: {listed or 'none'}"


@asynccontextmanager
async def wire_agent(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Agent]:
    """Build an agent, and close its connections at the end. The mode is no longer `auto`.

    Raises SettingsError, StoreError.
    """
    kinds = chosen_doors(settings)
    async with open_ground(settings, environ, RECORDS) as ground, _parts(ground, kinds) as parts:
        yield Agent(ground, tuple(_door(kind, ground, parts) for kind in kinds), parts.tasks)


def _parts(ground: Ground, kinds: Sequence[DoorKind]) -> AbstractAsyncContextManager[Parts]:
    if ground.settings.agent.mode == "routed":
        return routed_parts(ground)
    return warm_parts(ground, with_leases=any(kind.needs_leases for kind in kinds))


def _door(kind: DoorKind, ground: Ground, parts: Parts) -> Door:
    app = kind.build(parts, ground.store, ground.observation)
    ground.observation.show_in(app)
    answer_in(app, parts.containers.reconciliation, parts.containers.prepare)
    return Door(kind.name, Path(kind.socket(ground.settings)), app)
