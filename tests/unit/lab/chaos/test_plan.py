"""A plan follows from its seed alone, makes sense, and has every kind of fault and command in it."""

from itertools import islice

import pytest

from fairlead_lab.chaos.model import BY_NAME, NETWORKS, Command, Kind, World
from fairlead_lab.chaos.plan import Fault, Scope, Topology, last_round, rounds

TOPOLOGY = Topology({"ovs": ("h1", "h2"), "routed": ("i1", "i2", "i3")}, ("h1", "h2"))
MANY = 60


def test_a_seed_repeats_a_run() -> None:
    assert list(islice(rounds(7, TOPOLOGY), 20)) == list(islice(rounds(7, TOPOLOGY), 20))
    assert next(rounds(7, TOPOLOGY)) != next(rounds(8, TOPOLOGY))


def test_every_kind_of_fault_has_its_turn_before_one_comes_again() -> None:
    seen: list[Fault] = []
    for one in rounds(1, TOPOLOGY):
        seen += [injection.fault for injection in one.injections]
        if len(seen) >= 2 * len(Fault):
            break
    assert sorted(seen[: len(Fault)]) == sorted(Fault)
    assert sorted(seen[len(Fault) : 2 * len(Fault)]) == sorted(Fault)


def test_a_fault_is_of_what_can_have_it() -> None:
    places = {Scope.CLOUD: {""}, Scope.SWITCH: {"h1", "h2"}, Scope.MACHINE: {"h1", "h2", "i1", "i2", "i3"}}
    for one in islice(rounds(2, TOPOLOGY), MANY):
        assert all(injection.target in places[injection.fault.scope] for injection in one.injections)


def test_every_kind_of_command_is_given_in_either_mode_but_chosen_addresses_in_routed() -> None:
    given = {
        (TOPOLOGY.mode_of(command.machine), command.kind)
        for one in islice(rounds(3, TOPOLOGY), MANY)
        for lane in one.lanes.values()
        for command in lane
    }
    assert given == {(mode, kind) for mode in TOPOLOGY.machines for kind in Kind} - {("routed", Kind.RUN_IP)}


@pytest.mark.parametrize("seed", range(5))
def test_a_command_is_given_where_docker_would_take_it(seed: int) -> None:
    world = World()
    for one in islice(rounds(seed, TOPOLOGY), MANY):
        for machine, lane in one.lanes.items():
            for command in lane:
                assert command.machine == machine
                assert BY_NAME[command.network].mode == TOPOLOGY.mode_of(machine)
                assert allowed(world, command), str(command)
                world = world.after(command)
        assert world == one.after


def allowed(world: World, command: Command) -> bool:
    joined = command.network in world.networks_of(command.machine)
    there = world.containers.get(command.container)
    match command.kind:
        case Kind.CREATE:
            return not joined
        case Kind.REMOVE:
            return joined and not world.containers_of(command.machine, command.network)
        case Kind.RUN | Kind.RUN_IP:
            addresses = {one.address for one in world.containers.values()} - {""}
            return joined and there is None and command.address not in addresses
        case Kind.RM:
            return there is not None
        case Kind.START:
            return there is not None and not there.running
        case _:
            return there is not None and there.running


def test_no_two_machines_ask_for_one_address_even_at_the_same_time() -> None:
    by_address: dict[tuple[str, str], set[str]] = {}
    for one in islice(rounds(4, TOPOLOGY), MANY):
        for machine, lane in one.lanes.items():
            for command in lane:
                if command.address:
                    by_address.setdefault((command.network, command.address), set()).add(machine)
    assert by_address
    assert all(len(machines) == 1 for machines in by_address.values())


def test_the_last_round_removes_everything() -> None:
    *_, one = islice(rounds(5, TOPOLOGY), 10)
    world = one.after
    assert world.containers
    last = last_round(world, TOPOLOGY, 11)
    for lane in last.lanes.values():
        for command in lane:
            assert allowed(world, command)
            world = world.after(command)
    assert world == World() == last.after


def test_ranges_do_not_meet() -> None:
    ranges = [range_ for network in NETWORKS for range_ in (network.subnet, network.subnet6) if range_]
    assert len(ranges) == len(set(ranges))
