"""Less memory for the agent, by two calls of glibc's; elsewhere nothing happens.

By default each thread allocates from an arena of its own, and what one has freed the others can't use: 3 MB with ours,
which allocate little and in turn. And what was freed stays the process's until the heap's end is free: after a start,
which reads all that the switch has, or a busy hour, some megabytes.

Source: mallopt(3), malloc_trim(3).
"""

import ctypes
from typing import Final

from fairlead.ports.clock import Clock

_M_ARENA_MAX: Final = -8

EVERY: Final = 15.0
"""Seconds between two times that memory is given back."""


def share_one_arena() -> None:
    """Let all threads allocate from one arena. To be called before there are threads."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, 1)


async def give_back_memory(clock: Clock) -> None:
    """Give the system back what is free, wherever it lies, for ever; each time takes about a millisecond."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while True:
        if malloc_trim:
            malloc_trim(0)
        await clock.sleep(EVERY)
