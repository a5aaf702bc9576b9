"""What an agent's parts remember: the sizes of all that holds things, found by walking from part to part."""

from collections import deque
from collections.abc import Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import Any

HOLDERS = (dict, list, set, frozenset, deque)


def sizes(*roots: object) -> dict[str, int]:
    """How many things each holder has that can be reached from the roots by what is Fairlead's; by way and name."""
    found: dict[str, int] = {}
    seen: set[int] = set()
    rest: list[tuple[str, Any]] = [(type(root).__name__, root) for root in roots]
    while rest:
        way, one = rest.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, HOLDERS):
            found[way] = found.get(way, 0) + len(one)
            inner = one.values() if isinstance(one, dict) else one
            rest += [(f"{way}[]", each) for each in inner]
        else:
            rest += [(f"{way}.{name}", value) for name, value in _parts(one)]
    return found


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """By how much which holders have grown."""
    return {way: more for way, size in after.items() if (more := size - before.get(way, 0)) > 0}


def _parts(one: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(one, MethodType):
        yield "self", one.__self__
    elif isinstance(one, partial):
        yield from (("func", one.func), ("args", one.args), ("keywords", one.keywords))
    elif isinstance(one, tuple):
        yield from ((str(number), each) for number, each in enumerate(one))
    elif isinstance(one, FunctionType) and one.__module__.startswith("fairlead."):
        for name, cell in zip(one.__code__.co_freevars, one.__closure__ or (), strict=True):
            try:
                yield name, cell.cell_contents
            except ValueError:
                continue
    elif type(one).__module__.startswith("fairlead."):
        names = {name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())}
        names |= set(getattr(one, "__dict__", {}))
        yield from ((name, getattr(one, name)) for name in sorted(names) if hasattr(one, name))
