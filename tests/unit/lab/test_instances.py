"""What a lab makes in Neutron for its instances, in whatever state it finds that; and how their NICs are plugged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from fairlead.model.errors import LabError
from fairlead_lab.instances import InstanceCloud, Nic
from fairlead_lab.nic import configure, plug
from fairlead_lab.spec import INSTANCE_NETWORKS, LabSpec

SPEC = LabSpec("lab", hosts=2, instances=3, instance_subnets=2)


@dataclass
class Kept:
    """As much of Neutron as the lab uses: attributes are kept as they are given."""

    things: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    hosts: tuple[str, ...] = ("h1", "h2")

    def of(self, kind: str) -> list[dict[str, Any]]:
        return self.things.setdefault(kind, [])


@dataclass
class User:
    """One user's sight of it, and what this user changed."""

    kept: Kept
    done: list[str] = field(default_factory=list)

    def all(self, kind: str, **filters: str) -> list[dict[str, Any]]:
        if kind == "agents":
            return [{"host": host, "alive": True} for host in self.kept.hosts]
        return [one for one in self.kept.of(kind) if all(one.get(name) == value for name, value in filters.items())]

    def add(self, kind: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
        self.done.append(f"add {kind}")
        made = {"id": f"{kind[:-1]}-{len(self.kept.of(kind)):012}", **attributes}
        if kind == "networks":
            made |= {"subnets": [], "mtu": 1442}
        if kind == "subnets":
            (network,) = self.all("networks", id=made["network_id"])
            network["subnets"].append(made["id"])
        if kind == "ports":
            made |= {"mac_address": "fa:16:3e:00:00:01", "binding:host_id": "", "binding:vif_type": "unbound"}
        self.kept.of(kind).append(made)
        return made

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.done.append(f"put {path.split('/', maxsplit=1)[0]} {' '.join(body)}")
        kind, identity = path.split("/")[:2]
        (one,) = self.all(kind, id=identity)
        if path.endswith("add_router_interface"):
            self.kept.of("ports").append({"device_id": identity, "fixed_ips": [dict(body)]})
            return dict(body)
        one.update(body[kind[:-1]])
        if kind == "ports":
            one["binding:vif_type"] = "ovs" if one["binding:host_id"] in self.kept.hosts else "binding_failed"
        return {kind[:-1]: one}


@dataclass
class World:
    kept: Kept
    demo: User
    admin: User
    cloud: InstanceCloud


@pytest.fixture
def world() -> World:
    kept = Kept()
    demo, admin = User(kept), User(kept)
    return World(kept, demo, admin, InstanceCloud("lab", demo, admin))


async def make(cloud: InstanceCloud) -> list[Nic]:
    await cloud.await_hosts(SPEC.host_names)
    await cloud.make_external()
    for network in INSTANCE_NETWORKS:
        await cloud.make_network(network)
    await cloud.make_router(INSTANCE_NETWORKS)
    return [await cloud.make_port(placement) for placement in SPEC.placements]


async def test_networks_of_both_families_are_joined_by_a_router_with_a_way_out(world: World) -> None:
    await make(world.cloud)
    assert [one["name"] for one in world.kept.of("networks")] == ["external", "instances", "instances-2"]
    cidrs = [one["cidr"] for one in world.kept.of("subnets")]
    assert cidrs == ["192.0.2.0/24", "10.30.0.0/24", "fd00:30::/64", "10.31.0.0/24", "fd00:31::/64"]
    (router,) = world.kept.of("routers")
    external, *inner = (subnet["id"] for subnet in world.kept.of("subnets"))
    joined = [port["fixed_ips"][0]["subnet_id"] for port in world.kept.of("ports") if port["device_id"] == router["id"]]
    assert sorted(joined) == inner
    assert router["external_gateway_info"]["network_id"] == world.kept.of("networks")[0]["id"]
    assert external not in joined


async def test_a_port_is_the_users_and_the_administrator_only_binds_it(world: World) -> None:
    await make(world.cloud)
    assert world.demo.done.count("add ports") == 3
    assert "add ports" not in world.admin.done
    assert world.admin.done.count("put ports port") == 3
    ports = [port for port in world.kept.of("ports") if port.get("device_owner") == "compute:nova"]
    assert [port["binding:host_id"] for port in ports] == ["h1", "h2", "h2"]
    assert [port["fixed_ips"][0]["ip_address"] for port in ports] == ["10.30.0.11", "10.31.0.12", "10.30.0.13"]
    assert not any("port_security_enabled" in port or "security_groups" in port for port in ports)


async def test_made_again_it_changes_nothing_and_gives_the_same(world: World) -> None:
    first = await make(world.cloud)
    world.demo.done.clear()
    world.admin.done.clear()
    assert await make(InstanceCloud("lab", world.demo, world.admin)) == first
    assert (world.demo.done, world.admin.done) == ([], [])


async def test_what_an_interrupted_start_left_out_is_added(world: World) -> None:
    await make(world.cloud)
    world.kept.things["ports"] = [port for port in world.kept.of("ports") if port.get("name") == "i1"]
    world.kept.of("ports")[0].update({"binding:host_id": "", "binding:vif_type": "unbound"})
    world.demo.done.clear()
    await make(world.cloud)
    assert world.demo.done == ["put routers subnet_id"] * 4 + ["add ports"] * 2
    assert world.kept.of("ports")[0]["binding:host_id"] == "h1"


async def test_a_binding_that_fails_is_told(world: World) -> None:
    await make(world.cloud)
    world.kept.hosts = ()
    world.kept.of("ports")[-1].update({"binding:vif_type": "binding_failed"})
    with pytest.raises(LabError, match="Neutron could not bind the port of i3 to h2"):
        await world.cloud.make_port(SPEC.placements[2])


async def test_a_nic_knows_its_networks_mtu_and_gateways(world: World) -> None:
    nic = (await make(world.cloud))[1]
    assert (nic.mtu, [str(gateway) for gateway in nic.gateways]) == (1442, ["10.31.0.1", "fd00:31::1"])


async def test_a_nic_is_plugged_as_nova_does(world: World) -> None:
    nic = Nic("0a1b2c3d-4e5f-6071", "dev", "fa:16:3e:00:00:01", 1442, (), ())
    script = plug(nic, 77, offload=False)
    assert "ip link add tap0a1b2c3d-4e mtu 1442 type veth" in script
    assert "peer name eth0 address fa:16:3e:00:00:01 mtu 1442 netns 77" in script
    assert "external_ids:iface-id=0a1b2c3d-4e5f-6071" in script
    assert "external_ids:ovn-installed=true" in script
    assert "ethtool -K tap0a1b2c3d-4e tx off" in script
    assert "ethtool" not in plug(nic, 77, offload=True)


async def test_an_instance_gets_the_addresses_of_its_port_and_a_default_route_of_each_family(world: World) -> None:
    nic = (await make(world.cloud))[0]
    lines = configure(nic, offload=True).splitlines()
    assert lines == [
        "set -e",
        "ip link set eth0 up",
        "ip -4 address replace 10.30.0.11/24 dev eth0",
        "ip -6 address replace fd00:30::b/64 dev eth0 nodad",
        "ip -4 route replace default via 10.30.0.1 dev eth0",
        "ip -6 route replace default via fd00:30::1 dev eth0",
    ]
