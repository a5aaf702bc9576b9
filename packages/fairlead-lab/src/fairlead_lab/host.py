"""A lab's host (or an instance, or its fabric) as tests and commands use it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fairlead_lab.manifest import ProcessId
from fairlead_lab.packages import SEARCH_PATH
from fairlead_lab.processes import clean_environment, entering, joining, start_time

# Kept from the caller's environment: what concerns the terminal and the language, and nothing that points at a cloud,
# a Docker daemon or a proxy of the caller's.
_KEPT = ("TERM", "COLORTERM", "LANG", "LC_ALL", "PS1")
_IN_FOLDER = 'cd "$1" 2>/dev/null || cd /; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Host:
    """The namespaces of `h1`, `i1`, … or `fabric`, and how to run things in them."""

    name: str
    holder: ProcessId
    cgroup: Path

    def path(self, path: str) -> Path:
        """A file of the host's, such as /run/docker.sock or /etc/fairlead/fairlead.toml, as it is reached from here."""
        return Path(f"/proc/{self.holder.pid}/root/{path.lstrip('/')}")

    def command(self, argv: Sequence[str], folder: Path | None = None) -> list[str]:
        """The command that runs `argv` on the host, in `folder` where the host has it.

        It is to be run with `environment()`.
        """
        inside = ["sh", "-c", _IN_FOLDER, "sh", str(folder), *argv] if folder else argv
        return joining(self.cgroup, entering(self.holder, inside))

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a command on the host finds in its environment."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return clean_environment(
            {"PATH": f"{os.environ.get('PATH', '')}:{SEARCH_PATH}".lstrip(":"), **kept, **(extra or {})}
        )

    def run(
        self,
        command: Sequence[str],
        *,
        check: bool = True,
        input: str | None = None,  # noqa: A002  subprocess.run's name for it
        timeout: float | None = 60.0,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and return its output.

        Raises subprocess.CalledProcessError, with what it wrote as a note, when `check` and it failed, and
        subprocess.TimeoutExpired after `timeout` seconds.
        """
        done = subprocess.run(
            self.command(command),
            env=self.environment(env),
            cwd="/",
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            error = subprocess.CalledProcessError(done.returncode, list(command), done.stdout, done.stderr)
            error.add_note(f"on {self.name}: {done.stdout}{done.stderr}")
            raise error
        return done

    def popen(
        self,
        command: Sequence[str],
        *,
        stdin: int | IO[str] | None = subprocess.DEVNULL,
        stdout: int | IO[str] | None = subprocess.PIPE,
        stderr: int | IO[str] | None = subprocess.STDOUT,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command on the host. The pid is the command's own, so signals reach it."""
        return subprocess.Popen(
            self.command(command),
            env=self.environment(env),
            cwd="/",
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
        )

    @property
    def alive(self) -> bool:
        """Whether the host is still there."""
        return start_time(self.holder.pid) == self.holder.started
