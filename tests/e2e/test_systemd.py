"""The units as systemd runs them: on a real cloud's host, with all that the agent is forbidden."""

from collections.abc import Iterator

import pytest

from fairlead_lab import Lab, LabSpec
from tests.e2e.docker import Docker, Running, eventually
from tests.e2e.systemd import PROGRAM, Systemd, under_systemd
from tests.side_by_side import lab_name

pytestmark = [pytest.mark.real, pytest.mark.skipif(not PROGRAM.exists(), reason="no systemd here")]

AGENT, SOCKET = "fairlead-agent.service", "fairlead-agent.socket"


@pytest.fixture(scope="module")
def systemd() -> Iterator[Systemd]:
    """A lab of one host for this module alone, booted by systemd."""
    lab = Lab(LabSpec(lab_name("systemd"), hosts=1))
    try:
        lab.up()
        with under_systemd(lab, "h1") as made:
            made.boot()
            yield made
    finally:
        lab.down()


@pytest.fixture
def h1(systemd: Systemd) -> Iterator[Docker]:
    assert eventually(lambda: systemd.shows("docker.service", "ActiveState") == "active")
    docker = Docker(systemd.host)
    yield docker
    docker.clear()


def talk(one: Running, other: Running) -> bool:
    return eventually(lambda: one.pings(other.address, count=1)) and other.pings(one.address)


def test_containers_come_back_after_a_power_cut_and_the_status_says_what_the_node_is(
    systemd: Systemd, h1: Docker
) -> None:
    h1.network_create("web", "10.20.0.0/24", "--ipv6", "--subnet", "fd00:20::/64")
    names = ("c1", "c2", "c3")
    for name in names:
        h1.run(name, "web", "--restart", "always")
    systemd.cut()
    systemd.boot()
    assert eventually(lambda: systemd.shows("docker.service", "ActiveState") == "active")
    assert eventually(lambda: len(h1("ps", "--quiet").split()) == len(names))
    first, *others = (h1.running(name, "web") for name in names)
    assert all(talk(first, other) for other in others)
    assert eventually(lambda: systemd.shows(AGENT, "StatusText").startswith("mode ovs; cloud 'fairlead' of /etc/"))
    assert "networks: fairlead-10.20.0.0-24" in systemd.shows(AGENT, "StatusText")


def test_dockerd_waits_for_an_agent_that_is_killed(systemd: Systemd, h1: Docker) -> None:
    h1.network_create("web", "10.20.0.0/24")
    one = h1.run("c1", "web")
    before = systemd.shows(AGENT, "MainPID")
    systemd.run("systemctl", "kill", "--signal=KILL", AGENT)
    assert talk(one, h1.run("c2", "web"))
    assert systemd.shows(AGENT, "MainPID") not in {before, "0"}


def test_the_agent_sees_the_sandboxes_that_dockerd_makes_after_it_started(systemd: Systemd, h1: Docker) -> None:
    h1.network_create("web", "10.20.0.0/24")
    sandbox = h1.inspect(h1.run("c1", "web").name)["NetworkSettings"]["SandboxKey"]
    inside = ["nsenter", "-t", systemd.shows(AGENT, "MainPID"), "-m", "stat", "-f", "-c", "%T", sandbox]
    assert systemd.run(*inside).stdout.strip() == "nsfs"


def test_credentials_come_from_systemds_store(systemd: Systemd, h1: Docker) -> None:
    store = systemd.host.path("/etc/credstore")
    store.mkdir(mode=0o700)
    systemd.host.path("/etc/openstack/clouds.yaml").rename(store / "fairlead.clouds.yaml")
    systemd.run("systemctl", "restart", AGENT)
    found = f"of /run/credentials/{AGENT}/clouds.yaml"
    assert eventually(lambda: found in systemd.shows(AGENT, "StatusText"))


def test_an_agent_that_can_not_start_is_given_up_and_dockerd_refused_until_it_is_mended(
    systemd: Systemd, h1: Docker
) -> None:
    h1.network_create("web", "10.20.0.0/24")
    one = h1.run("c1", "web")
    systemd.drop_in(
        "wrong", "[Unit]\nStartLimitBurst=2\n[Service]\nEnvironment=FAIRLEAD_AGENT_MODE=macvlan\nRestartSec=0.1\n"
    )
    systemd.run("systemctl", "restart", "--no-block", AGENT)
    assert eventually(lambda: systemd.shows(SOCKET, "Result") == "service-start-limit-hit")
    assert not systemd.host.path("/run/docker/plugins/fairlead.sock").exists()
    systemd.drop_in("wrong", "")
    systemd.run("systemctl", "reset-failed", AGENT, SOCKET)
    systemd.run("systemctl", "start", AGENT)
    assert talk(one, h1.run("c2", "web"))


def test_an_agent_whose_loop_hangs_is_restarted(systemd: Systemd, h1: Docker) -> None:
    systemd.drop_in("watchdog", "[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\n")
    systemd.run("systemctl", "restart", AGENT)
    hangs = systemd.shows(AGENT, "MainPID")
    systemd.run("kill", "-STOP", hangs)
    assert eventually(lambda: systemd.shows(AGENT, "MainPID") not in {hangs, "0"})
    assert eventually(lambda: systemd.shows(AGENT, "ActiveState") == "active")
    systemd.drop_in("watchdog", "")
