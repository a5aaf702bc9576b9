"""A lab that is taken down was never there, however it ended."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from fairlead.model.errors import LabError
from fairlead_lab import Lab, LabSpec
from fairlead_lab.down import down
from fairlead_lab.neutron import Neutron
from fairlead_lab.paths import LabPaths
from tests.e2e.machine import Machine, left_behind, look
from tests.side_by_side import lab_name

pytestmark = pytest.mark.root

NAME = lab_name("leaves-nothing")


@pytest.fixture
def before() -> Iterator[Machine]:
    """The machine before the lab, and a lab's end whatever the test does."""
    yield look(NAME)
    if LabPaths(NAME).run.exists() or LabPaths(NAME).data.exists():
        down(LabPaths(NAME))


def start_up(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fairlead", "lab", "up", "--name", NAME, "--no-agent", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_after_use(before: Machine) -> None:
    lab = Lab(LabSpec(NAME, hosts=2, agent=False))
    lab.up()
    host = lab.host("h1")
    host.run(["docker", "network", "create", "some"])
    host.run(["docker", "run", "-d", "--network", "some", "--name", "kept", "busybox", "sleep", "1000"])
    host.run(["docker", "run", "-d", "-m", "64m", "busybox", "sh", "-c", "sleep 1000 & sleep 1000"])
    host.run(["ip", "netns", "add", "by-hand"])
    with host.popen(["sleep", "1000"]) as sleeper:
        assert look(NAME).more_than(before).keys() >= {"processes", "namespaces", "cgroups", "files"}
        in_namespaces_only = frozenset({"mounts", "links"})
        assert left_behind(before, NAME, kinds=in_namespaces_only) == {}
        lab.down()
        assert sleeper.wait() == -signal.SIGKILL
    assert left_behind(before, NAME) == {}
    with pytest.raises(LabError, match=f"there is no lab {NAME!r}"):
        lab.down()


@pytest.mark.parametrize("seconds", [0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.7, 0.9, 1.2, 2.0, 3.0])
def test_after_a_crash_midway(before: Machine, seconds: float) -> None:
    with start_up() as making:
        time.sleep(seconds)
        making.kill()
        making.communicate()
    if LabPaths(NAME).run.exists():
        down(LabPaths(NAME))
    assert left_behind(before, NAME) == {}


@pytest.mark.parametrize("seconds", [0.2, 0.6, 1.6])
def test_an_interrupted_start_says_what_to_do_and_goes_on(before: Machine, seconds: float) -> None:
    with start_up() as making:
        # Python takes a while to start on a busy machine; what interrupts it before it has begun finds no lab.
        while not LabPaths(NAME).manifest.exists():
            assert making.poll() is None
            time.sleep(0.01)
        time.sleep(seconds)
        making.send_signal(signal.SIGINT)
        _, said = making.communicate(timeout=20)
        assert making.returncode == 130
    assert said.startswith(f"fairlead: interrupted: `fairlead lab down --name {NAME}` cleans up")
    assert said.count("\n") == 1
    lab = Lab(LabSpec(NAME, hosts=2, agent=False))
    lab.up()
    assert lab.status().ill == ()
    assert lab.host("h2").run(["docker", "run", "--rm", "busybox", "hostname"]).stdout
    lab.down()
    assert left_behind(before, NAME) == {}


def test_instances_half_made_are_finished_without_a_second_of_anything(before: Machine) -> None:
    with start_up("--instances", "2") as making:
        assert making.stdout
        assert any(" instance-networks " in line for line in making.stdout), "it ended before it came so far"
        making.kill()
        making.communicate()
    lab = Lab(LabSpec(NAME, hosts=2, agent=False, instances=2))
    lab.up()
    assert lab.status().ill == ()
    neutron = Neutron(lab.clouds_yaml)
    assert sorted(network["name"] for network in neutron.all("networks")) == ["external", "instances"]
    assert sorted(port["name"] for port in neutron.all("ports", device_owner="compute:nova")) == ["i1", "i2"]
    assert len(neutron.all("ports", device_owner="network:router_interface")) == 2
    assert lab.host("i1").run(["busybox", "ping", "-c", "1", "-W", "1", "i2"]).returncode == 0
    lab.down()
    assert left_behind(before, NAME) == {}


def test_a_shell_entered_by_hand_is_named_until_it_ends(before: Machine) -> None:
    lab = Lab(LabSpec(NAME, hosts=1, agent=False))
    lab.up()
    with subprocess.Popen(["nsenter", "-t", str(lab.host("h1").holder.pid), "-m", "-n", "sleep", "1000"]) as by_hand:
        try:
            time.sleep(0.2)
            for _ in range(2):
                with pytest.raises(LabError, match=rf"^processes {by_hand.pid} are in the lab's namespaces"):
                    lab.down()
        finally:
            by_hand.kill()
    lab.down()
    assert left_behind(before, NAME) == {}


def test_after_its_services_were_killed(before: Machine) -> None:
    lab = Lab(LabSpec(NAME, hosts=1, agent=False))
    lab.up()
    lab.host("h1").run(["docker", "run", "-d", "busybox", "sleep", "1000"])
    for component in ("dockerd", "neutron", "mariadb"):
        lab.stop(component, kill=True)
    lab.down()
    assert left_behind(before, NAME) == {}
