"""Docker on the lab's two hosts, and the cloud as its users see it."""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import openstack
import pytest
import yaml

from fairlead_lab import Lab, LabSpec
from tests.e2e.docker import Docker
from tests.e2e.instance import Instance
from tests.side_by_side import lab_name

CLOUDS = "/etc/openstack/clouds.yaml"
INSTANCES = LabSpec(lab_name("e2e-instances"), hosts=2, agent=False, instances=3, instance_subnets=2)
"""i1 (on h1) and i3 (on h2) share a subnet, i2 (on h2) is on the other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """openstacksdk warns of its own insides, whatever one asks of it."""
    for item in items:
        for kind in ("RemovedInSDK50Warning", "RemovedInSDK60Warning"):
            item.add_marker(pytest.mark.filterwarnings(f"ignore::openstack.warnings.{kind}"))


@pytest.fixture
def h1(lab: Lab) -> Iterator[Docker]:
    docker = Docker(lab.host("h1"), partial(lab.restart, "dockerd", "h1"))
    yield docker
    docker.clear()


@pytest.fixture
def h2(lab: Lab) -> Iterator[Docker]:
    docker = Docker(lab.host("h2"), partial(lab.restart, "dockerd", "h2"))
    yield docker
    docker.clear()


@pytest.fixture(scope="session")
def instance_lab() -> Iterator[Lab]:
    """A lab that carries instances, made for the session; or the one that FAIRLEAD_INSTANCE_LAB names, left running."""
    running = os.environ.get("FAIRLEAD_INSTANCE_LAB")
    if running:
        yield Lab.load(running)
        return
    made = Lab(INSTANCES)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def instance_demo(instance_lab: Lab) -> Iterator[Any]:
    """The network service of the instances' project, as its member."""
    with connected(instance_lab, "demo") as connection:
        yield connection.network


@pytest.fixture
def instances(instance_lab: Lab, instance_demo: Any) -> dict[str, Instance]:
    """The instances by name."""
    return {host.name: Instance.of(host, instance_demo) for host in instance_lab.instances}


@pytest.fixture
def open_group(instance_demo: Any) -> Iterator[str]:
    """A security group that lets everything in."""
    group = instance_demo.create_security_group(name="open")
    for ethertype in ("IPv4", "IPv6"):
        instance_demo.create_security_group_rule(security_group_id=group.id, direction="ingress", ether_type=ethertype)
    yield group.id
    instance_demo.delete_security_group(group.id)


@pytest.fixture(scope="session")
def admin(lab: Lab) -> Iterator[Any]:
    with connected(lab, "admin") as connection:
        yield connection


@pytest.fixture(scope="session")
def demo(lab: Lab) -> Iterator[Any]:
    with connected(lab, "demo") as connection:
        yield connection


def connected(lab: Lab, cloud: str) -> Any:
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(lab.clouds_yaml)
    return openstack.connect(cloud=cloud)


@pytest.fixture
def other_project(admin: Any) -> Any:
    """Another project's network service: the administrator's own project."""
    return admin


@pytest.fixture
def service_on_h1(lab: Lab, admin: Any, demo: Any, h1: Docker) -> Iterator[None]:
    """The agent on h1 with a user who may bind ports, for one test."""
    password = uuid4().hex
    user = admin.identity.create_user(
        name=f"binder-{uuid4().hex[:6]}",
        password=password,
        domain_id="default",
        default_project_id=demo.current_project_id,
    )
    roles = {role.name: role.id for role in admin.identity.roles()}
    for name in ("member", "service"):
        admin.identity.assign_project_role_to_user(demo.current_project_id, user.id, roles[name])
    before = h1.host.run(["cat", CLOUDS]).stdout
    entry = yaml.safe_load(before)
    old = entry["clouds"]["fairlead"]["auth"]
    entry["clouds"]["fairlead"]["auth_type"] = "password"
    entry["clouds"]["fairlead"]["auth"] = {
        "auth_url": old["auth_url"],
        "username": user.name,
        "user_domain_id": "default",
        "password": password,
        "project_id": demo.current_project_id,
    }
    lab.host("h1").run(["sh", "-c", f"cat > {CLOUDS}"], input=yaml.safe_dump(entry))
    lab.restart("agent", "h1")
    try:
        yield
    finally:
        h1.clear()
        lab.host("h1").run(["sh", "-c", f"cat > {CLOUDS}"], input=before)
        lab.restart("agent", "h1")
        admin.identity.delete_user(user)
