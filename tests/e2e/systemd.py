"""A lab's host on which systemd, as process 1 of a namespace of its own, runs the agent by our units, and dockerd."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fairlead_lab import Lab
from fairlead_lab.cgroups import cgroup_tree
from fairlead_lab.host import Host
from fairlead_lab.processes import clean_environment, entering

PROGRAM = Path("/lib/systemd/systemd")
UNITS = Path(__file__).parents[2] / "packaging/systemd"
FOLDER = "/run/test-units"
TARGETS = ("sysinit", "basic", "sockets", "shutdown", "umount", "final", "network-online")
BOOT = """[Unit]
Requires=basic.target
After=basic.target
Wants=sockets.target fairlead-agent.socket fairlead-agent.service docker.service
"""
DOCKER = """[Service]
Type=notify
TimeoutStartSec=0
ExecStartPre=/bin/rm -f /run/docker.pid /run/docker/containerd/containerd.pid
ExecStart=/usr/sbin/dockerd
Delegate=yes
KillMode=process
"""
# The checkout and its Python may be anybody's; the lab keeps the agent's memory apart. Nobody reads a journal here.
HERE = """[Service]
ExecStart=
ExecStart={python} -m fairlead agent
Environment=PYTHONDONTWRITEBYTECODE=1
ProtectHome=read-only
ReadWritePaths={state}
StandardOutput=append:{log}
StandardError=append:{log}
"""
# Each group is that of a hierarchy: what systemd makes is below them, and goes with the lab.
_JOIN = """
program=$1; shift
for group; do
    mkdir -p "$group"
    for level in "$group/../.." "$group/.." "$group"; do
        for file in cpuset.cpus cpuset.mems; do
            test -e "$level/$file" && test -z "$(cat "$level/$file")" && cat "$level/../$file" >"$level/$file"
        done
    done
    echo $$ >"$group/cgroup.procs"
done
exec sh -c "$program"
"""
_PROCESS_1 = """
mount --make-rshared /
exec unshare --mount --propagation slave --pid --fork --kill-child --cgroup --ipc --mount-proc sh -c '
mount --make-rshared /
if test -e /sys/fs/cgroup/cgroup.controllers; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
    controllers=$(cd /sys/fs/cgroup && ls -d *)
    mount -t tmpfs tmpfs /sys/fs/cgroup
    for one in $controllers; do
        test "$one" = unified && continue
        test "$one" = systemd && options=none,name=systemd || options=$one
        mkdir /sys/fs/cgroup/$one && mount -t cgroup -o $options cgroup /sys/fs/cgroup/$one || rmdir /sys/fs/cgroup/$one
    done
fi
export container=lab SYSTEMD_UNIT_PATH={folder}
exec {program} --system --unit=boot.target --show-status=no --log-target=console --crash-reboot=no
'"""


@dataclass
class Systemd:
    """Process 1. Its host's Docker and agent are its own services."""

    lab: Lab
    host: Host
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start it, and with it what it is to start; not waited for."""
        groups = [str(folder / "systemd") for folder in cgroup_tree(self.lab.spec.name).folders()]
        inside = _PROCESS_1.format(folder=FOLDER, program=PROGRAM)
        program = shlex.join(["exec", *entering(self.host.holder, ["sh", "-c", inside])])
        command = ["sh", "-c", _JOIN, "sh", program]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *groups], env=clean_environment(), cwd="/", stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while self.run("systemctl", "show", "--property=Version").returncode:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def cut(self) -> None:
        """Pull the plug: all that it has started ends with it."""
        if self.process:
            with suppress(ProcessLookupError):
                os.kill(self._first(), 9)
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside its services."""
        inside = ["nsenter", "-t", str(self._first()), "-m", "-n", "-u", "-p", "-i", "-C", "--", *command]
        return subprocess.run(inside, capture_output=True, text=True, check=False, env=self.host.environment())

    def shows(self, unit: str, name: str) -> str:
        """Say what systemd knows of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).stdout.strip()

    def drop_in(self, name: str, text: str) -> None:
        """Change the agent's unit as an operator does."""
        folder = self.host.path(f"{FOLDER}/fairlead-agent.service.d")
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.conf").write_text(text)
        if self.process:
            self.run("systemctl", "daemon-reload")

    def _first(self) -> int:
        assert self.process
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else self.process.pid


@contextmanager
def under_systemd(lab: Lab, name: str) -> Iterator[Systemd]:
    """Have systemd on a lab's host, not booted yet, in place of the lab's own agent and dockerd."""
    for component in ("agent", "agent-socket", "dockerd"):
        lab.stop(component, name)
    host = lab.host(name)
    folder = host.path(FOLDER)
    folder.mkdir()
    for target in TARGETS:
        (folder / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    for file in UNITS.iterdir():
        (folder / file.name).write_text(file.read_text())
    (folder / "boot.target").write_text(BOOT)
    (folder / "docker.service").write_text(DOCKER)
    systemd = Systemd(lab, host, lab.paths.log / f"{name}-systemd.log")
    state, log = lab.paths.host(name) / "agent", lab.paths.log / f"{name}-agent.log"
    systemd.drop_in("here", HERE.format(python=sys.executable, state=state, log=log))
    try:
        yield systemd
    finally:
        systemd.cut()
