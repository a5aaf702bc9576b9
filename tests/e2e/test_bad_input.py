"""What the docker user reads when something is wrong: one line with cause and remedy, and nothing is left behind."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from openstack.exceptions import BadRequestException

from tests.e2e.docker import DOCKER, Docker, eventually

pytestmark = pytest.mark.real

SUBNET = "10.20.0.0/24"


def one_line(text: str) -> bool:
    """dockerd adds lines of its own around a failed run; the cause is in one of them."""
    causes = [line for line in text.splitlines() if "fairlead" in line.lower() or "remote" in line or "Driver" in line]
    return len(causes) <= 1


@pytest.fixture(autouse=True)
def nothing_left(h1: Docker, demo: Any) -> Iterator[None]:
    yield
    h1.clear()
    h1.containers, h1.networks = [], []
    kinds = ("networks", "subnets", "ports")
    assert eventually(lambda: not any(list(getattr(demo.network, kind)()) for kind in kinds), seconds=120)
    assert eventually(lambda: h1.left() == {"devices": [], "switch": []})


def test_dockers_own_address_management(h1: Docker) -> None:
    for more in ([], ["--ipam-driver", "default"]):
        text = h1.refused("network", "create", "-d", "fairlead", *more, "--subnet", SUBNET, "web")
        assert "add --ipam-driver fairlead" in text
        assert one_line(text)


def test_an_unknown_network_name(h1: Docker) -> None:
    text = h1.refused(*h1.network_command("web", neutron="nosuch"))
    assert "no Neutron network named 'nosuch'" in text
    assert "openstack network list" in text
    assert one_line(text)


def test_no_range_at_all(h1: Docker) -> None:
    assert "add --subnet CIDR" in h1.refused(*h1.network_command("web"))


def test_an_unknown_option(h1: Docker) -> None:
    assert "Fairlead knows" in h1.refused(*h1.network_command("web", SUBNET, "-o", "neutron.nte.name=x"))


def test_overlapping_subnets(h1: Docker, h2: Docker) -> None:
    h1.network_create("web", SUBNET, neutron="web")
    assert "overlaps" in h1.refused(*h1.network_command("wide", "10.20.0.0/16", neutron="web"))
    assert "overlaps" in h2.refused(*h2.network_command("wide", "10.20.0.0/16", neutron="web"))
    assert h1.run("a1", "web").pings("10.20.0.1") is False


def test_an_address_that_is_taken(h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET, "--ip-range", "10.20.0.128/25")
    h1.run("a1", "web", "--ip", "10.20.0.5")
    for docker in (h1, h2):
        docker.containers.append("b1")
        text = docker.refused("run", "-d", "--name", "b1", "--network", "web", "--ip", "10.20.0.5", "busybox", "true")
        assert "10.20.0.5" in text
        assert one_line(text)
    h2.clear()


def allow(admin: Any, project: str, *, ports: int) -> bool:
    """Set a quota; Neutron refuses one below what is reserved, as it is until the request that made the ports ends."""
    try:
        admin.network.update_quota(project, ports=ports)
    except BadRequestException:
        return False
    return True


def test_a_quota_that_is_used_up(h1: Docker, admin: Any, demo: Any) -> None:
    h1.network_create("web", SUBNET)
    project = demo.current_project_id
    # The pool is full: while it fills, ports come between counting them and setting the quota.
    assert eventually(lambda: len(list(demo.network.ports())) == 2)
    assert eventually(lambda: allow(admin, project, ports=3))
    try:
        # What waits is given out first; then the project has no more.
        h1.containers += (names := [f"a{number}" for number in range(6)])
        start = ["run", "-d", "--network", "web", "--name"]
        runs = (h1.host.run([DOCKER, *start, name, "busybox", "sleep", "60"], check=False) for name in names)
        text = next(done.stderr.strip() for done in runs if done.returncode != 0)
        assert "quota" in text
        assert one_line(text)
    finally:
        admin.network.delete_quota(project)


def test_a_published_service_port(h1: Docker) -> None:
    h1.network_create("web", SUBNET)
    h1.containers.append("a1")
    text = h1.refused("run", "-d", "--name", "a1", "--network", "web", "-p", "8080:80", "busybox", "true")
    assert "leave -p out" in text


@pytest.mark.parametrize(("component", "named"), [("keystone", "Keystone"), ("neutron", "Neutron")])
def test_no_cloud(lab: Any, h1: Docker, demo: Any, component: str, named: str) -> None:
    """What waits in the pool is given out all the same."""
    h1.network_create("web", SUBNET, "--ip-range", "10.20.0.128/25")
    assert eventually(lambda: len(list(demo.network.ports())) == 2)
    lab.stop(component)
    try:
        if component == "keystone":
            lab.restart("agent", "h1")  # it would still have a token
        h1.containers.append("b1")
        h1.run("a1", "web")
        started = time.monotonic()
        text = h1.refused("run", "-d", "--name", "b1", "--network", "web", "--ip", "10.20.0.5", "busybox", "true")
        assert time.monotonic() - started < 60
        assert named in text
        assert one_line(text)
    finally:
        lab.start(component)


def test_no_switch(lab: Any, h1: Docker) -> None:
    h1.network_create("web", SUBNET, "--ip-range", "10.20.0.128/25")
    lab.stop("ovsdb", "h1")
    try:
        h1.containers.append("a1")
        text = h1.refused("run", "-d", "--name", "a1", "--network", "web", "--ip", "10.20.0.5", "busybox", "true")
        assert "db.sock" in text
        assert one_line(text)
    finally:
        lab.start("ovsdb", "h1")


def test_no_ovn_on_the_host(lab: Any, h1: Docker) -> None:
    h1.network_create("web", SUBNET, "--ip-range", "10.20.0.128/25")
    lab.stop("ovn-controller", "h1")
    try:
        h1.containers.append("a1")
        text = h1.refused("run", "-d", "--name", "a1", "--network", "web", "--ip", "10.20.0.5", "busybox", "true")
        assert "ovn-controller" in text
    finally:
        lab.start("ovn-controller", "h1")


def test_a_wrong_password(lab: Any, h1: Docker) -> None:
    clouds = "/etc/openstack/clouds.yaml"
    good = h1.host.run(["cat", clouds]).stdout
    secret = next(line for line in good.splitlines() if "secret" in line)
    bad = good.replace(secret, secret.split(":")[0] + ": not-this-one")
    lab.host("h1").run(["sh", "-c", f"cat > {clouds}"], input=bad)
    lab.restart("agent", "h1")
    try:
        text = h1.refused(*h1.network_command("web", SUBNET))
        assert "not-this-one" not in text
        assert "401" in text or "Keystone" in text
        check = h1.host.run([sys.executable, "-m", "fairlead", "agent", "--check"], check=False)
        assert check.returncode == 1
        assert "FAIL  cloud" in check.stdout
    finally:
        lab.host("h1").run(["sh", "-c", f"cat > {clouds}"], input=good)
        lab.restart("agent", "h1")


def test_the_check_is_content_with_a_lab(h1: Docker) -> None:
    command = [sys.executable, "-m", "fairlead", "agent", "--check"]
    lines = h1.host.run(command).stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", what] for what in ("mode", "cloud", "switch", "kernel", "state", "docker")
    ]
    assert "may not bind ports, which OVN does not need" in lines[1]
    findings = json.loads(h1.host.run([*command, "--json"]).stdout)
    assert [(one["what"], one["ok"]) for one in findings] == [(line.split()[1], True) for line in lines]
