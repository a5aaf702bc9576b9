"""What died is started again, and what can't start is told at once."""

import time
from collections.abc import Iterator

import pytest

from fairlead.model.errors import LabError
from fairlead_lab import Lab, LabSpec
from fairlead_lab.spec import FABRIC_ADDRESS
from fairlead_lab.status import ComponentStatus
from tests.e2e.docker import eventually
from tests.side_by_side import lab_name

pytestmark = pytest.mark.root

NAME = lab_name("mended")


@pytest.fixture(scope="module")
def mended() -> Iterator[Lab]:
    """A lab of one host, for this module alone to break."""
    lab = Lab(LabSpec(NAME, hosts=1, agent=False))
    try:
        lab.up()
        yield lab
    finally:
        lab.down()


def eventually_ill(lab: Lab, component: str) -> None:
    """Wait until the lab says that this component, and no other, died."""
    assert eventually(lambda: lab.status().ill, seconds=5)
    assert lab.status().ill == (component,)


def component(lab: Lab, name: str) -> ComponentStatus:
    (found,) = [one for one in lab.status().components if one.name in (name, f"h1/{name}")]
    return found


def kill(lab: Lab, pid: int) -> None:
    lab.host("fabric").run(["kill", "-9", str(pid)])


@pytest.fixture
def unwatched(mended: Lab) -> Iterator[Lab]:
    """The same, while nobody starts again what died."""
    mended.stop("watcher")
    yield mended
    mended.start("watcher")


@pytest.mark.parametrize("name", ["keystone", "mariadb", "neutron", "ovn-sb", "ovsdb", "vswitchd", "dockerd"])
def test_what_dies_is_started_again_by_itself(mended: Lab, name: str) -> None:
    ports, died = mended.status().loopback_ports, component(mended, name)
    kill(mended, died.pid)
    assert eventually(lambda: component(mended, name).pid not in (0, died.pid))
    assert f"started again: {died.name}" in eventually_said(mended, f"started again: {died.name}")
    assert mended.status().ill == ()
    assert mended.status().loopback_ports == ports, "a clouds.yaml someone has read stays true"
    assert mended.host("h1").run(["ovs-vsctl", "br-exists", "br-int"]).returncode == 0
    assert mended.host("h1").run(["busybox", "ping", "-c", "5", "-W", "2", str(FABRIC_ADDRESS)]).returncode == 0


def eventually_said(lab: Lab, words: str) -> str:
    """What the watcher's log says, once it has said so."""
    log = lab.paths.component_log("watcher")
    eventually(lambda: words in log.read_text(), seconds=30)
    return log.read_text()


def test_up_starts_what_died_and_the_watcher_too(unwatched: Lab) -> None:
    died = component(unwatched, "ovsdb")
    kill(unwatched, died.pid)
    eventually_ill(unwatched, "h1/ovsdb")
    outcome = unwatched.up()
    assert outcome.mended
    assert sorted(outcome.started) == ["h1/ovsdb", "watcher"]
    assert unwatched.status().ill == ()


def test_a_dead_component_is_not_a_stopped_one(unwatched: Lab) -> None:
    kill(unwatched, component(unwatched, "keystone").pid)
    eventually_ill(unwatched, "keystone")
    unwatched.start("keystone")
    unwatched.stop("keystone")
    assert unwatched.status().ill == ()
    unwatched.start("keystone")


def test_what_was_stopped_stays_down_though_something_else_died(mended: Lab) -> None:
    mended.stop("keystone", kill=True)
    kill(mended, component(mended, "dockerd").pid)
    assert eventually(lambda: component(mended, "dockerd").state == "running")
    assert component(mended, "keystone").state == "stopped"
    mended.start("keystone")


def test_a_switch_starts_again_after_its_host_lost_power(mended: Lab) -> None:
    for name in ("ovn-controller", "vswitchd", "ovsdb"):
        mended.stop(name, "h1", kill=True)
    for name in ("ovsdb", "vswitchd", "ovn-controller"):
        mended.start(name, "h1")
    assert mended.host("h1").run(["busybox", "ping", "-c", "5", "-W", "2", str(FABRIC_ADDRESS)]).returncode == 0


@pytest.mark.parametrize("service", ["keystone", "neutron"])
def test_a_service_that_cannot_start_is_told_at_once(mended: Lab, service: str) -> None:
    conf = mended.paths.conf / f"{service}.conf"
    right = conf.read_text()
    conf.write_text(f"{right}\nnonsense\n")
    try:
        began = time.monotonic()
        with pytest.raises(LabError, match=rf"^{service} ended at its start: .*nonsense.*: see .*/{service}.log$"):
            mended.restart(service)
        assert time.monotonic() - began < 20
    finally:
        conf.write_text(right)
    assert mended.up().started == (service,)


def test_an_unknown_component_is_told_the_known_ones(mended: Lab) -> None:
    with pytest.raises(LabError, match="no component 'nova': there are dockerd, keystone, mariadb, neutron"):
        mended.restart("nova")


def test_a_lab_keeps_the_options_it_was_made_with(mended: Lab) -> None:
    with pytest.raises(LabError, match=f"{NAME!r} is there with 1 hosts, role member, no agents"):
        Lab(LabSpec(NAME, hosts=3)).up()
