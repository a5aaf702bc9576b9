"""An instance is a machine whose NIC is a Neutron port: it reaches what Neutron lets it reach, and nothing else."""

import json
import sys
from typing import Any

import pytest

from fairlead_lab import Lab
from tests.e2e.docker import DOCKER, eventually, tcp_works, udp_arrives
from tests.e2e.instance import Instance, changed

pytestmark = pytest.mark.real

Instances = dict[str, Instance]

FORGED, FORGED6, FORGED_MAC = "10.30.0.99", "fd00:30::99", "fa:16:3e:99:99:99"

OWN_PORTS = """
import json, openstack
with openstack.connect(cloud="fairlead") as cloud:
    print(json.dumps([port.name for port in cloud.network.ports(device_owner="compute:nova")]))
"""


def test_its_only_nic_has_what_its_port_says(instances: Instances, instance_demo: Any) -> None:
    for name, one in instances.items():
        assert one.host.run(["hostname"]).stdout == f"{name}\n"
        devices = {link["ifname"]: link for link in json.loads(one.host.run(["ip", "-j", "address"]).stdout)}
        assert set(devices) - {"docker0"} == {"lo", "eth0"}
        nic = devices["eth0"]
        assert (nic["address"], nic["mtu"]) == (one.mac, instance_demo.get_network(one.network).mtu)
        found = {address["local"] for address in nic["addr_info"] if address["scope"] == "global"}
        assert found == {one.address, one.address6}
        for family in ("-4", "-6"):
            (route,) = json.loads(one.host.run(["ip", "-j", family, "route", "show", "default"]).stdout)
            gateways = [subnet.gateway_ip for subnet in instance_demo.subnets(network_id=one.network)]
            assert route["gateway"] in gateways


def test_its_port_is_the_projects_and_bound_and_secured(instance_lab: Lab, instance_demo: Any) -> None:
    groups = [group.id for group in instance_demo.security_groups(name="default")]
    for placement in instance_lab.spec.placements:
        (port,) = instance_demo.ports(name=placement.name, device_owner="compute:nova")
        assert eventually(lambda port=port: instance_demo.get_port(port.id).status == "ACTIVE")
        assert port.is_port_security_enabled
        assert port.security_group_ids == groups
        assert len(port.device_id) == 36


def test_instances_reach_each_other_on_a_subnet_and_through_the_router(instances: Instances) -> None:
    for one, other in (("i1", "i3"), ("i1", "i2"), ("i2", "i3")):
        source, target = instances[one], instances[other]
        for address in (target.address, target.address6):
            assert source.pings(address)
            assert tcp_works(target, source, address)


def test_a_datagram_as_large_as_the_mtu_passes_and_one_byte_more_does_not(
    instances: Instances, instance_demo: Any
) -> None:
    mtu = instance_demo.get_network(instances["i1"].network).mtu
    assert mtu == 1442
    for target in (instances["i3"], instances["i2"]):
        for address, headers in ((target.address, 28), (target.address6, 48)):
            assert udp_arrives(target, instances["i1"], address, mtu - headers)
    target = instances["i3"]
    for address, headers in ((target.address, 28), (target.address6, 48)):
        assert not udp_arrives(target, instances["i1"], address, mtu - headers + 1)


def test_an_agent_on_it_would_reach_keystone_and_neutron(instances: Instances) -> None:
    done = instances["i2"].host.run([sys.executable, "-W", "ignore", "-c", OWN_PORTS])
    assert set(json.loads(done.stdout)) == set(instances)


def test_docker_runs_on_it_and_its_containers_get_out_by_dockers_own_bridge(instances: Instances) -> None:
    ping = [DOCKER, "run", "--rm", "busybox", "ping", "-c", "2", "-W", "1", instances["i3"].address]
    assert "2 packets received" in instances["i1"].host.run(ping).stdout
    (version,) = instances["i3"].host.run([DOCKER, "info", "-f", "{{.Name}}"]).stdout.split()
    assert version == "i3"


