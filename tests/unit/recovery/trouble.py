"""What can go wrong and where: a run's points are counted, and at one of them something fails.

A point is a write to the store, a request to Neutron, a call to the host's kernel or switch, or an answer to dockerd.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from inspect import iscoroutinefunction
from typing import Any, NoReturn


class Area(Enum):
    """What a point is a call of."""

    STORE = "store"
    NEUTRON = "neutron"
    HOST = "host"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Point:
    """Something that a run passes. changes: the world, or what is remembered, is another afterwards."""

    area: Area
    what: str
    changes: bool


class Killed(BaseException):
    """The agent's process is no more: none of its code runs on, not even what cleans up."""


class Life:
    """One process of the agent's."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def end(self) -> NoReturn:
        """Die at once."""
        self.ended.set()
        raise Killed

    def require(self) -> None:
        """Let nothing happen after the end: what unwinds would ask Neutron and write."""
        if self.ended.is_set():
            raise Killed


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail. fits: says at which points it can happen.

    before, after: give what the caller gets, before the call is carried out, or in the place of its answer. kills: the
    process ends once the call is carried out. late: the call is carried out so many seconds later, and never answered.
    lasting: it happens again for as long as the command's points are counted. gives_up: dockerd hears no answer any
    more until it has done with the command, and sends nothing again.
    """

    name: str
    fits: Callable[[Point], bool]
    before: Callable[[], Exception] | None = None
    after: Callable[[], Exception] | None = None
    kills: bool = False
    late: float = 0.0
    lasting: bool = False
    gives_up: bool = False


@dataclass(slots=True)
class Trouble:
    """Counts the points, and fails at one of them. at: its number from 0 on; -1: nothing fails."""

    at: int = -1
    failure: Failure | None = None
    passed: list[Point] = field(default_factory=list)
    over: bool = False

    @property
    def struck(self) -> bool:
        """Whether it has failed by now."""
        return self.at >= 0 and len(self.passed) > self.at

    def begin(self, at: int, failure: Failure | None) -> None:
        """Count from here on."""
        self.at, self.failure = at, failure
        self.passed.clear()

    def meet(self, point: Point) -> Failure | None:
        """Pass a point; say how it fails."""
        self.passed.append(point)
        if self.failure is None or self.over or not self.struck:
            return None
        if len(self.passed) - 1 == self.at:
            assert self.failure.fits(point), f"{point} is not what was recorded"
            return self.failure
        return self.failure if self.failure.lasting and self.failure.fits(point) else None

    @contextmanager
    def through(self, point: Point, life: Life) -> Iterator[None]:
        """Carry a call out, or fail."""
        life.require()
        failure = self.meet(point)
        if failure and failure.before:
            raise failure.before()
        yield
        if failure and failure.kills:
            life.end()
        if failure and failure.after:
            raise failure.after()


class Frail:
    """What is called through a trouble. changes: the names of the calls that change something; others only look."""

    def __init__(self, of: Any, area: Area, changes: frozenset[str], trouble: Trouble, life: Life) -> None:
        self._of, self._area, self._changes, self._trouble, self._life = of, area, changes, trouble, life

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._of, name)
        if not iscoroutinefunction(call):
            return call  # what is remembered of the host: no question to it

        async def frail(*args: Any, **kwargs: Any) -> Any:
            with self._trouble.through(Point(self._area, name, name in self._changes), self._life):
                return await call(*args, **kwargs)

        return frail


class FrailStore:
    """A LeaseStore whose writes may fail."""

    def __init__(self, of: Any, trouble: Trouble, life: Life) -> None:
        self._of, self._trouble, self._life = of, trouble, life
        self.get, self.all = of.get, of.all

    def put(self, record: Any) -> None:
        with self._trouble.through(Point(Area.STORE, f"put {type(record).__name__}", changes=True), self._life):
            self._of.put(record)

    def delete(self, kind: Any, record_id: str) -> None:
        with self._trouble.through(Point(Area.STORE, f"delete {kind.__name__}", changes=True), self._life):
            self._of.delete(kind, record_id)
