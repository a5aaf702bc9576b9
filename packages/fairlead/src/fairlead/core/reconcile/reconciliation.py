"""When the world is looked at, and when what was found is mended: in turn, and when somebody asks.

Two sources have each their pace: this host, which costs little, and Neutron, which many hosts share. A finding that
takes something away is held back until a second look, a while later, has found it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import structlog

from fairlead.core.background.attempts import Attempts
from fairlead.core.background.backoff import Backoff
from fairlead.core.background.wake_up import WakeUp
from fairlead.core.reconcile.findings import Finding
from fairlead.model.errors import CloudUnavailable, FairleadError
from fairlead.ports.clock import Clock

log = structlog.get_logger(__name__)

HERE_EVERY: Final = 30.0
"""Seconds between two looks at this host."""

CLOUD_EVERY: Final = 300.0
"""Seconds between two looks at Neutron; up to half as many more by chance, so that hosts do not ask together."""

FIRST_IN_CLOUD: Final = 20.0
"""Seconds after the start within which Neutron is first looked at, by chance."""

APART: Final = 10.0
"""Seconds between two looks of which the second confirms the first."""


class World(Protocol):
    """What is compared, and how it is mended. All raise FairleadError."""

    async def look_here(self) -> Sequence[Finding]:
        """Compare this host with what is remembered."""
        ...

    async def look_in_cloud(self) -> Sequence[Finding]:
        """Compare Neutron with what is remembered."""
        ...

    async def mend(self, finding: Finding) -> None:
        """Do what a finding says; look first whether it still is so. Idempotent."""
        ...


class State(StrEnum):
    """What came of a finding."""

    DONE = "done"
    FAILED = "failed"
    WOULD = "would"  # only the plan was asked for
    WAITS = "waits"  # it was not there a while ago: somebody may be at work on it


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finding, and what came of it. error: why it failed."""

    finding: Finding
    state: State
    error: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one time. unseen: what could not be looked at, and why."""

    outcomes: tuple[Outcome, ...]
    unseen: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Source:
    """Where is looked. every: seconds. due: epoch seconds of the next look. since: when each finding was first seen."""

    name: str
    look: Callable[[], Awaitable[Sequence[Finding]]]
    every: float
    due: float = 0.0
    asks_neutron: bool = False
    since: dict[Finding, float] = field(default_factory=dict)

    def is_due(self, now: float) -> bool:
        """Say whether it is time; a clock that was set back counts as time."""
        return not now < self.due <= now + 2 * self.every

    async def see(self, clock: Clock) -> None:
        """Look, and note what is there for the first time, still, and no more. Raises what look raises."""
        found, now = await self.look(), clock.now()
        self.since = {one: min(self.since.get(one, now), now) for one in found}

    def ripe(self, now: float) -> list[Finding]:
        """List the findings that may be mended now."""
        return [one for one, since in self.since.items() if one.looks == 1 or now - since >= APART]


class Reconciliation:
    """Looks in turn (`step`) and when asked (`reconcile`), never both at once.

    backoff: of what is done behind; Neutron is left alone before its moment. random gives numbers from 0 up to 1.
    """

    def __init__(
        self, world: World, clock: Clock, backoff: Backoff, attempts: Attempts, *, random: Callable[[], float]
    ) -> None:
        self._world = world
        self._clock = clock
        self._backoff = backoff
        self._attempts = attempts
        self._random = random
        self._lock = asyncio.Lock()
        self._begun = False
        self._sources = (
            _Source("this host", world.look_here, HERE_EVERY),
            _Source("Neutron", world.look_in_cloud, CLOUD_EVERY, asks_neutron=True),
        )
        self.wake_up = WakeUp()

    async def step(self) -> bool:
        """Look where it is time to, and mend what may be mended; says that nothing more is due."""
        self.wake_up.clear()
        async with self._lock:
            self._begin()
            for source in self._sources:
                now = self._clock.now()
                if source.is_due(now) and not (source.asks_neutron and now < self._backoff.not_before):
                    source.due = now + APART
                    what = f"compare {source.name} with what is remembered"
                    await self._attempts.run(what, self._turn(source))
        return False

    async def reconcile(self, *, dry_run: bool) -> Report:
        """Look everywhere now, again a while later where that is needed, and mend; dry_run: look once, mend nothing."""
        async with self._lock:
            unseen = await self._see_all()
            if not dry_run and any(set(source.since) - set(self._ripe(source)) for source in self._sources):
                await self._clock.sleep(APART)
                unseen = await self._see_all()
            outcomes = []
            for source in self._sources:
                for finding in source.since:
                    if dry_run:
                        outcomes.append(Outcome(finding, State.WOULD))
                    elif finding in self._ripe(source):
                        outcomes.append(await self._mend(finding))
                    else:
                        outcomes.append(Outcome(finding, State.WAITS))
            return Report(tuple(outcomes), unseen)

    def _begin(self) -> None:
        """Plan the first looks."""
        if not self._begun:
            self._begun = True
            for source in self._sources:
                source.due = self._clock.now() + (self._random() * FIRST_IN_CLOUD if source.asks_neutron else 0.0)

    async def _turn(self, source: _Source) -> None:
        try:
            await source.see(self._clock)
        except CloudUnavailable as error:
            self._backoff.failed(self._clock.now(), error.retry_after)
            raise
        ripe = self._ripe(source)
        for finding in ripe:
            await self._mend(finding)
        if len(ripe) == len(source.since):
            spread = 1 + self._random() / 2 if source.asks_neutron else 1.0
            source.due = self._clock.now() + source.every * spread

    def _ripe(self, source: _Source) -> list[Finding]:
        return source.ripe(self._clock.now())

    async def _see_all(self) -> tuple[tuple[str, str], ...]:
        unseen = []
        for source in self._sources:
            try:
                await source.see(self._clock)
            except FairleadError as error:
                source.since = {}
                unseen.append((source.name, str(error)))
        return tuple(unseen)

    async def _mend(self, finding: Finding) -> Outcome:
        errors: list[str] = []
        told = {"what": finding.what, "where": finding.where, "why": finding.why, "act": finding.act}

        async def mend() -> None:
            try:
                await self._world.mend(finding)
            except Exception as error:
                errors.append(str(error) or type(error).__name__)
                raise

        await self._attempts.run(f"{finding.act}: {finding.what}", mend())
        if errors:
            return Outcome(finding, State.FAILED, errors[0])
        log.warning("mended what was not as remembered", **told)
        return Outcome(finding, State.DONE)
