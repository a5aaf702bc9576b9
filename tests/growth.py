"""What an assembled core remembers, counted: whatever grows with what is gone is found without being named."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

_COLLECTIONS = (dict, list, set, deque)


def remembered(*roots: object) -> Counter[str]:
    """Count the members of every dict, list, set and deque that Fairlead's objects have, by class and attribute.

    Followed are attributes, members, and what functions were bound to or closed over.
    """
    counted: Counter[str] = Counter()
    seen: set[int] = set()
    todo: list[object] = list(roots)
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for name, value in _parts(one):
            if name and isinstance(value, _COLLECTIONS):
                counted[f"{type(one).__qualname__}.{name}"] += len(value)
            todo.append(value)
    return counted


def grown(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    """Return what has more members than before, and how many more."""
    return {name: more for name, size in after.items() if (more := size - before[name]) > 0}


def _parts(one: object) -> Iterator[tuple[str, Any]]:
    """What an object leads to; with a name where it is an attribute of an object of Fairlead's."""
    match one:
        case Mapping():
            yield from (("", part) for pair in list(one.items()) for part in pair)
        case list() | set() | tuple() | frozenset() | deque():
            yield from (("", part) for part in list(one))
        case partial():
            yield from (("", part) for part in (one.func, *one.args, *one.keywords.values()))
        case MethodType():
            yield "", one.__self__
        case FunctionType():
            yield from (("", cell) for cell in one.__closure__ or ())
        case CellType():
            yield "", one.cell_contents
        case _ if type(one).__module__.partition(".")[0] == "fairlead":
            yield from getattr(one, "__dict__", {}).items()
            slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
            yield from ((name, getattr(one, name)) for name in slots if hasattr(one, name))
        case _:
            pass
