"""`fairlead lab demo`: the main job, told step by step on a lab of its own."""

import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fairlead.model.errors import LabError
from fairlead_lab.host import Host
from fairlead_lab.lab import Lab
from fairlead_lab.neutron import Neutron

NETWORK, SUBNET, OTHER = "web", "10.20.0.0/24", "other"
FORGED = "10.20.0.99"
_PINGS = ("ping", "-c", "3", "-i", "0.2", "-W", "1")


_PATIENCE = 60.0
"""Seconds within which everything must be gone."""


@dataclass(frozen=True, slots=True)
class Story:
    """Runs Docker's commands on the hosts, and shows each with what it printed."""

    lab: Lab
    say: Callable[[str], None]

    def tell(self) -> None:
        """Go through all of it. Raises LabError where something is not as it should be."""
        first, second = self.lab.host("h1"), self.lab.host("h2")
        neutron = Neutron(self.lab.clouds_yaml)
        self.chapter("One Neutron network, made on the first host and joined on the second")
        for host in (first, second):
            self.show(host, self.create(NETWORK))
        network = neutron.one("networks", name=NETWORK)
        self.say(
            f"    Neutron: network {network['name']} {network['id']}, MTU {network['mtu']}, tags {network['tags']}"
        )

        self.chapter("A container on each host; its address is a Neutron port's")
        for host, name in ((first, "a1"), (second, "b1")):
            self.show(host, self.run(name, NETWORK))
        address = {name: self.address(host, name, NETWORK) for host, name in ((first, "a1"), (second, "b1"))}
        for name, text in address.items():
            port = neutron.one("ports", fixed_ips=f"ip_address={text}")
            self.say(f"    {name}: {text}, port {port['id']}, MAC {port['mac_address']}, tags {port['tags']}")

        self.chapter("Packets across: ping, and a full-size datagram")
        self.show(first, ["docker", "exec", "a1", *_PINGS, address["b1"]])
        full = str(network["mtu"] - 28)  # an IPv4 header has 20 bytes, ICMP's 8
        self.show(first, ["docker", "exec", "a1", *_PINGS, "-s", full, address["b1"]])

        self.chapter(f"A forged source address ({FORGED}): port security lets nothing through")
        self.show(first, ["docker", "exec", "a1", "ip", "address", "add", f"{FORGED}/32", "dev", "eth0"])
        self.refuse(first, ["docker", "exec", "a1", *_PINGS, "-I", FORGED, address["b1"]])

        self.chapter("Another network of the same range: its containers don't meet these")
        for host in (first, second):
            self.show(host, self.create(OTHER))
        self.show(second, self.run("c1", OTHER))
        self.refuse(first, ["docker", "exec", "a1", *_PINGS, self.address(second, "c1", OTHER)])

        self.chapter("Everything taken down")
        self.show(first, ["docker", "rm", "-f", "a1"])
        self.show(second, ["docker", "rm", "-f", "b1", "c1"])
        for host in (first, second):
            self.show(host, ["docker", "network", "rm", NETWORK, OTHER])
        self.say(f"    Neutron: no network, subnet or port is left after {_until_empty(neutron):.1f} s more")

    def create(self, network: str) -> list[str]:
        """Return the command that makes a network on a host."""
        named = f"neutron.net.name={network}"
        return ["docker", "network", "create", "-d", "fairlead", "--ipam-driver", "fairlead", "--subnet", SUBNET,
                "-o", named, "--ipam-opt", named, network]  # fmt: skip

    def run(self, name: str, network: str, *more: str) -> list[str]:
        """Return the command that starts a container which stays; NET_ADMIN is for the one that forges."""
        return ["docker", "run", "-d", "--name", name, "--network", network, "--cap-add", "NET_ADMIN", *more,
                "busybox", "sleep", "600"]  # fmt: skip

    def address(self, host: Host, container: str, network: str) -> str:
        """Return what Docker says is the container's address."""
        (inspected,) = json.loads(host.run(["docker", "inspect", container]).stdout)
        address: str = inspected["NetworkSettings"]["Networks"][network]["IPAddress"]
        return address

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        self.say(f"\n{title}")

    def show(self, host: Host, command: Sequence[str]) -> None:
        """Run a command and show what it printed and how long it took. Raises LabError where it fails."""
        done = self._run(host, command)
        if done.returncode != 0:
            raise LabError(f"{shlex.join(command)} failed on {host.name}: {done.stderr.strip() or done.stdout.strip()}")

    def refuse(self, host: Host, command: Sequence[str]) -> None:
        """Run a ping that must not be answered. Raises LabError where it is."""
        if self._run(host, command).returncode == 0:
            raise LabError(f"{shlex.join(command)} was answered on {host.name}, and must not be")

    def _run(self, host: Host, command: Sequence[str]) -> Any:
        started = time.monotonic()
        done = host.run(command, check=False)
        self.say(f"  {host.name}$ {shlex.join(command)}   ({time.monotonic() - started:.1f} s)")
        for line in _worth_showing(done.stdout):
            self.say(f"    {line}")
        return done


def _until_empty(neutron: Neutron) -> float:
    """Return the seconds until agents have removed all of it behind Docker's back. Raises LabError."""
    started = time.monotonic()
    while left := {kind: count for kind in ("networks", "subnets", "ports") if (count := len(neutron.all(kind)))}:
        if time.monotonic() - started > _PATIENCE:
            raise LabError(f"something was left in Neutron: {left}", remedy="see `fairlead lab logs agent`")
        time.sleep(0.2)
    return time.monotonic() - started


def _worth_showing(output: str) -> list[str]:
    """Of ping only what it counted; of ids only the beginning."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    counted = [line for line in lines if "packet loss" in line]
    return counted or [line[:12] if len(line) == 64 else line for line in lines]
