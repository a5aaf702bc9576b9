"""Instances that are flannel's nodes, and what sends and receives packets on them."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlead_lab.flannel import Daemon, Etcd, Flanneld, pod
from fairlead_lab.host import Host
from tests.e2e.docker import PROBE
from tests.e2e.instance import Instance

PROGRAMS = Path(__file__).parents[3] / "build/flannel/bin"
PYTHON = Path(sys.executable)
NETWORK, NETWORK6 = "10.100.0.0/16", "fd00:100::/48"
REPAIRED = 40.0
"""Seconds within which what somebody changed in Neutron is put right: a look every 15 to 22, and Neutron's own time."""


@dataclass(frozen=True)
class End:
    """A network namespace on a host: a pod, a container on docker0. inside: what runs a command there."""

    host: Host
    inside: tuple[str, ...]
    address: str
    address6: str = ""

    def run(self, *command: str, check: bool = True, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run one of the host's commands in it."""
        return self.host.run([*self.inside, *command], check=check, timeout=timeout)

    def pings(self, address: str) -> bool:
        """Say whether one ping is answered."""
        return self.run("busybox", "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0

    def probe(self, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run probe.py in it."""
        return self.run(sys.executable, PROBE, *arguments, check=False, timeout=timeout)

    @contextmanager
    def probing(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Keep probe.py running in it, from when it listens."""
        with self.host.popen([*self.inside, sys.executable, PROBE, *arguments]) as process:
            try:
                assert process.stdout
                assert process.stdout.readline() == "listening\n"
                yield process
            finally:
                process.kill()


@contextmanager
def pod_on(host: Host, name: str = "web") -> Iterator[End]:
    """Attach a pod by flannel's CNI plugin."""
    with pod(host, name, PROGRAMS) as made:
        yield End(host, ("ip", "netns", "exec", name), *map(str, made.addresses))


@dataclass
class Node:
    """An instance with an agent, flanneld, and an end in flannel's network."""

    instance: Instance
    agent: Daemon
    flanneld: Flanneld
    end: End

    @property
    def host(self) -> Host:
        return self.instance.host

    def status(self) -> dict[str, Any]:
        done = self.host.run([str(PYTHON.with_name("fairlead")), "flannel", "status", "--json"], check=False)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def pings(self, other: "Node", *, version: int = 4) -> bool:
        return self.end.pings(other.end.address if version == 4 else other.end.address6)


def fairlead(instance: Instance, *command: str) -> str:
    return instance.host.run([str(PYTHON.with_name("fairlead")), *command]).stdout


def start_agent(daemon: Daemon) -> None:
    """Start it, and wait until it answers: a socket may be left from one that was killed."""

    def answers() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(daemon.host.path("/run/fairlead/flannel.sock"))) == 0

    daemon.start(answers)


def configure(instance: Instance, etcd: Etcd, *more: str) -> None:
    fairlead(instance, "flannel", "config", "--network", NETWORK, "--etcd", etcd.url, *more)


def pairs(demo: Any, instance: Instance) -> set[str]:
    return {pair["ip_address"] for pair in demo.get_port(instance.port).allowed_address_pairs}


def router(demo: Any) -> Any:
    (found,) = demo.routers(name="instances")
    return found


def routes(demo: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = router(demo).routes
    return found


def source_seen(server: End, client: End, address: str, source: str = "") -> str:
    """Send a datagram from a source address (empty: the client's own), and say which one the server sees, if any."""
    with server.probing("listen-udp", address, "5002", "2") as listening:
        sent = client.probe("send-udp", address, "5002", "100", *([source] if source else []))
        assert sent.returncode == 0, sent.stderr
        assert listening.stdout
        return listening.stdout.readline().partition(" ")[2].strip()
