"""Containers in a virtual machine as tests see them: namespaces of its kernel, each with a NIC of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fairlead_lab.vm.channel import Command
from fairlead_lab.vm.machine import VirtualMachine
from tests.e2e.docker import PROBE, Running

TO_ANSWER = 120.0
"""Seconds for a program to say something: emulated, Python takes one to start, and twenty on a busy machine."""


@dataclass(frozen=True)
class Addresses:
    """What Neutron gave a port."""

    port: str
    mac: str
    v4: str
    v6: str

    @classmethod
    def of(cls, port: Any) -> "Addresses":
        """Read a port of openstacksdk's with an address of both families."""
        given = [one["ip_address"] for one in port.fixed_ips]
        (v4,) = (address for address in given if ":" not in address)
        (v6,) = (address for address in given if ":" in address)
        return cls(port.id, port.mac_address, v4, v6)


@dataclass(frozen=True)
class Sandbox:
    """A namespace in a machine. enter: what runs a command in it, nothing for the machine's own; device: its NIC."""

    machine: VirtualMachine
    enter: tuple[str, ...]
    device: str
    own: Addresses

    @classmethod
    def of_container(cls, container: Running, machine: VirtualMachine) -> "Sandbox":
        """The one of a container that the machine's Docker has started."""
        own = Addresses("", container.mac, container.address, container.address6)
        return cls(machine, ("nsenter", "-t", str(container.pid), "-n"), "eth0", own)

    @classmethod
    @contextmanager
    def on_vlan(cls, machine: VirtualMachine, vlan: int, own: Addresses, name: str = "") -> Iterator["Sandbox"]:
        """Make one whose NIC is a VLAN of the machine's, with the MAC and the addresses of a port."""
        name, device = name or f"vlan{vlan}", f"eth0.{vlan}"
        machine.run(["ip", "netns", "add", name])
        try:
            machine.run(["ip", "link", "add", "link", "eth0", "name", device, "type", "vlan", "id", str(vlan)])
            machine.run(["ip", "link", "set", device, "netns", name, "address", own.mac])
            made = cls(machine, ("ip", "netns", "exec", name), device, own)
            made.furnish()
            yield made
        finally:
            _remove(machine, name, device)

    @classmethod
    @contextmanager
    def beside(cls, machine: VirtualMachine, kind: str, own: Addresses) -> Iterator["Sandbox"]:
        """Make one whose NIC is a `macvlan` of the machine's, or an `ipvlan`, which shares the machine's MAC."""
        device, mac = f"{kind}0", ["address", own.mac] if kind == "macvlan" else []
        mode = {"macvlan": "bridge", "ipvlan": "l2"}[kind]
        machine.run(["ip", "netns", "add", kind])
        try:
            machine.run(
                ["ip", "link", "add", "link", "eth0", "name", device, *mac, "netns", kind, "type", kind, "mode", mode]
            )
            made = cls(machine, ("ip", "netns", "exec", kind), device, own)
            made.furnish()
            yield made
        finally:
            _remove(machine, kind, device)

    def furnish(self) -> None:
        """Bring the NIC up with its addresses."""
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", self.device, "up")
        self.run("ip", "address", "add", f"{self.own.v4}/24", "dev", self.device)
        self.run("ip", "address", "add", f"{self.own.v6}/64", "dev", self.device, "nodad")

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.machine.run(self._inside(*command), check=check)

    def pings(self, address: str, *, count: int = 2) -> bool:
        """Say whether any of a few pings is answered."""
        return self.run("busybox", "ping", "-c", str(count), "-W", "1", address, check=False).returncode == 0

    def probe(self, *arguments: str, timeout: float = TO_ANSWER) -> subprocess.CompletedProcess[str]:
        """Run probe.py in it."""
        return self.machine.run(self._inside(sys.executable, PROBE, *arguments), check=False, timeout=timeout)

    @contextmanager
    def probing(self, *arguments: str) -> Iterator[Command]:
        """Keep probe.py running in it, from when it listens."""
        process = self.machine.start(self._inside(sys.executable, PROBE, *arguments))
        try:
            assert process.stdout.readline(TO_ANSWER) == "listening\n", process.stderr.read(TO_ANSWER)
            yield process
        finally:
            process.kill()
            process.wait(TO_ANSWER)

    def _inside(self, *command: str) -> list[str]:
        return [*self.enter, *command]


def _remove(machine: VirtualMachine, name: str, device: str) -> None:
    # The kernel takes its time to end a namespace and what is in it; a device is gone at once.
    machine.run(["ip", "-n", name, "link", "delete", device], check=False)
    machine.run(["ip", "netns", "delete", name])
