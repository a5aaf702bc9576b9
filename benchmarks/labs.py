"""Labs that benchmarks run on, Docker on their hosts, and the networks that are compared."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial

from benchmarks.kuryr import Kuryr
from benchmarks.report import say
from fairlead_lab import Lab, LabSpec
from fairlead_lab.host import Host
from fairlead_lab.spec import underlay_address

DOCKER = "/usr/bin/docker"
"""Debian's client, of the daemon's version: another may come first on PATH."""

LABEL = "fairlead-bench"
"""On every container of a benchmark, so that what an interruption left can be found."""

_RANGES = {"fairlead": "10.77.0.0/24", "kuryr": "10.78.0.0/24", "overlay": "10.79.0.0/24"}


@contextmanager
def lab_for(spec: LabSpec, running: str = "") -> Iterator[Lab]:
    """Lend a lab that runs, or bring one up for the time being."""
    if running:
        yield Lab.load(running)
        return
    lab = Lab(spec)
    try:
        say(f"bringing up lab {spec.name!r}, underlay MTU {spec.mtu}")
        lab.up()
        yield lab
    finally:
        lab.down()


def docker(host: Host, *command: str, check: bool = True, timeout: float = 300.0) -> str:
    """Run `docker COMMAND…` on a host and return what it printed."""
    return host.run([DOCKER, *command], check=check, timeout=timeout).stdout.strip()


def run_command(name: str, network: str) -> list[str]:
    """The command that starts a container which sleeps."""
    return [DOCKER, "run", "-d", "--label", LABEL, "--name", name, "--network", network, "busybox", "sleep", "3600"]


def remove_containers(host: Host) -> None:
    """Remove every container of the benchmarks on a host."""
    if left := docker(host, "ps", "-aq", "--filter", f"label={LABEL}", check=False).split():
        docker(host, "rm", "-f", *left, check=False)


@contextmanager
def networks(
    lab: Lab, hosts: Sequence[Host], kinds: Sequence[str], kuryr: Kuryr | None = None
) -> Iterator[Mapping[str, str]]:
    """Make a network of each kind on the hosts (the first makes the overlay's) and take all away in the end.

    Yields the networks' names by kind. kuryr: needed for the kind of that name; its server runs only while its network
    is made and removed.
    """
    names = {kind: kind if kind == "none" else f"bench-{kind}" for kind in kinds}
    with ExitStack() as stack:
        for kind in kinds:
            if kind == "none":
                continue
            if kind == "overlay":
                stack.enter_context(swarm(lab.hosts, [str(underlay_address(host.name)) for host in lab.hosts]))
            makers = hosts[:1] if kind in ("overlay", "kuryr") else hosts
            for host in makers:
                stack.callback(_remove_network, host, names[kind], kuryr if kind == "kuryr" else None)
                _create_network(host, kind, names[kind], lab.spec.mtu, kuryr)
        stack.callback(_remove_all, hosts, kuryr if "kuryr" in kinds else None)
        yield names


def _remove_all(hosts: Sequence[Host], kuryr: Kuryr | None) -> None:
    """Remove the containers; dockerd waits half a minute for a driver that a container of it needs and isn't there."""
    with kuryr.serving() if kuryr else nullcontext():
        for host in hosts:
            remove_containers(host)


def _create_network(host: Host, kind: str, name: str, mtu: int, kuryr: Kuryr | None) -> None:
    create = partial(docker, host, "network", "create", "-d")
    match kind:
        case "bridge":
            create("bridge", name)
        case "overlay":
            # The driver takes its headers' 50 bytes off itself.
            outer = f"com.docker.network.driver.mtu={mtu}"
            create("overlay", "--attachable", "--subnet", _RANGES[kind], "-o", outer, name)
        case "fairlead":
            create("fairlead", "--ipam-driver", "fairlead", "--subnet", _RANGES[kind], name)
        case "kuryr":
            assert kuryr
            with kuryr.serving():
                # It fails without a gateway that is named.
                gateway = ("--gateway", "10.78.0.1")
                create("kuryr", "--ipam-driver", "kuryr", "--subnet", _RANGES[kind], *gateway, name)


def _remove_network(host: Host, name: str, kuryr: Kuryr | None) -> None:
    with kuryr.serving() if kuryr else nullcontext():
        for _ in range(20):
            docker(host, "network", "rm", name, check=False)
            if name not in docker(host, "network", "ls", "--format", "{{.Name}}").split():
                return
            time.sleep(0.5)  # an overlay is in use a moment longer
        say(f"could not remove network {name} on {host.name}")


@contextmanager
def swarm(hosts: Sequence[Host], addresses: Sequence[str]) -> Iterator[None]:
    """Join dockerds to a swarm for the time being; addresses: the hosts', for each other."""
    (first, manager), *others = zip(hosts, addresses, strict=True)
    try:
        docker(first, "swarm", "init", "--advertise-addr", manager, "--listen-addr", f"{manager}:2377")
        token = docker(first, "swarm", "join-token", "-q", "worker")
        for host, address in others:
            docker(host, "swarm", "join", "--advertise-addr", address, "--token", token, f"{manager}:2377")
        yield
    finally:
        for host in reversed(hosts):
            docker(host, "swarm", "leave", "--force", check=False)
            docker(host, "network", "rm", "docker_gwbridge", check=False)
