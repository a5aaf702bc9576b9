"""A host whose plug was pulled: its containers come back, whoever of dockerd, the agent and the switch is up first."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from fairlead_lab import Lab
from fairlead_lab.components import PLUGIN_SOCKET
from tests.e2e.docker import Docker, Running, eventually

pytestmark = pytest.mark.real

SUBNET, SUBNET6 = "10.20.0.0/24", "fd00:20::/64"
NAMES = [f"c{number}" for number in range(10)]
SWITCH = ("ovsdb", "vswitchd", "ovn-controller")
ORDERS = ((*SWITCH, "agent", "dockerd"), (*SWITCH, "dockerd", "agent"), ("dockerd", "agent", *SWITCH))
NOT_AWAITED = ("agent", "dockerd")
"""They wait for each other, and for the switch."""


def docker_on(lab: Lab, name: str) -> Docker:
    """Docker on a host as it is now: one that was booted is not the one of before."""
    return Docker(lab.host(name), partial(lab.restart, "dockerd", name))


@pytest.fixture
def mended(lab: Lab) -> Iterator[None]:
    """The lab, whole again when the test ends, wherever that is."""
    yield
    lab.up()
    left = docker_on(lab, "h1")
    left.containers, left.networks = NAMES, ["web"]
    left.clear()


def calls_wait(lab: Lab) -> bool:
    """Say whether somebody waits at h1's plugin socket for an agent."""
    listed = lab.host("h1").run(["ss", "--no-header", "--listening", "--unix", "src", PLUGIN_SOCKET]).stdout
    return any(int(line.split()[2]) for line in listed.splitlines())


def boot(lab: Lab, order: tuple[str, ...]) -> None:
    """Pull h1's plug, and start what it has in an order."""
    lab.power_off("h1")
    lab.power_on("h1")
    lab.start("agent-socket", "h1")
    for component in order:
        if component in NOT_AWAITED:
            lab.begin(component, "h1")
        else:
            lab.start(component, "h1")
        if component == "dockerd" and "agent" not in order[: order.index(component)]:
            assert eventually(lambda: calls_wait(lab))
    for component in NOT_AWAITED:
        lab.start(component, "h1")


def silent(one: Running, other: Running) -> list[str]:
    """Say which ways, of either family, no packet goes however long one waits."""
    ways = {
        "to it": partial(other.pings, one.address, count=1),
        "from it": partial(one.pings, other.address, count=1),
        "from it, IPv6": partial(one.pings, other.address6, count=1),
    }
    return [f"{one.name}: {way}" for way, pings in ways.items() if not eventually(pings)]


def test_ten_containers_come_back_after_a_power_cut_whoever_is_up_first(
    lab: Lab, mended: None, h2: Docker, demo: Any
) -> None:
    h1 = docker_on(lab, "h1")
    for docker in (h1, h2):
        docker.network_create("web", SUBNET, "--ipv6", "--subnet", SUBNET6)
    other = h2.run("b1", "web")
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda name: h1.run(name, "web", "--restart", "always"), NAMES))
    for order in ORDERS:
        boot(lab, order)
        h1 = docker_on(lab, "h1")
        assert eventually(lambda: len(h1("ps", "--quiet").split()) == len(NAMES)), order  # noqa: B023
        with ThreadPoolExecutor(5) as pool:
            found = list(pool.map(lambda name: silent(h1.running(name, "web"), other), NAMES))  # noqa: B023
        assert found == [[]] * len(NAMES), order
    h1.rm(*NAMES)
    h1.network_rm("web")
    assert eventually(lambda: not list(demo.network.ports(tags="fairlead:at=h1")), seconds=90)
    assert eventually(lambda: h1.left() == {"devices": [], "switch": []})


def test_the_containers_of_a_host_that_boots_by_itself_come_back(lab: Lab, mended: None, h2: Docker) -> None:
    """All begins beside each other, in whatever order what it needs is there: dockerd long before the agent."""
    h1 = docker_on(lab, "h1")
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    other = h2.run("b1", "web")
    for name in NAMES[:2]:
        h1.run(name, "web", "--restart", "always")
    lab.power_off("h1")
    assert set(lab.up().started) >= {"h1", "h1/dockerd", "h1/agent"}
    h1 = docker_on(lab, "h1")
    assert eventually(lambda: len(h1("ps", "--quiet").split()) == 2)
    for name in NAMES[:2]:
        assert eventually(partial(other.pings, h1.running(name, "web").address, count=1))
