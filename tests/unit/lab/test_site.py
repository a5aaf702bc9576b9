"""The components of a lab fit together."""

from pathlib import Path

import pytest

from fairlead_lab.cgroups import CgroupTree
from fairlead_lab.components import INHERITED_SOCKET
from fairlead_lab.database import Snapshot
from fairlead_lab.graph import Stage, StageTime, run_stages
from fairlead_lab.manifest import Datapath, Manifest, ManifestFile
from fairlead_lab.namespaces import hosts_file
from fairlead_lab.openvswitch import detect_datapath, switch_setup, tunnel_warmup
from fairlead_lab.paths import LabPaths
from fairlead_lab.site import Site
from fairlead_lab.spec import LabSpec
from fairlead_lab.stages import lab_stages
from fairlead_lab.supervisor import Supervisor


class Nobody:
    def ended(self, time: StageTime) -> None:
        pass


def site(tmp_path: Path, spec: LabSpec) -> Site:
    return Site(
        spec=spec,
        paths=LabPaths(spec.name, tmp_path / "run", tmp_path / "data"),
        cgroups=CgroupTree((tmp_path,), tmp_path, spec.name),
        environment=Path("/env"),
        image=Path("/cache/an image.tar"),
        datapath="netdev",
    )


@pytest.mark.parametrize("agent", [True, False])
async def test_every_need_is_a_component_or_a_stage_and_comes_before(tmp_path: Path, agent: bool) -> None:
    components = site(tmp_path, LabSpec("lab", hosts=3, agent=agent)).components()
    order: list[str] = []

    def stage(name: str, needs: tuple[str, ...]) -> Stage:
        async def run() -> None:
            order.append(name)

        return Stage(name, run, needs)

    others = [stage("fabric", ()), stage("database", ("fabric",)), stage("databases", ("mariadb",))]
    others += [stage(host, ("fabric",)) for host in ("h1", "h2", "h3")]
    await run_stages([*others, *(stage(one.name, one.needs) for one in components.values())], Nobody())
    assert order.index("mariadb") < order.index("neutron") < order.index("neutron-maintenance")
    assert order.index("h2/ovsdb") < order.index("h2/vswitchd") < order.index("h2/ovn-controller")
    assert ("h3/agent" in order) is agent


async def test_instances_come_once_neutron_and_their_hosts_switch_are_there(tmp_path: Path) -> None:
    made = site(tmp_path, LabSpec("lab", hosts=2, instances=3, instance_subnets=2))
    supervisor = Supervisor(made, ManifestFile(tmp_path / "manifest"), Manifest(made.spec, "netdev"))
    order: list[str] = []

    def only_told(stage: Stage) -> Stage:
        async def run() -> None:
            order.append(stage.name)

        return Stage(stage.name, run, stage.needs)

    stages = lab_stages(made, supervisor, Snapshot(tmp_path / "none"))
    await run_stages([only_told(stage) for stage in stages], Nobody())
    assert order.index("neutron") < order.index("instance-networks") < order.index("i3/nic")
    assert order.index("h2/ovn-controller") < order.index("instance-networks") < order.index("instance-router")
    assert max(order.index(name) for name in ("i1/nic", "i2/nic", "instance-router", "tunnels")) < order.index(
        "instances"
    )
    needs = {stage.name: stage.needs for stage in stages}
    assert needs["i1/dockerd"] == ("i1", "i1/agent-socket"), "Docker on an instance waits for no cloud"
    assert needs["i1"] == ("fabric",)


def test_a_lab_without_instances_has_no_stage_for_them(tmp_path: Path) -> None:
    made = site(tmp_path, LabSpec("lab"))
    supervisor = Supervisor(made, ManifestFile(tmp_path / "manifest"), Manifest(made.spec, "netdev"))
    stages = lab_stages(made, supervisor, Snapshot(tmp_path / "none"))
    assert not [stage.name for stage in stages if stage.name.startswith("i")]


