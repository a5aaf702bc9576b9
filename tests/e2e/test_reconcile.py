"""What went while nobody looked: containers without a word, ports that an operator deleted, devices that are lost."""

import json
import sys
import time
from typing import Any

import pytest

from tests.e2e.docker import DOCKER, Docker, eventually
from tests.e2e.metrics import metrics

pytestmark = pytest.mark.real

SUBNET, CHOSEN = "10.20.0.0/24", "10.20.0.50"
COOL_DOWN = 10
"""Seconds that a port rests before another container has it: the default."""


def attached(docker: Docker) -> float:
    found = metrics(docker)
    return sum(value for name, value in found.items() if name.startswith("fairlead_ports") and 'use="attached"' in name)


def reconcile(docker: Docker, *options: str) -> tuple[int, list[dict[str, str]]]:
    """Run `fairlead reconcile`, and return its exit status and findings."""
    done = docker.host.run(
        [sys.executable, "-m", "fairlead", "reconcile", "--json", *options], check=False, timeout=120
    )
    found = json.loads(done.stdout)
    assert found["unseen"] == []
    return done.returncode, found["findings"]


def remove_unheard(lab: Any, docker: Docker, name: str) -> None:
    """Remove a container while its host's agent is away, and nobody keeps its socket: dockerd tells nobody."""
    for component in ("agent", "agent-socket"):
        lab.stop(component, docker.host.name)
    docker.host.run([DOCKER, "rm", "-f", name], timeout=120)
    docker.containers.remove(name)
    for component in ("agent-socket", "agent"):
        lab.start(component, docker.host.name)


def test_a_container_removed_while_the_agent_was_away_gives_its_address_back(lab: Any, h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET, "--ip-range", "10.20.0.128/25")
    other = h2.run("b1", "web")
    h1.run("a1", "web", "--ip", CHOSEN)
    remove_unheard(lab, h1, "a1")
    again = h1.run("a2", "web", "--ip", CHOSEN)
    assert other.pings(again.address)


def test_nothing_is_left_of_it_where_nobody_asks_for_its_address(lab: Any, h1: Docker, demo: Any) -> None:
    h1.network_create("web", SUBNET, "--ip-range", "10.20.0.128/25")
    h1.run("a1", "web", "--ip", CHOSEN)
    remove_unheard(lab, h1, "a1")
    status, _ = reconcile(h1)
    assert status == 0
    assert eventually(lambda: attached(h1) == 0, seconds=60)
    assert eventually(lambda: not list(demo.network.ports(fixed_ips=f"ip_address={CHOSEN}")), seconds=30)
    assert reconcile(h1, "--dry-run") == (0, [])
    h1.network_rm("web")
    assert eventually(lambda: h1.left() == {"devices": [], "switch": []})


def test_after_waiting_ports_were_deleted_in_neutron_every_start_works(h1: Docker, h2: Docker, demo: Any) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    other = h2.run("b1", "web")
    for number in range(3):
        h1.run(f"a{number}", "web")
    h1.rm("a0", "a1", "a2")
    time.sleep(COOL_DOWN)
    assert eventually(lambda: len(h1.left()["switch"]) >= 3)
    deleted = list(demo.network.ports(tags="fairlead:at=h1"))
    assert len(deleted) >= 3
    for port in deleted:
        demo.network.delete_port(port)
    for number in range(1, 6):
        assert other.pings(h1.run(f"a{number}", "web").address)


def test_a_device_that_somebody_deleted_is_there_when_a_container_needs_it(h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    other = h2.run("b1", "web")
    h1.rm(h1.run("a0", "web").name)
    time.sleep(COOL_DOWN)
    # What it had is gone, and plugged anew for the next one.
    assert eventually(lambda: len(h1.left()["devices"]) >= 2)
    for device in h1.left()["devices"]:
        if device.startswith("flh"):
            h1.host.run(["ip", "link", "delete", device])
    for number in range(2):
        assert other.pings(h1.run(f"a{number}", "web").address)


def test_a_running_containers_row_that_somebody_removed_is_made_again(h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    other, one = h2.run("b1", "web"), h1.run("a1", "web")
    assert other.pings(one.address)
    marked = ["ovs-vsctl", "--bare", "--columns=name", "find", "Interface", f'external_ids:attached-mac="{one.mac}"']
    (row,) = h1.host.run(marked).stdout.split()
    h1.host.run(["ovs-vsctl", "del-port", row])
    assert not other.pings(one.address, count=1)
    status, findings = reconcile(h1)
    assert (status, [(each["kind"], each["state"]) for each in findings]) in [(0, [("Unplugged", "done")]), (0, [])]
    assert eventually(lambda: other.pings(one.address, count=1), seconds=20)


def test_on_hosts_at_peace_there_is_nothing_to_do(h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
        docker.run("one", "web")
        docker.run("two", "web", "--ip", CHOSEN if docker is h1 else "10.20.0.51")
    for docker in (h1, h2):
        assert reconcile(docker, "--dry-run") == (0, [])
        assert reconcile(docker) == (0, [])
    assert h1.running("one", "web").pings(h2.running("two", "web").address)
