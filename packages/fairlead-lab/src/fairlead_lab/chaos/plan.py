"""What is done in a round, by a seed: the commands of each machine, and the faults meanwhile.

A plan looks at what should be and never at what came out of it, so that a seed repeats a run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from random import Random

from fairlead_lab.chaos.model import BY_NAME, NETWORKS, Command, Container, Kind, Mode, World

_COMMANDS = range(4, 8)
_FAULTS = range(1, 4)
_MOST_CONTAINERS = 4
_FIRST_FAULT = 6.0
"""Seconds after a round's beginning in which faults begin."""


class Scope(StrEnum):
    """What a fault is of: the cloud, a host with a switch, or any machine with Docker."""

    CLOUD = "cloud"
    SWITCH = "switch"
    MACHINE = "machine"


class Fault(StrEnum):
    """The kinds of faults."""

    NEUTRON_SLOW = "Neutron slow"
    NEUTRON_DOWN = "Neutron down"
    NEUTRON_5XX = "Neutron answers 503"
    NEUTRON_LOST = "Neutron's answers lost"
    NEUTRON_WORKER = "Neutron's worker killed"
    QUOTA = "out of quota"
    KEYSTONE_DOWN = "Keystone down"
    CONTROLLER_KILLED = "ovn-controller killed"
    VSWITCHD_KILLED = "ovs-vswitchd killed"
    OVSDB_KILLED = "ovsdb-server killed"
    DOCKERD_KILLED = "dockerd killed"
    AGENT_KILLED = "agent killed"
    AGENT_DOWN = "agent down"
    REBOOT = "machine rebooted"
    CLOCK_BACK = "agent's clock set back"
    CLOCK_EARLY = "agent started a day early"

    @property
    def scope(self) -> Scope:
        """What it is a fault of."""
        if self in _OF_SWITCHES:
            return Scope.SWITCH
        if self in _OF_MACHINES:
            return Scope.MACHINE
        return Scope.CLOUD


_OF_SWITCHES = {Fault.CONTROLLER_KILLED, Fault.VSWITCHD_KILLED, Fault.OVSDB_KILLED}
_OF_MACHINES = {
    Fault.DOCKERD_KILLED,
    Fault.AGENT_KILLED,
    Fault.AGENT_DOWN,
    Fault.REBOOT,
    Fault.CLOCK_BACK,
    Fault.CLOCK_EARLY,
}


@dataclass(frozen=True, slots=True)
class Topology:
    """Which machines Docker's commands run on, by mode, and which hosts carry the switch of either."""

    machines: Mapping[Mode, tuple[str, ...]]
    hosts: tuple[str, ...]

    def mode_of(self, machine: str) -> Mode:
        """The mode of a machine's agent."""
        return next(mode for mode, machines in self.machines.items() if machine in machines)

    @property
    def all_machines(self) -> tuple[str, ...]:
        """Every machine on which Docker's commands run."""
        return tuple(machine for machines in self.machines.values() for machine in machines)


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault: where, how many seconds after the round's beginning, and for how long. target: empty for the cloud's."""

    fault: Fault
    target: str
    at: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.fault}{f' on {self.target}' if self.target else ''} from {self.at} s for {self.seconds} s"


@dataclass(frozen=True, slots=True)
class Round:
    """One round: each machine's commands, one after the other; the faults; and what should be afterwards."""

    number: int
    lanes: Mapping[str, tuple[Command, ...]]
    injections: tuple[Injection, ...]
    after: World


def rounds(seed: int, topology: Topology) -> Iterator[Round]:
    """All rounds of a seed, without an end. Every kind of fault has its turn before one comes again.

    The first round has no faults: without networks there would be little to harm.
    """
    world, number = World(), 0
    bag: list[Fault] = []
    while True:
        number += 1
        random = Random(f"{seed}/{number}")  # noqa: S311  to be repeated, not to be secret
        count = random.choice(_FAULTS) if number > 1 else 0
        while len(bag) < count:
            bag = [*bag, *random.sample(list(Fault), len(Fault))]
        faults, bag = bag[:count], bag[count:]
        injections = tuple(_inject(random, fault, topology) for fault in faults)
        lanes: dict[str, tuple[Command, ...]] = {}
        for machine in topology.all_machines:
            lanes[machine], world = _lane(random, number, world, machine, topology)
        yield Round(number, lanes, injections, world)


def last_round(world: World, topology: Topology, number: int) -> Round:
    """Remove everything, without faults."""
    lanes = {}
    for machine in topology.all_machines:
        removed = [Command(Kind.RM, machine, one.network, one.name) for one in world.containers_of(machine)]
        lanes[machine] = (*removed, *(Command(Kind.REMOVE, machine, one) for one in world.networks_of(machine)))
    return Round(number, lanes, (), World())


def _inject(random: Random, fault: Fault, topology: Topology) -> Injection:
    places = {Scope.CLOUD: ("",), Scope.SWITCH: topology.hosts, Scope.MACHINE: topology.all_machines}
    target = random.choice(places[fault.scope])
    return Injection(fault, target, round(random.uniform(0, _FIRST_FAULT), 1), round(random.uniform(3, 12), 1))


def _lane(
    random: Random, number: int, world: World, machine: str, topology: Topology
) -> tuple[tuple[Command, ...], World]:
    commands: list[Command] = []
    for index in range(random.choice(_COMMANDS)):
        weighed = _possible(world, machine, topology, f"{machine}-{number}-{index}")
        command = random.choices(list(weighed), list(weighed.values()))[0]
        commands.append(command)
        world = world.after(command)
    return tuple(commands), world


def _possible(world: World, machine: str, topology: Topology, fresh: str) -> dict[Command, int]:
    """Commands that make sense on a machine, by how often they are to be chosen. fresh: a container's name."""
    mode = topology.mode_of(machine)
    joined, there = world.networks_of(machine), world.containers_of(machine)
    found = {
        Command(Kind.CREATE, machine, network.name): 6
        for network in NETWORKS
        if network.mode == mode and network.name not in joined
    }
    for network in joined:
        if not world.containers_of(machine, network):
            found[Command(Kind.REMOVE, machine, network)] = 2
        if len(there) < _MOST_CONTAINERS:
            found[Command(Kind.RUN, machine, network, fresh)] = 6
            # In mode `routed` a node gives the addresses of its own blocks alone, which nobody knows beforehand.
            if mode == "ovs":
                address = _free_address(world, machine, network, topology)
                found[Command(Kind.RUN_IP, machine, network, fresh, address)] = 3
    for container in there:
        found |= {Command(kind, machine, container.network, container.name): 1 for kind in _changes(container)}
    return found


def _changes(container: Container) -> tuple[Kind, ...]:
    running = (Kind.STOP, Kind.RESTART, Kind.REPLACE) if container.running else (Kind.START,)
    return (Kind.RM, *running)


def _free_address(world: World, machine: str, network: str, topology: Topology) -> str:
    """An address that no other machine asks for, whatever it does at the same time."""
    begin = 200 + 10 * topology.all_machines.index(machine)
    taken = {one.address for one in world.containers.values()}
    subnet = ip_network(BY_NAME[network].subnet)
    return next(text for text in (str(subnet[begin + step]) for step in range(10)) if text not in taken)
