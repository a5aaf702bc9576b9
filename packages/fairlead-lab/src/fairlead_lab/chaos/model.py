"""What should be: the networks and containers that Docker was asked for, whatever it answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

Mode = Literal["ovs", "routed"]


@dataclass(frozen=True, slots=True)
class Network:
    """A network that any machine of one mode may join; subnet6 is empty where it has one family."""

    name: str
    mode: Mode
    subnet: str
    subnet6: str = ""


NETWORKS = (
    Network("o1", "ovs", "10.71.0.0/24"),
    Network("o2", "ovs", "10.72.0.0/24", "fd00:72::/64"),
    Network("r1", "routed", "10.81.0.0/16"),
    Network("r2", "routed", "10.82.0.0/16", "fd00:82::/64"),
)
BY_NAME: Mapping[str, Network] = {network.name: network for network in NETWORKS}


class Kind(StrEnum):
    """Docker's commands. REPLACE makes a container anew under the address that it has, as compose does."""

    CREATE = "network create"
    REMOVE = "network rm"
    RUN = "run"
    RUN_IP = "run --ip"
    RM = "rm -f"
    STOP = "stop"
    START = "start"
    RESTART = "restart"
    REPLACE = "rm -f, run --ip"


@dataclass(frozen=True, slots=True)
class Command:
    """One command on a machine. container and address are empty where the kind has none."""

    kind: Kind
    machine: str
    network: str
    container: str = ""
    address: str = ""

    def __str__(self) -> str:
        words = (f"{self.machine}:", self.kind, self.network, self.container, self.address)
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True)
class Container:
    """A container that should be there; address: the one that it was asked for with, else empty."""

    name: str
    machine: str
    network: str
    address: str = ""
    running: bool = True


@dataclass(frozen=True, slots=True)
class World:
    """joined: which machine should have which network. containers: by name."""

    joined: frozenset[tuple[str, str]] = frozenset()
    containers: Mapping[str, Container] = field(default_factory=dict)

    def after(self, command: Command) -> "World":
        """What should be once a command has had its effect."""
        membership = (command.machine, command.network)
        others = {name: one for name, one in self.containers.items() if name != command.container}
        match command.kind:
            case Kind.CREATE:
                return replace(self, joined=self.joined | {membership})
            case Kind.REMOVE:
                return replace(self, joined=self.joined - {membership})
            case Kind.RUN | Kind.RUN_IP:
                made = Container(command.container, command.machine, command.network, command.address)
                return replace(self, containers={**others, made.name: made})
            case Kind.RM:
                return replace(self, containers=others)
            case Kind.STOP | Kind.START | Kind.RESTART | Kind.REPLACE:
                changed = replace(self.containers[command.container], running=command.kind is not Kind.STOP)
                return replace(self, containers={**others, changed.name: changed})

    def networks_of(self, machine: str) -> tuple[str, ...]:
        """Names of the networks that a machine should have, in order."""
        return tuple(sorted(network for one, network in self.joined if one == machine))

    def containers_of(self, machine: str, network: str = "") -> tuple[Container, ...]:
        """The containers that should be on a machine, of one network or of all."""
        return tuple(one for one in self.containers.values() if one.machine == machine and network in ("", one.network))
