"""Commands in a virtual machine, as the program that started it sees them; the machine's end is guest.py."""

import itertools
import json
import queue
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlead.model.errors import LabError

_CHUNK = 65536


class Lines:
    """Text as it comes from a command: it can be read while the command runs."""

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._text = ""
        self._ended = False

    def feed(self, text: str | None) -> None:
        """Add what has arrived; None: that was all."""
        self._arrived.put(text)

    def readline(self, timeout: float | None = None) -> str:
        """The next line with its end; shorter when the output has ended. Raises TimeoutError after so many seconds."""
        return self._read(lambda: self._text.find("\n") + 1, timeout)

    def read(self, timeout: float | None = None) -> str:
        """All until the end. Raises TimeoutError after so many seconds."""
        return self._read(lambda: 0, timeout)

    def _read(self, length: Callable[[], int], timeout: float | None) -> str:
        limit = None if timeout is None else time.monotonic() + timeout
        while not (end := length()) and not self._ended:
            try:
                text = self._arrived.get(timeout=None if limit is None else max(0.0, limit - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no line came in {timeout} s") from None
            self._ended = text is None
            self._text += text or ""
        end = end or len(self._text)
        found, self._text = self._text[:end], self._text[end:]
        return found


class Command:
    """One command that runs, or has run, in the machine.

    argv: its words. stdout, stderr: what it writes. With a log both are appended to that file instead.
    """

    def __init__(self, argv: Sequence[str], tell: Callable[[int], None], log: Path | None) -> None:
        self.argv = tuple(argv)
        self.stdout, self.stderr = Lines(), Lines()
        self._tell = tell
        self._log = log
        self._over = threading.Event()
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its exit status; negative a signal's number; None while it runs."""
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit status; raises subprocess.TimeoutExpired after so many seconds."""
        if not self._over.wait(timeout):
            raise subprocess.TimeoutExpired(list(self.argv), timeout or 0)
        assert self._status is not None  # noqa: S101  it is set before `_over`
        return self._status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self._status is None:
            self._tell(number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def wrote(self, stream: int, text: str) -> None:
        """Note what has come on its first or second stream."""
        if self._log is None:
            (self.stdout if stream == 1 else self.stderr).feed(text)
        else:
            with self._log.open("a", errors="surrogateescape") as file:
                file.write(text)

    def ended(self, status: int) -> None:
        """Note its end."""
        self._status = status
        self.stdout.feed(None)
        self.stderr.feed(None)
        self._over.set()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a machine stands that is put aside: the number of its next command, and those of what runs in it."""

    next: int
    running: tuple[int, ...]


class Channel:
    """The host's end of a machine's virtio port. Errors of the machine's own are raised as LabError."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._commands: dict[int, Command] = {}
        self._sending = threading.Lock()
        self._ready: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._gone = threading.Event()
        self._reader = threading.Thread(target=self._listen, name="virtual machine", daemon=True)
        self._reader.start()

    def wait_ready(self, timeout: float) -> str | None:
        """Wait until the machine takes commands and return its kernel's version; None: it ended, or took too long."""
        try:
            return self._ready.get(timeout=timeout)
        except queue.Empty:
            return None

    def place(self) -> Place:
        """Tell where the machine stands."""
        return Place(next(self._numbers), tuple(self._commands))

    def wake(self, next_number: int) -> None:
        """Tell a machine that was put aside what has changed meanwhile; `wait_ready` tells when it has heard."""
        self._numbers = itertools.count(next_number)
        self._send({"wake": {"time": time.time(), "seed": secrets.token_hex(64)}})

    def adopt(self, number: int, argv: Sequence[str], log: Path) -> Command:
        """Know a command that runs in the machine since before it was put aside."""
        self._commands[number] = self._command(number, argv, log)
        return self._commands[number]

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        input: str = "",  # noqa: A002  subprocess.run's name for it
        folder: str = "/",
        log: Path | None = None,
    ) -> Command:
        """Start a command; raises LabError when the machine has ended."""
        number = next(self._numbers)
        command = self._commands[number] = self._command(number, argv, log)
        self._send({"id": number, "argv": list(argv), "env": dict(env), "folder": folder, "input": input})
        return command

    def _command(self, number: int, argv: Sequence[str], log: Path | None) -> Command:
        return Command(argv, lambda signal: self._send({"id": number, "signal": signal}), log)

    def close(self) -> None:
        """End the connection; what still runs counts as killed."""
        self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._connection.close()

    def _send(self, words: Mapping[str, Any]) -> None:
        try:
            if self._gone.is_set():
                raise BrokenPipeError
            with self._sending:
                self._connection.sendall(json.dumps(words).encode() + b"\n")
        except OSError as error:
            raise LabError("the virtual machine has ended", remedy="see its console in the lab's log folder") from error

    def _listen(self) -> None:
        pending = b""
        while data := self._receive():
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))
        self._gone.set()
        self._ready.put(None)
        for command in list(self._commands.values()):
            command.ended(-signal.SIGKILL)

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(_CHUNK)
        except OSError:  # closed on this side, or reset by qemu's end
            return b""

    def _hear(self, words: Mapping[str, Any]) -> None:
        if "ready" in words:
            self._ready.put(words["ready"])
        elif "exit" in words:
            self._commands.pop(words["id"]).ended(words["exit"])
        else:
            self._commands[words["id"]].wrote(words["stream"], words["text"])
