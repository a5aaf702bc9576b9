"""A leak, a duplicate and what is missing are found, and what is as it should be is not."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fairlead_lab.chaos.checks import Finding, pairs_that_should_talk, violations
from fairlead_lab.chaos.docker import Attached
from fairlead_lab.chaos.model import Command, Kind, World
from fairlead_lab.chaos.observe import CloudView, MachineView, Port, given
from fairlead_lab.chaos.plan import Topology

TOPOLOGY = Topology({"ovs": ("h1",), "routed": ("i1",)}, ("h1",))
ENDPOINT, OTHER = "e" * 64, "f" * 64
ON_HOST = Attached("a", "h1", "o1", 100, ENDPOINT, "10.71.0.5", "")
ON_INSTANCE = Attached("b", "i1", "r2", 101, OTHER, "10.82.0.70", "fd00:82::5")
PORT = Port("p" * 36, "h1", ENDPOINT[:12], "net", ("10.71.0.5",))
WAITING = Port("w" * 36, "h1", "waiting", "net", ("10.71.0.6",))
WORLD = (
    World()
    .after(Command(Kind.CREATE, "h1", "o1"))
    .after(Command(Kind.CREATE, "i1", "r2"))
    .after(Command(Kind.RUN, "h1", "o1", "a"))
    .after(Command(Kind.RUN, "i1", "r2", "b"))
)
MACHINES = {
    "h1": MachineView((ON_HOST,), ("flhppp", "flhwww"), 1, (("flhppp", PORT.id), ("flhwww", WAITING.id))),
    "i1": MachineView((ON_INSTANCE,), (f"flh{OTHER[:11]}",), 2),
}
CLOUD = CloudView(
    ports=(PORT, WAITING),
    networks=(
        ("net", ("fairlead", "fairlead:pool=10.71.0.0/24", "fairlead:host=h1:abc")),
        ("routed", ("fairlead", "fairlead:routed=10.82.0.0/16")),
    ),
    pairs={"i1": ("10.82.0.64/26", "fd00:82::/80")},
    others=("subnet block",),
)


def found(
    world: World = WORLD, machines: Mapping[str, MachineView] = MACHINES, cloud: CloudView = CLOUD
) -> list[tuple[Finding, str]]:
    return [(one.finding, one.text) for one in violations(world, TOPOLOGY, machines, cloud)]


def test_nothing_is_wrong_with_what_is_as_it_should_be() -> None:
    assert found() == []
    empty = {name: MachineView((), (), 0) for name in MACHINES}
    assert found(World(), empty, CloudView((), (), {"i1": ()}, ())) == []


@pytest.mark.parametrize(
    ("cloud", "finding", "words"),
    [
        (replace(CLOUD, ports=(WAITING,)), Finding.MISSING, "no port of it"),
        (replace(CLOUD, ports=(*CLOUD.ports, replace(PORT, id="q"))), Finding.DUPLICATE, "2 ports are named"),
        (replace(CLOUD, networks=(*CLOUD.networks, CLOUD.networks[0])), Finding.DUPLICATE, "2 networks"),
        (replace(CLOUD, networks=CLOUD.networks[:1]), Finding.MISSING, "no network of 10.82.0.0/16"),
        (
            replace(CLOUD, networks=(*CLOUD.networks, ("x", ("fairlead", "fairlead:pool=10.72.0.0/24")))),
            Finding.LEAK,
            "a network of 10.72.0.0/24",
        ),
        (replace(CLOUD, pairs={"i1": ("10.82.0.64/26",)}), Finding.MISSING, "1 address pairs"),
        (
            replace(CLOUD, ports=(PORT, *(replace(WAITING, id=str(one)) for one in range(25)))),
            Finding.LEAK,
            "25 ports wait",
        ),
    ],
)
def test_neutron_has_too_much_or_too_little(cloud: CloudView, finding: Finding, words: str) -> None:
    assert any(one is finding and words in text for one, text in found(cloud=cloud)), found(cloud=cloud)


@pytest.mark.parametrize(
    ("name", "view", "finding", "words"),
    [
        ("h1", replace(MACHINES["h1"], devices=("flhppp",)), Finding.MISSING, "device flhwww"),
        ("h1", replace(MACHINES["h1"], devices=("flhppp", "flhwww", "flhzzz")), Finding.LEAK, "device flhzzz"),
        ("h1", replace(MACHINES["h1"], rows=(("flhwww", WAITING.id),)), Finding.MISSING, "not in the switch"),
        ("h1", replace(MACHINES["h1"], rows=(*MACHINES["h1"].rows, ("flhx", "x"))), Finding.LEAK, "a row for port x"),
        (
            "h1",
            replace(MACHINES["h1"], rows=(*MACHINES["h1"].rows, ("flhx", PORT.id))),
            Finding.DUPLICATE,
            "2 rows for port",
        ),
        ("i1", replace(MACHINES["i1"], devices=()), Finding.MISSING, "is not there"),
        ("i1", replace(MACHINES["i1"], given=3), Finding.LEAK, "given 3 addresses, and containers have 2"),
        ("h1", replace(MACHINES["h1"], given=2), Finding.LEAK, "given 2 ports, and containers have 1"),
        (
            "i1",
            replace(MACHINES["i1"], attached=(ON_INSTANCE, replace(ON_INSTANCE, container="c"))),
            Finding.DUPLICATE,
            "2 containers have",
        ),
    ],
)
def test_a_machine_has_too_much_or_too_little(name: str, view: MachineView, finding: Finding, words: str) -> None:
    told = found(machines={**MACHINES, name: view})
    assert any(one is finding and words in text for one, text in told), told


def test_what_a_machine_left_without_networks_is_a_leak() -> None:
    told = found(World(), {name: MachineView((), (), 0) for name in MACHINES})
    assert {finding for finding, _ in told} == {Finding.LEAK}
    assert any("2 ports, and no network" in text for _, text in told)
    assert any("2 address pairs, and no network" in text for _, text in told)
    assert any("subnet block" in text for _, text in told)


def test_containers_of_one_network_should_talk_both_ways_in_both_families() -> None:
    far = replace(ON_INSTANCE, machine="i2", pid=102, address="10.82.0.140", address6="fd00:82::9")
    machines = {**MACHINES, "i2": MachineView((far,), (), 2)}
    assert pairs_that_should_talk(machines) == {
        ("i1", 101): ("10.82.0.140", "fd00:82::9"),
        ("i2", 102): ("10.82.0.70", "fd00:82::5"),
    }


def test_what_waits_is_not_given_out() -> None:
    told = """HTTP/1.1 200 OK
fairlead_ports{network="web",use="fresh"} 2.0
fairlead_ports{network="web",use="returned"} 3.0
fairlead_ports{network="web",use="claimed"} 1.0
fairlead_ports{network="web",use="attached"} 4.0
fairlead_ports{network="db",use="leaving"} 5.0
fairlead_addresses{network="db"} 6.0
fairlead_networks 2.0
"""
    assert given(told) == 16
