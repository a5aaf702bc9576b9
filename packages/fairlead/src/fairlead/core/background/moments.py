"""Moments that an earlier process wrote down, by a clock that may have been set since.

Within a process time never goes back (`ports.clock`). Between two it can: what was written while the machine's clock
was a day ahead would be neither old enough nor rested for a day.
"""

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from fairlead.ports.store import LeaseStore, Record

BEEN = frozenset({"since", "doubted"})
"""Fields of records that tell when something was; epoch seconds, 0 for never. They can't lie ahead."""

TO_COME = frozenset({"rests_until"})
"""Those that tell until when something is to be, counted from the record's other moments: they move along."""


def bring_back(store: LeaseStore, kinds: Iterable[type[Record]], now: float) -> None:
    """Move each record whose moments lie ahead to now, all its moments together. Raises StoreError."""
    for kind in kinds:
        names = {one.name for one in fields(kind)} & (BEEN | TO_COME)  # type: ignore[arg-type]  # a dataclass, all are
        for record in store.all(kind) if names else ():
            moments = {name: at for name in names if (at := getattr(record, name))}
            ahead = max((at for name, at in moments.items() if name in BEEN), default=now) - now
            if ahead > 0:
                back = {name: at - ahead for name, at in moments.items()}
                moved: Any = replace(record, **back)  # type: ignore[type-var]  # a dataclass, all are
                store.put(moved)
