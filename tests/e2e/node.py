"""A Docker host in a virtual machine: its NIC is a Neutron port, and an agent in it makes Docker's networks."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from fairlead_lab import Lab
from fairlead_lab.vm.machine import VirtualMachine, virtual_machine
from tests.e2e.docker import Docker, eventually
from tests.e2e.guest import TO_ANSWER

SOCKET = "/run/docker/plugins/fairlead.sock"
SETTINGS = """
[agent]
mode = "{mode}"
[pool]
floor = 2
cool_down = 1.0
[log]
format = "text"
"""


@dataclass(frozen=True)
class Node:
    """A machine with an agent and a dockerd. port: its own, in Neutron; trunk: that port's, None where it has none."""

    machine: VirtualMachine
    docker: Docker
    port: str
    trunk: str | None
    network: Any

    def sub_ports(self) -> dict[str, int]:
        """VLAN ids by port, of the node's trunk."""
        found = self.network.get_trunk_subports(self.trunk)["sub_ports"]
        return {one["port_id"]: one["segmentation_id"] for one in found}

    def pairs(self) -> set[str]:
        """The addresses of the node's port's pairs."""
        return {pair["ip_address"] for pair in self.network.get_port(self.port).allowed_address_pairs}

    def made(self) -> list[Any]:
        """The ports that this node's agent made."""
        return list(self.network.ports(tags=f"fairlead,fairlead:at={self.machine.name}"))

    def devices(self) -> set[str]:
        """Fairlead's devices that wait in the machine's own namespace."""
        shown = self.machine.run(["ip", "-br", "link"]).stdout
        return {line.split("@")[0] for line in shown.splitlines() if line.startswith("flc")}


@contextmanager
def node(lab: Lab, network: Any, *, host: str, name: str, mode: str) -> Iterator[Node]:
    """Boot one on a host, on the network `instances`, with a trunk in mode `trunk`; nothing of it stays."""
    with ExitStack() as undo:
        port = network.create_port(network_id=network.find_network("instances").id, name=name)
        undo.callback(network.delete_port, port.id)
        trunk = None
        if mode == "trunk":
            trunk = network.create_trunk(port_id=port.id)
            undo.callback(network.delete_trunk, trunk)
        machine = undo.enter_context(virtual_machine(lab, host=host, port=port.id, name=name, docker=True))
        machine.write("/etc/fairlead/fairlead.toml", SETTINGS.format(mode=mode))
        log = lab.paths.log / f"{name}-agent.log"
        agent = machine.start([sys.executable, "-m", "fairlead", "agent"], log=log)
        undo.callback(agent.wait, TO_ANSWER)
        undo.callback(agent.terminate)
        machine.wait_for(lambda: machine.run(["test", "-S", SOCKET], check=False).returncode == 0, agent, log)
        daemon = machine.start_docker()
        undo.callback(daemon.wait, TO_ANSWER)
        undo.callback(daemon.terminate)
        docker = Docker(machine)
        made = Node(machine, docker, port.id, trunk and trunk.id, network)
        undo.callback(lambda: eventually(lambda: not made.made(), seconds=60))
        undo.callback(docker.clear)
        yield made
