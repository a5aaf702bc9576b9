"""Looking into containers' network namespaces, where devices are that have been moved there.

dockerd keeps a file for each of its sandboxes in a folder, by which the namespace can be entered (namespaces(7)).
"""

import ctypes
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

FOLDER: Final = Path("/run/docker/netns")

_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h


def visit(folder: Path, call: Callable[[], T]) -> dict[Path, T]:
    """Call in each sandbox's network namespace but our own, and return the answers by the sandbox's file.

    A sandbox that ends meanwhile is left out. Blocks; raises what the call raises.
    """
    own = Path("/proc/thread-self/ns/net").stat().st_ino
    try:
        files = sorted(folder.iterdir())
    except FileNotFoundError:
        return {}
    answers: dict[Path, T] = {}
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for file in files:
                if _enter(file, own):
                    answers[file] = call()
        except BaseException as error:  # noqa: BLE001  # it is the caller's
            errors.append(error)

    # A thread of its own, which ends in the last namespace: so none has to find its way back.
    thread = threading.Thread(target=work, name="fairlead-sandboxes")
    if files:
        thread.start()
        thread.join()
    for error in errors:
        raise error
    return answers


def _enter(file: Path, own: int) -> bool:
    with suppress(OSError):
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # dockerd's file of the host's own namespace is in the folder, too.
            if os.fstat(handle).st_ino != own:
                refused: int = ctypes.CDLL(None).setns(handle, _CLONE_NEWNET)
                return not refused
        finally:
            os.close(handle)
    return False
