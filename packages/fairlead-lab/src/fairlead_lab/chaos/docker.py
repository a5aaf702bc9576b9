"""Docker's commands on a lab's machines: carried out as planned, and repeated until what should be is."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fairlead.model.errors import LabError
from fairlead_lab.chaos.model import BY_NAME, Command, Container, Kind, World
from fairlead_lab.host import Host

_DOCKER = "/usr/bin/docker"
"""The client of the daemon's version: another, earlier on PATH, may refuse what the daemon can."""

_PATIENCE = 120.0
"""Seconds that a command may take."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A container that runs on a network, as Docker tells. address6 is empty where the network has one family."""

    container: str
    machine: str
    network: str
    pid: int
    endpoint: str
    address: str
    address6: str

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of both families, where there are two."""
        return (self.address, self.address6) if self.address6 else (self.address,)


class DockerRefused(LabError):
    """Docker answered a command with an error; its text is what a user reads."""


class Docker:
    """Docker on one machine. All methods raise DockerRefused."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def __call__(self, *words: str) -> str:
        """Run `docker WORDS…`, and return what it printed."""
        try:
            done = self._host.run([_DOCKER, *words], check=False, timeout=_PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise DockerRefused(f"no answer in {_PATIENCE:.0f} s") from error
        if done.returncode != 0:
            lines = [line for line in done.stderr.splitlines() if "rror" in line] or done.stderr.splitlines()
            raise DockerRefused(lines[0] if lines else f"exit status {done.returncode}")
        return done.stdout.strip()

    def carry_out(self, command: Command) -> None:
        """Carry out a planned command."""
        match command.kind:
            case Kind.CREATE:
                self._create(command.network)
            case Kind.REMOVE:
                self("network", "rm", command.network)
            case Kind.RUN | Kind.RUN_IP:
                self._run(command.container, command.network, command.address)
            case Kind.RM:
                self("rm", "-f", command.container)
            case Kind.STOP:
                self("stop", "-t", "0", command.container)
            case Kind.RESTART:
                self("restart", "-t", "0", command.container)
            case Kind.START:
                self("start", command.container)
            case Kind.REPLACE:
                address = self._inspect(command.container)["NetworkSettings"]["Networks"][command.network]["IPAddress"]
                self("rm", "-f", command.container)
                self._run(command.container, command.network, address)

    def attached(self, container: Container) -> Attached:
        """Say what Docker knows of a container that should run."""
        found = self._inspect(container.name)
        network = found["NetworkSettings"]["Networks"][container.network]
        return Attached(
            container.name,
            container.machine,
            container.network,
            found["State"]["Pid"],
            network["EndpointID"],
            network["IPAddress"],
            network["GlobalIPv6Address"],
        )

    def containers(self) -> dict[str, str]:
        """State by name: `running`, `exited`, `created`, …"""
        lines = self("ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.State}}").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def networks(self) -> frozenset[str]:
        """Names of Fairlead's networks."""
        return frozenset(self("network", "ls", "--filter", "driver=fairlead", "--format", "{{.Name}}").splitlines())

    def _create(self, name: str) -> None:
        network = BY_NAME[name]
        more = ("--ipv6", "--subnet", network.subnet6) if network.subnet6 else ()
        drivers = ("-d", "fairlead", "--ipam-driver", "fairlead")
        self("network", "create", *drivers, "--subnet", network.subnet, *more, name)

    def _run(self, name: str, network: str, address: str) -> None:
        chosen = ("--ip", address) if address else ()
        policy = ("--restart", "unless-stopped")
        self("run", "-d", "--name", name, *policy, "--network", network, *chosen, "busybox", "sleep", "86400")

    def _inspect(self, container: str) -> dict[str, Any]:
        (found,) = json.loads(self("inspect", "--type", "container", container))
        assert isinstance(found, dict)  # noqa: S101  Docker's documented answer
        return found


@dataclass(frozen=True, slots=True)
class Repair:
    """What a user would do after a fault: one command more, and why it takes one."""

    what: str
    act: Callable[[], object]


def repairs(docker: Docker, world: World, machine: str, restart: Callable[[], object]) -> Iterator[Repair]:
    """Compare a machine's Docker with what should be. restart: of its daemon."""
    there, networks = docker.containers(), docker.networks()
    wanted = {one.name: one for one in world.containers_of(machine)}
    for name, state in there.items():
        if name not in wanted or state in {"created", "dead", "removing"}:
            yield Repair("rm -f", partial(docker, "rm", "-f", name))
    for name in set(world.networks_of(machine)) - networks:
        command = Command(Kind.CREATE, machine, name)
        yield Repair(command.kind, partial(docker.carry_out, command))
    for name in networks - set(world.networks_of(machine)):
        yield Repair(Kind.REMOVE, partial(_remove, docker, name, restart))
    for name, one in wanted.items():
        if name not in there:
            command = Command(Kind.RUN_IP, machine, one.network, name, one.address)
            yield Repair("run", partial(docker.carry_out, command))
        elif one.running and there[name] == "exited":
            yield Repair("start", partial(docker, "start", name))
        elif not one.running and there[name] in {"running", "restarting"}:
            yield Repair("stop", partial(docker, "stop", "-t", "0", name))


def settle(
    docker: Docker,
    world: World,
    machine: str,
    restart: Callable[[], object],
    *,
    patience: float,
    done: Callable[[str], None],
) -> str:
    """Repeat what failed until what should be is; returns what Docker said last where `patience` seconds don't do.

    done: is told of each command that was needed.
    """
    limit = time.monotonic() + patience
    said = ""
    while time.monotonic() < limit:
        try:
            needed = list(repairs(docker, world, machine, restart))
            if not needed:
                return ""
            for repair in needed:
                repair.act()
                done(repair.what)
        except DockerRefused as error:
            said = str(error)
            time.sleep(2.0)
    return said or "what should be is not"


def _remove(docker: Docker, network: str, restart: Callable[[], object]) -> None:
    """Remove a network, by a restart of dockerd where it counts endpoints that it has not.

    dockerd 20.10 counts wrong where many come at once ("has active endpoints", and inspect shows none), and anew when
    it starts.
    """
    try:
        docker("network", "rm", network)
    except DockerRefused as error:
        shown = json.loads(docker("network", "inspect", network))[0]["Containers"]
        if "active endpoints" not in str(error) or shown:
            raise
        restart()
        docker("network", "rm", network)
