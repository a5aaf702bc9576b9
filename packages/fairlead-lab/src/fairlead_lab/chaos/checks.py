"""What is, held against what should be. Nothing here looks at anything: views come in, violations go out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations

from fairlead_lab.chaos.model import BY_NAME, World
from fairlead_lab.chaos.observe import CloudView, MachineView, Port
from fairlead_lab.chaos.plan import Topology

_WAITING = "waiting"
_MOST_WAITING = 24
"""Ports that may wait for one network on one machine: more than any demand of a round asks a pool to keep."""


class Finding(StrEnum):
    """What may be wrong. STUCK: what Docker was asked for could not be had, though nothing was in its way any more."""

    STUCK = "stuck"
    SILENT = "silent pairs"
    MISSING = "missing"
    LEAK = "leaks"
    DUPLICATE = "duplicates"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is not as it should be."""

    finding: Finding
    text: str


def pairs_that_should_talk(machines: Mapping[str, MachineView]) -> dict[tuple[str, int], tuple[str, ...]]:
    """Addresses that should answer, by the machine and the process of the container that asks."""
    attached = [one for view in machines.values() for one in view.attached]
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for asking, answering in permutations(attached, 2):
        if asking.network == answering.network:
            key = asking.machine, asking.pid
            found[key] = (*found.get(key, ()), *answering.addresses)
    return found


def violations(
    world: World, topology: Topology, machines: Mapping[str, MachineView], cloud: CloudView
) -> tuple[Violation, ...]:
    """Compare everything but packets."""
    found = [*_networks(world, cloud), *_addresses(machines), *_owners(cloud.ports)]
    for mode, names in topology.machines.items():
        for name in names:
            found += _switched(world, name, machines[name], cloud) if mode == "ovs" else ()
            found += _routed(world, name, machines[name], cloud) if mode == "routed" else ()
    if not world.joined:
        found += [_leak(f"Neutron has {one}, and no machine has a network") for one in cloud.others]
    return tuple(found)


def _networks(world: World, cloud: CloudView) -> Iterator[Violation]:
    wanted = {BY_NAME[name].subnet: name for _, name in world.joined}
    there = Counter(next((_range(tag) for tag in tags if _range(tag)), "") for _, tags in cloud.networks)
    yield from (_leak(f"Neutron has a network of {range_ or 'no range'}") for range_ in there if range_ not in wanted)
    yield from (_twice(f"Neutron has {count} networks of {one}") for one, count in there.items() if count > 1)
    yield from (
        _missing(f"Neutron has no network of {one}, {name}") for one, name in wanted.items() if one not in there
    )


def _range(tag: str) -> str:
    prefix, _, range_ = tag.partition("=")
    return range_ if prefix in {"fairlead:pool", "fairlead:routed"} and ":" not in range_ else ""


def _addresses(machines: Mapping[str, MachineView]) -> Iterator[Violation]:
    counted: Counter[tuple[str, str]] = Counter()
    for view in machines.values():
        counted.update((one.network, address) for one in view.attached for address in one.addresses)
    yield from (_twice(f"{count} containers have {one}") for one, count in counted.items() if count > 1)


def _owners(ports: Iterable[Port]) -> Iterator[Violation]:
    counted = Counter((port.machine, port.owner) for port in ports if port.owner != _WAITING)
    yield from (_twice(f"{count} ports are named {one}") for one, count in counted.items() if count > 1)


def _switched(world: World, name: str, machine: MachineView, cloud: CloudView) -> Iterator[Violation]:
    """A host whose containers have ports: each its own, with a row and a device, and some ports that wait."""
    ports = {port.id: port for port in cloud.ports if port.machine == name}
    by_address = {address: port for port in ports.values() for address in port.addresses}
    rows = Counter(port for _, port in machine.rows)
    for one in machine.attached:
        port = by_address.get(one.address)
        if port is None:
            yield _missing(f"{name}: {one.container} has {one.address}, and Neutron no port of it")
        elif port.id not in rows:
            yield _missing(f"{name}: {one.container}'s port {port.id} is not in the switch")
    yield from (_twice(f"{name}: {count} rows for port {one}") for one, count in rows.items() if count > 1)
    yield from (_leak(f"{name}: a row for port {one}, which is gone") for one in rows if one not in ports)
    yield from _devices(name, machine, {row for row, _ in machine.rows})
    joined = world.networks_of(name)
    if not joined and ports:
        yield _leak(f"{name}: {len(ports)} ports, and no network")
    yield from _given(name, machine, len(machine.attached), "ports")
    waiting = len(ports) - len(machine.attached)
    if waiting > _MOST_WAITING * len(joined):
        yield _leak(f"{name}: {waiting} ports wait for {len(joined)} networks")
    members = sum(tag.startswith(f"fairlead:host={name}:") for _, tags in cloud.networks for tag in tags)
    if members != len(joined):
        finding = _leak if members > len(joined) else _missing
        yield finding(f"{name}: marked on {members} networks of Neutron's, and has {len(joined)}")


def _routed(world: World, name: str, machine: MachineView, cloud: CloudView) -> Iterator[Violation]:
    """An instance whose containers have addresses of its blocks, which are address pairs of its port."""
    yield from _devices(name, machine, {f"flh{one.endpoint[:11]}" for one in machine.attached})
    yield from _given(name, machine, sum(len(one.addresses) for one in machine.attached), "addresses")
    blocks, joined = len(cloud.pairs.get(name, ())), world.networks_of(name)
    if blocks and not joined:
        yield _leak(f"{name}: {blocks} address pairs, and no network")
    if blocks < sum(2 if BY_NAME[one].subnet6 else 1 for one in joined):
        yield _missing(f"{name}: {blocks} address pairs for networks {', '.join(joined)}")


def _given(name: str, machine: MachineView, wanted: int, what: str) -> Iterator[Violation]:
    """Whatever has no container any more, and is thought to have one, is nobody's for ever."""
    if machine.given != wanted:
        finding = _leak if machine.given > wanted else _missing
        yield finding(f"{name}: the agent has given {machine.given} {what}, and containers have {wanted}")


def _devices(name: str, machine: MachineView, wanted: set[str]) -> Iterator[Violation]:
    there = set(machine.devices)
    yield from (_leak(f"{name}: device {one} is nobody's") for one in sorted(there - wanted))
    yield from (_missing(f"{name}: device {one} is not there") for one in sorted(wanted - there))


def _leak(text: str) -> Violation:
    return Violation(Finding.LEAK, text)


def _missing(text: str) -> Violation:
    return Violation(Finding.MISSING, text)


def _twice(text: str) -> Violation:
    return Violation(Finding.DUPLICATE, text)
