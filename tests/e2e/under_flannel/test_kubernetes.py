"""flanneld with Kubernetes' subnet manager: leases are Node objects of a real API server, Neutron is underneath."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fairlead_lab import Lab
from fairlead_lab.flannel import Etcd, Flanneld
from fairlead_lab.host import Host
from tests.e2e.docker import eventually
from tests.e2e.instance import Instance
from tests.e2e.under_flannel.kubernetes import APISERVER, KUBECONFIG, Kubernetes, kubernetes
from tests.e2e.under_flannel.nodes import NETWORK, NETWORK6, PROGRAMS, Node, fairlead, pairs, source_seen

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not APISERVER.exists(), reason="no kube-apiserver: `make kubernetes` builds it"),
]

PARTS = {"i1": ("10.100.1.0/24", "fd00:100:0:1::/64"), "i3": ("10.100.3.0/24", "fd00:100:0:3::/64")}
FILES = "/run/kube-flannel"


@pytest.fixture
def cluster(instance_lab: Lab, etcd: Etcd) -> Iterator[Kubernetes]:
    with kubernetes(instance_lab.host("fabric"), etcd.url, instance_lab.paths.log) as running:
        yield running


def test_the_printed_configmap_and_node_objects_are_all_that_flanneld_needs(
    instance_lab: Lab,
    instance_demo: Any,
    instances: dict[str, Instance],
    cluster: Kubernetes,
    join: Callable[..., Node],
) -> None:
    cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "kube-flannel"}})
    command = ("flannel", "config", "--network", NETWORK, "--ipv6-network", NETWORK6, "--kubernetes")
    path = "/api/v1/namespaces/kube-flannel/configmaps"
    cluster.ask("POST", path, json.loads(fairlead(instances["i1"], *command)))
    config = cluster.ask("GET", f"{path}/kube-flannel-cfg")["data"]["net-conf.json"]

    def flanneld(host: Host) -> Flanneld:
        host.run(["mkdir", "-p", FILES])
        host.run(["tee", f"{FILES}/net-conf.json"], input=config)
        host.run(["tee", f"{FILES}/kubeconfig"], input=KUBECONFIG)
        files = [f"-kubeconfig-file={FILES}/kubeconfig", f"-net-config-path={FILES}/net-conf.json"]
        return Flanneld(
            host, "", PROGRAMS, instance_lab.paths.log,
            interface="eth0", flags=["-kube-subnet-mgr", *files, "-ip-masq"], environment={"NODE_NAME": host.name},
        )  # fmt: skip

    for name, parts in PARTS.items():
        cluster.add_node(name, *parts)
    i1, i3 = (join(name, flanneld=flanneld) for name in PARTS)
    for version in (4, 6):
        assert eventually(lambda v=version: i1.pings(i3, version=v) and i3.pings(i1, version=v), seconds=60)
    assert source_seen(i3.end, i1.end, i3.end.address) == i1.end.address
    for name, parts in PARTS.items():
        assert pairs(instance_demo, instances[name]) == set(parts)
        told = cluster.annotations(name)
        assert told["backend-type"] == "extension"
        assert json.loads(json.loads(told["backend-data"])) == {"port": instances[name].port}

    i3.agent.stop()
    i3.flanneld.stop()
    cluster.delete_node("i3")
    assert eventually(lambda: pairs(instance_demo, i3.instance) == set(), seconds=60)
    assert i1.host.run(["ip", "route", "show", "proto", "170"]).stdout == ""
    for node in (i1, i3):
        node.host.run(["rm", "-r", FILES])
