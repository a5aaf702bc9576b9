"""The first process of a virtual machine: runs what it is told over a virtio port, and tells what comes of it.

It is started as a program of its own, by the machine's kernel, and imports little: every module takes an emulator a
while. A machine goes on from where it was put aside (`snapshot`), and is told first what has changed: the time, and
what random numbers are drawn from, which no two machines may share. Each line, in both directions, is a JSON object;
text is UTF-8, with surrogate escapes for bytes that are not.

    to the machine    {"id": 1, "argv": ["ip", "link"], "env": {}, "folder": "/", "input": "…"}
                      {"id": 1, "signal": 15}
                      {"wake": {"time": 1764300000.0, "seed": "…"}}
    from it           {"ready": "6.1.0"}          at its start, and when it was woken
                      {"id": 1, "stream": 1, "text": "…"}
                      {"id": 1, "exit": 0}        a signal's number, negative, where one ended it; 127: it can't be run
"""

import fcntl
import json
import os
import selectors
import signal
import sys
import time
from time import CLOCK_REALTIME, clock_settime
from typing import Any

_PORTS = "/dev"
_CHUNK = 65536
# RNDRESEEDCRNG of linux/random.h: what was written is used at once.
_RESEED = 0x5207
# Seconds until the port is there, which the kernel makes beside other things.
_PATIENCE = 30.0


class Guest:
    """Serves one port until the machine ends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pending = b""
        self._selector = selectors.DefaultSelector()
        self._selector.register(port, selectors.EVENT_READ)
        self._pids: dict[int, int] = {}  # by pid: the id of the command
        self._streams: dict[int, dict[int, int]] = {}  # by id: descriptors of its output, and the number of each

    def serve(self) -> None:
        """Do what is told, forever."""
        told, ended = os.pipe()
        for end in (told, ended):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(ended, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(told, selectors.EVENT_READ)
        self._say({"ready": os.uname().release})
        while True:
            for key, _ in self._selector.select():
                if key.fd == self._port:
                    self._listen()
                elif key.fd == told:
                    os.read(told, _CHUNK)
                else:
                    number, name = key.data
                    self._pass_on(number, name, key.fd)
            self._reap()

    def _listen(self) -> None:
        data = os.read(self._port, _CHUNK)
        if not data:
            # The program that started the machine is gone. The kernel can't go on without this process, nor should it.
            sys.exit("nobody is at the other end")
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "argv" in order:
                self._start(order)
            elif "wake" in order:
                self._wake(**order["wake"])
            else:
                for pid in [pid for pid, number in self._pids.items() if number == order["id"]]:
                    os.kill(pid, order["signal"])

    def _wake(self, time: float, seed: str) -> None:
        """Go on after having been put aside."""
        clock_settime(CLOCK_REALTIME, time)
        with open("/dev/urandom", "wb", buffering=0) as pool:  # noqa: PTH123  pathlib takes long to import here
            pool.write(seed.encode())
            fcntl.ioctl(pool, _RESEED)
        self._say({"ready": os.uname().release})

    def _start(self, order: dict[str, Any]) -> None:
        number: int = order["id"]
        # In memory, so that nobody has to feed a pipe.
        given = os.memfd_create("input")
        os.write(given, order.get("input", "").encode(errors="surrogateescape"))
        os.lseek(given, 0, os.SEEK_SET)
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            _become(order, given, out_end, err_end)
        for end in (given, out_end, err_end):
            os.close(end)
        self._pids[pid] = number
        self._streams[number] = {out: 1, err: 2}
        for stream, name in self._streams[number].items():
            os.set_blocking(stream, False)
            self._selector.register(stream, selectors.EVENT_READ, (number, name))

    def _pass_on(self, number: int, name: int, stream: int) -> None:
        """Tell all that there is to read, and close the stream when it has ended."""
        while True:
            try:
                data = os.read(stream, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._selector.unregister(stream)
                os.close(stream)
                del self._streams[number][stream]
                return
            self._say({"id": number, "stream": name, "text": data.decode(errors="surrogateescape")})

    def _reap(self) -> None:
        """Tell of commands that have ended. Orphans come here too, as this is process 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid not in self._pids:
                continue
            number = self._pids.pop(pid)
            for stream, name in list(self._streams[number].items()):
                self._pass_on(number, name, stream)
            # What it left behind may keep its output open: nobody waits for that.
            for stream in self._streams.pop(number):
                self._selector.unregister(stream)
                os.close(stream)
            self._say({"id": number, "exit": os.waitstatus_to_exitcode(status)})

    def _say(self, words: dict[str, Any]) -> None:
        rest = json.dumps(words).encode() + b"\n"
        while rest:
            rest = rest[os.write(self._port, rest) :]


def _become(order: dict[str, Any], given: int, out: int, err: int) -> None:
    """Become the command, in this process, which is a child; never returns."""
    try:
        os.setsid()
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # which Python ignores, for its children too
        for source, target in ((given, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        os.chdir(order.get("folder", "/"))
        argv: list[str] = order["argv"]
        os.execvpe(argv[0], argv, order.get("env", {}))  # noqa: S606  a shell is what this does without
    except OSError as error:
        os.write(2, f"{order['argv'][0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _open_port() -> int:
    limit = time.monotonic() + _PATIENCE
    while True:
        # The number of the device depends on the order in which devices were found.
        for name in os.listdir(_PORTS):  # noqa: PTH208  pathlib takes long to import here
            if name.startswith("vport") and name.endswith("p1"):
                return os.open(f"{_PORTS}/{name}", os.O_RDWR | os.O_CLOEXEC)
        if time.monotonic() > limit:
            sys.exit("there is no virtio port")
        time.sleep(0.05)


if __name__ == "__main__":
    Guest(_open_port()).serve()
