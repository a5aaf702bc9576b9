"""Docker's own commands on a lab's host, and packets in its containers."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

PROBE = str(Path(__file__).with_name("probe.py"))
IMAGE = "busybox"
DOCKER = "/usr/bin/docker"
"""Debian's client, of the daemon's version: a newer one that comes first on PATH refuses what the daemon could do."""


class Host(Protocol):
    """What the tests need of a lab's host."""

    @property
    def name(self) -> str: ...

    def run(
        self, command: list[str], *, check: bool = True, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]: ...


class Lines(Protocol):
    """The output of something that runs."""

    def readline(self) -> str: ...


class Listening(Protocol):
    """A probe that runs."""

    @property
    def stdout(self) -> Lines | None: ...


class Prober(Protocol):
    """What sends and receives packets: a container, an instance, or a namespace in a virtual machine."""

    def probe(self, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]: ...

    def probing(self, *arguments: str) -> AbstractContextManager[Listening]: ...


@dataclass(frozen=True)
class Running:
    """A container that runs, on one network of the test's."""

    docker: "Docker"
    name: str
    network: str
    pid: int
    address: str
    address6: str
    mac: str

    def command(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the image's in it."""
        return self.docker.host.run([DOCKER, "exec", self.name, *command], check=check)

    def pings(self, address: str, *, count: int = 2) -> bool:
        """Say whether any of a few pings is answered."""
        return self.command("ping", "-c", str(count), "-W", "1", address, check=False).returncode == 0

    def probe(self, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run probe.py in its network namespace."""
        return subprocess.run(self._inside(*arguments), text=True, capture_output=True, timeout=timeout, check=False)

    @contextmanager
    def probing(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Keep probe.py running in its network namespace, from when it listens."""
        with subprocess.Popen(self._inside(*arguments), text=True, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout
                assert process.stdout.readline() == "listening\n"
                yield process
            finally:
                process.kill()

    def _inside(self, *arguments: str) -> list[str]:
        return ["nsenter", "-t", str(self.pid), "-n", sys.executable, PROBE, *arguments]


@dataclass
class Docker:
    """Runs docker on one host and remembers what it made, for `clear`. restart: of dockerd."""

    host: Host
    restart: Callable[[], object] = lambda: None
    containers: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)

    def __call__(self, *command: str, check: bool = True) -> str:
        """Run `docker COMMAND…` and return what it printed."""
        return self.host.run([DOCKER, *command], check=check, timeout=90).stdout.strip()

    def refused(self, *command: str) -> str:
        """Run `docker COMMAND…`, which must fail, and return the line that the user reads."""
        done = self.host.run([DOCKER, *command], check=False, timeout=90)
        assert done.returncode != 0, f"docker {' '.join(command)} should have failed: {done.stdout}"
        return done.stderr.strip()

    def network_create(self, name: str, subnet: str = "", *more: str, neutron: str = "") -> str:
        """Make a fairlead network; neutron: the Neutron network's name."""
        self.networks.append(name)
        return self(*self.network_command(name, subnet, *more, neutron=neutron))

    @staticmethod
    def network_command(name: str, subnet: str = "", *more: str, neutron: str = "") -> list[str]:
        named = f"neutron.net.name={neutron}"
        return [
            "network", "create", "-d", "fairlead", "--ipam-driver", "fairlead",
            *(["--subnet", subnet] if subnet else []),
            *(["-o", named, "--ipam-opt", named] if neutron else []),
            *more, name,
        ]  # fmt: skip

    def run(self, name: str, network: str, *more: str) -> Running:
        """Start a container that stays."""
        self.containers.append(name)
        self("run", "-d", "--name", name, "--network", network, *more, IMAGE, "sleep", "3600")
        return self.running(name, network)

    def running(self, name: str, network: str) -> Running:
        """Say what Docker knows of a container."""
        inspected = self.inspect(name)
        attached = inspected["NetworkSettings"]["Networks"][network]
        return Running(
            self,
            name,
            network,
            inspected["State"]["Pid"],
            attached["IPAddress"],
            attached["GlobalIPv6Address"],
            attached["MacAddress"],
        )

    def inspect(self, name: str, *, kind: str = "container") -> dict[str, Any]:
        (found,) = json.loads(self("inspect", "--type", kind, name))
        assert isinstance(found, dict)
        return found

    def rm(self, *names: str) -> None:
        self("rm", "-f", *names)
        self.containers = [name for name in self.containers if name not in names]

    def network_rm(self, *names: str) -> None:
        self("network", "rm", *names)
        self.networks = [name for name in self.networks if name not in names]

    def clear(self) -> None:
        """Remove what is left."""
        if self.containers:
            self("rm", "-f", *self.containers, check=False)
        for name in self.networks:
            # Docker may take a moment to forget a container's endpoint; what stays would fail each test after this one.
            if not eventually(lambda name=name: self._forgot(name), seconds=15):
                # dockerd 20.10 counts a network's endpoints wrong where many come at once on a busy machine ("has
                # active endpoints", and inspect shows none), and anew when it starts ("inconsistent endpoint_cnt").
                self.restart()
                eventually(lambda name=name: self._forgot(name), seconds=15)

    def _forgot(self, network: str) -> bool:
        removed = self("network", "rm", network, check=False)
        return bool(removed) or not self("network", "ls", "-q", "--filter", f"name=^{network}$")

    def left(self) -> dict[str, list[str]]:
        """Say what of Fairlead's is on the host: devices, switch ports."""
        devices = [one["ifname"] for one in json.loads(self.host.run(["ip", "-j", "link"]).stdout)]
        ports = self.host.run(["ovs-vsctl", "list-ports", "br-int"]).stdout.split()
        return {
            "devices": [name for name in devices if name.startswith("fl")],
            "switch": [name for name in ports if name.startswith("fl")],
        }


def eventually(condition: Any, *, seconds: float = 60.0) -> bool:
    """Say whether something comes true within a limit."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def tcp_works(server: Prober, client: Prober, address: str, *, size: int = 200_000) -> bool:
    """Send bytes from one to another and back over TCP."""
    with server.probing("listen-tcp", address, "5001"):
        done = client.probe("talk-tcp", address, "5001", str(size))
    return done.stdout.strip() == str(size)


def udp_arrives(server: Prober, client: Prober, address: str, size: int, *, source: str = "") -> bool:
    """Say whether one unfragmented datagram with `size` bytes of payload arrives."""
    with server.probing("listen-udp", address, "5002", "3") as listening:
        client.probe("send-udp", address, "5002", str(size), *([source] if source else []))
        assert listening.stdout
        return listening.stdout.readline().split()[:1] == [str(size)]
