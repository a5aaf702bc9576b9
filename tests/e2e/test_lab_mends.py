"""What died is started again, and what can't start is told at once."""

import time
from collections.abc import Iterator

import pytest

from fairlead.model.errors import LabError
from fairlead_lab import Lab, LabSpec
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
    limit = time.monotonic() + 5
    while not lab.status().ill and time.monotonic() < limit:
        time.sleep(0.02)
    assert lab.status().ill == (component,)


@pytest.mark.parametrize("component", ["keystone", "mariadb", "neutron", "ovn-sb", "ovsdb", "vswitchd", "dockerd"])
def test_up_starts_what_died(mended: Lab, component: str) -> None:
    ports = mended.status().loopback_ports
    (dead,) = [one for one in mended.status().components if one.name in (component, f"h1/{component}")]
    mended.host("fabric").run(["kill", "-9", str(dead.pid)])
    eventually_ill(mended, dead.name)
    outcome = mended.up()
    assert outcome.mended
    assert outcome.started == (dead.name,)
    assert mended.status().ill == ()
    assert mended.status().loopback_ports == ports, "a clouds.yaml someone has read stays true"
    assert mended.host("h1").run(["ovs-vsctl", "br-exists", "br-int"]).returncode == 0


def test_a_dead_component_is_not_a_stopped_one(mended: Lab) -> None:
    (keystone,) = [one for one in mended.status().components if one.name == "keystone"]
    mended.host("fabric").run(["kill", "-9", str(keystone.pid)])
    eventually_ill(mended, "keystone")
    mended.start("keystone")
    mended.stop("keystone")
    assert mended.status().ill == ()
    mended.start("keystone")


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