def test_an_instance_has_an_agent_and_a_dockerd_and_no_switch(tmp_path: Path) -> None:
    components = site(tmp_path, LabSpec("lab", instances=1)).components()
    assert [name for name in components if name.startswith("i1/")] == [
        "i1/agent-socket",
        "i1/agent",
        "i1/dockerd",
    ]


def test_only_an_instances_hosts_file_names_the_instances() -> None:
    spec = LabSpec("lab", hosts=1, instances=1)
    assert "192.0.2.11 h1\n10.30.0.11 i1\nfd00:30::b i1\n" in hosts_file(spec, "i1")
    assert "i1" not in hosts_file(spec, "h1")


def test_only_the_apis_are_handed_a_socket_of_the_machines(tmp_path: Path) -> None:
    components = site(tmp_path, LabSpec("lab")).components()
    assert {name for name, one in components.items() if one.inherits_socket} == {"keystone", "neutron"}
    assert INHERITED_SOCKET in components["neutron"].argv


def test_a_dockerd_waits_for_the_agents_socket_and_not_for_the_agent(tmp_path: Path) -> None:
    components = site(tmp_path, LabSpec("lab", hosts=1, instances=1)).components()
    for machine in ("h1", "i1"):
        assert components[f"{machine}/dockerd"].needs == (machine, f"{machine}/agent-socket")
        assert f"{machine}/agent-socket" in components[f"{machine}/agent"].needs
    assert site(tmp_path, LabSpec("lab", agent=False)).components()["h1/dockerd"].needs == ("h1",)


def test_only_dockerd_may_leave_something_running(tmp_path: Path) -> None:
    components = site(tmp_path, LabSpec("lab", hosts=1)).components()
    assert [name for name, one in components.items() if one.survived] == ["h1/dockerd"]


def test_the_kernels_switch_is_used_where_the_kernel_has_one(tmp_path: Path) -> None:
    assert detect_datapath(tmp_path) == "netdev"
    (tmp_path / "openvswitch").mkdir()
    assert detect_datapath(tmp_path) == "netdev", "without Geneve it can't tunnel"
    (tmp_path / "geneve").mkdir()
    assert detect_datapath(tmp_path) == "system"


def test_a_switch_in_user_space_takes_the_nic_and_its_address() -> None:
    script = switch_setup("h2", "netdev", 9000)
    assert "add-port br-phy eth0" in script
    assert "set Interface br-phy mtu_request=9000" in script
    assert "ip address replace 192.0.2.12/24 dev br-phy" in script
    assert script.index("until ip link show br-phy") < script.index("ip address replace"), (
        "ovs-vsctl does not wait for a switch that makes again what its database has"
    )
    assert "ip address replace 192.0.2.12/24 dev eth0" in switch_setup("h2", "system", 9000)


@pytest.mark.parametrize("datapath", ["netdev", "system"])
def test_the_routers_way_to_the_underlay_is_a_bridge_with_the_hosts_nic(datapath: Datapath) -> None:
    script = switch_setup("h1", datapath, 1500, gateway=True)
    assert "external_ids:ovn-bridge-mappings='\"underlay:br-phy\"'" in script
    assert f"set Bridge br-phy datapath_type={datapath}" in script
    assert "add-port br-phy eth0" in script


def test_routers_have_a_way_to_the_underlay_on_one_host_and_only_with_instances(tmp_path: Path) -> None:
    assert site(tmp_path, LabSpec("lab")).gateway is None
    assert site(tmp_path, LabSpec("lab", instances=1)).gateway == "h1"
    assert "ovn-bridge-mappings" not in switch_setup("h2", "netdev", 1500)


def test_a_lone_host_has_no_tunnels_to_warm() -> None:
    assert tunnel_warmup((), "netdev") == "true"
    assert "ping" not in tunnel_warmup(("h2",), "system")
