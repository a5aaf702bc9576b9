"""Docker on flannel's subnet, as flannel's own mk-docker-opts.sh sets it up, with Neutron under it."""

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import permutations
from typing import Any

import pytest

from fairlead_lab import Lab
from fairlead_lab.flannel import Etcd, subnet_env
from fairlead_lab.host import Host
from tests.e2e.docker import Docker, eventually
from tests.e2e.instance import Instance
from tests.e2e.under_flannel.nodes import NETWORK6, PROGRAMS, End, Node, configure, source_seen

pytestmark = pytest.mark.real

SETTINGS, OPTIONS = "/etc/docker/daemon.json", "/run/docker_opts.env"


def settings(host: Host) -> dict[str, Any]:
    """Return mk-docker-opts' options as dockerd's settings, and flannel's IPv6 subnet, of which it knows nothing."""
    host.run([str(PROGRAMS / "mk-docker-opts.sh"), "-c", "-d", OPTIONS])
    (line,) = shlex.split(host.path(OPTIONS).read_text())
    options = dict(option.removeprefix("--").split("=", 1) for option in line.partition("=")[2].split())
    found = {"bip": options["bip"], "mtu": int(options["mtu"]), "ip-masq": json.loads(options["ip-masq"])}
    assert options.keys() == found.keys()
    if subnet6 := subnet_env(host).get("FLANNEL_IPV6_SUBNET"):
        found |= {"ipv6": True, "fixed-cidr-v6": subnet6}
    return found


@contextmanager
def container_on(lab: Lab, host: Host) -> Iterator[End]:
    """Give the instance's dockerd flannel's subnet for docker0, and run a container there."""
    docker, before = Docker(host), host.run(["cat", SETTINGS]).stdout
    host.run(["tee", SETTINGS], input=json.dumps({**json.loads(before), **settings(host)}))
    try:
        lab.restart("dockerd", host.name)
        running = docker.run("web", "bridge")
        yield End(host, ("nsenter", "-t", str(running.pid), "-n"), running.address, running.address6)
    finally:
        docker.clear()
        host.run(["tee", SETTINGS], input=before)
        lab.stop("dockerd", host.name)
        # Docker would remember docker0's subnet, and the device its IPv6 address.
        host.run(["rm", f"{json.loads(before)['data-root']}/network/files/local-kv.db"])
        host.run(["ip", "link", "delete", "docker0"])
        lab.start("dockerd", host.name)
        host.run(["rm", OPTIONS])


def test_containers_on_docker0_of_nodes_on_one_subnet_and_two_see_each_others_own_addresses(
    instance_lab: Lab, instances: dict[str, Instance], etcd: Etcd, join: Callable[..., Node]
) -> None:
    configure(instances["i1"], etcd, "--ipv6-network", NETWORK6)
    nodes = [join(name, attach=lambda host: container_on(instance_lab, host)) for name in instances]
    for one, other in permutations(nodes, 2):
        for version in (4, 6):
            assert eventually(lambda o=one, t=other, v=version: o.pings(t, version=v), seconds=60)
        for source, target in ((one.end.address, other.end.address), (one.end.address6, other.end.address6)):
            assert source_seen(other.end, one.end, target) == source
    for node in nodes:
        assert node.status()["trouble"] == {}
        assert node.end.pings(instances["i1"].address), "the way out: to an instance itself"
