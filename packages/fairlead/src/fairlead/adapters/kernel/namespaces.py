"""Containers' network namespaces, entered by the files that runtimes keep for them (namespaces(7)).

A thread that has entered a namespace never finds its way back here: each gets one of its own, which ends there. So
none that others use can be left in the wrong place, whatever fails.
"""

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from fairlead.model.errors import DataplaneError, InvalidInput, NotFound

T = TypeVar("T")

FOLDERS: Final = (Path("/run/docker/netns"), Path("/run/netns"))
"""Where sandboxes are kept: by dockerd, and by runtimes of CNI (containerd, CRI-O), as `ip netns` does."""

_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
_NO_NAMESPACE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ESRCH, errno.EINVAL)  # the last is setns's of other files


def visit(folders: Iterable[Path], call: Callable[[], T]) -> dict[Path, T]:
    """Call in each sandbox's network namespace but our own, and return the answers by the sandbox's file.

    A sandbox that ends meanwhile is left out. Blocks; raises what the call raises.
    """
    own = _own()
    files = [file for folder in folders for file in _files(folder)]

    def work() -> dict[Path, T]:
        answers = {}
        for file in files:
            handle = None
            with suppress(OSError):
                handle = _enter(str(file), own)
            if handle is None:  # it has ended, or is the host's own namespace, of which dockerd keeps a file as well
                continue
            try:
                answers[file] = call()
            finally:
                os.close(handle)
        return answers

    return _in_thread_of_its_own(work) if files else {}


def call_in(netns: str, call: Callable[[int], T]) -> T:
    """Call in the network namespace that a file stands for, with the open file's number.

    Blocks; raises NotFound where there is no such namespace, InvalidInput where it is the calling thread's own,
    DataplaneError where it may not be entered, and what the call raises.
    """
    own = _own()

    def work() -> T:
        try:
            handle = _enter(netns, own)
        except OSError as error:
            if error.errno in _NO_NAMESPACE:
                raise NotFound(f"there is no network namespace at {netns}") from error
            raise DataplaneError(
                f"can't enter the network namespace at {netns}: {error.strerror}", remedy="run the agent as root"
            ) from error
        if handle is None:
            raise InvalidInput(f"{netns} is the host's own network namespace, not a sandbox's")
        try:
            return call(handle)
        finally:
            os.close(handle)

    return _in_thread_of_its_own(work)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _enter(path: str, own: int) -> int | None:
    """Enter a namespace for good, and return its open file; None where it is our own. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_ino != own:
            _set_namespace(handle)
            return handle
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _set_namespace(handle: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _own() -> int:
    return Path("/proc/thread-self/ns/net").stat().st_ino


def _in_thread_of_its_own(work: Callable[[], T]) -> T:
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:  # noqa: BLE001  # it is the caller's
            errors.append(error)

    thread = threading.Thread(target=run, name="fairlead-sandboxes")
    thread.start()
    thread.join()
    for error in errors:
        raise error
    return answers[0]