def arrived(source: Instance, target: Instance) -> set[str]:
    """Send an honest frame, one with a forged address and one with a forged MAC; say which arrive."""
    kinds = {
        "honest": (source.mac, source.address, "5003"),
        "address": (source.mac, FORGED, "5004"),
        "mac": (FORGED_MAC, source.address, "5005"),
    }
    found = set()
    for kind, (mac, address, port) in kinds.items():
        with target.probing("listen-udp", target.address, port, "1") as listening:
            sent = source.probe("frame", "eth0", mac, address, target.mac, target.address, port)
            assert sent.returncode == 0, sent.stderr
            assert listening.stdout
            if listening.stdout.readline() == f"6 {address}\n":
                found.add(kind)
    return found


def test_nothing_with_a_forged_source_leaves_it(instances: Instances, instance_demo: Any, open_group: str) -> None:
    one, other = instances["i1"], instances["i3"]
    one.host.run(["ip", "address", "add", f"{FORGED6}/128", "dev", "eth0", "nodad"])
    try:
        # The receiver's group lets everything in, and all arrives where port security is off: so it alone stops them.
        with changed(instance_demo, other.port, security_groups=[open_group]):
            with changed(instance_demo, one.port, port_security_enabled=False, security_groups=[]):
                assert eventually(lambda: arrived(one, other) == {"honest", "address", "mac"})
                assert udp_arrives(other, one, other.address6, 100, source=FORGED6)
            assert eventually(lambda: arrived(one, other) == {"honest"})
            assert not udp_arrives(other, one, other.address6, 100, source=FORGED6)
            assert udp_arrives(other, one, other.address6, 100, source=one.address6)
    finally:
        one.host.run(["ip", "address", "delete", f"{FORGED6}/128", "dev", "eth0"])


def test_an_address_pair_lets_another_source_leave_it(
    instances: Instances, instance_demo: Any, open_group: str
) -> None:
    one, other = instances["i1"], instances["i3"]
    with changed(instance_demo, other.port, security_groups=[open_group]):
        with changed(instance_demo, one.port, allowed_address_pairs=[{"ip_address": "10.30.0.96/29"}]):
            assert eventually(lambda: arrived(one, other) == {"honest", "address"})
        assert eventually(lambda: arrived(one, other) == {"honest"})


def test_what_its_security_groups_do_not_allow_does_not_come_in(
    instances: Instances, instance_demo: Any, open_group: str
) -> None:
    one, other = instances["i1"], instances["i3"]
    # The default group lets its own members in: one that leaves it is outside.
    with changed(instance_demo, one.port, security_groups=[open_group]):
        for address in (other.address, other.address6):
            assert eventually(lambda address=address: not one.pings(address))
            assert other.pings(one.address)
    assert eventually(lambda: one.pings(other.address) and one.pings(other.address6))


def test_up_again_leaves_instances_as_they_are(
    instance_lab: Lab, instances: Instances, instance_demo: Any, open_group: str
) -> None:
    assert instance_lab.up().started == ()
    one, other = instances["i3"], instances["i1"]
    with changed(instance_demo, one.port, security_groups=[open_group]):
        before = instance_demo.get_port(one.port)
        instance_lab.stop("dockerd", "i3")
        assert instance_lab.up().started == ("i3/dockerd",)
        after = instance_demo.get_port(one.port)
        assert (after.revision_number, after.security_group_ids) == (before.revision_number, [open_group])
    instance_lab.restart("vswitchd", "h1")
    assert eventually(lambda: one.pings(other.address))


def test_status_says_where_each_is(instance_lab: Lab, instances: Instances) -> None:
    for told in instance_lab.status().instances:
        one = instances[told.name]
        assert told.addresses == (one.address, one.address6)
        port = instance_lab.host(told.host).run(
            ["ovs-vsctl", "--bare", "--columns=name", "find", "Interface", f"external_ids:iface-id={one.port}"]
        )
        assert port.stdout.strip() == f"tap{one.port[:11]}"
