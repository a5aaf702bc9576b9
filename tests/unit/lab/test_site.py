"""The components of a lab fit together."""

from pathlib import Path

import pytest

from fairlead.lab.cgroups import CgroupTree
from fairlead.lab.components import INHERITED_SOCKET
from fairlead.lab.graph import Stage, StageTime, run_stages
from fairlead.lab.openvswitch import detect_datapath, switch_setup, tunnel_warmup
from fairlead.lab.paths import LabPaths
from fairlead.lab.site import Site
from fairlead.lab.spec import LabSpec


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


def test_only_the_apis_are_handed_a_socket_of_the_machines(tmp_path: Path) -> None:
    components = site(tmp_path, LabSpec("lab")).components()
    assert {name for name, one in components.items() if one.inherits_socket} == {"keystone", "neutron"}
    assert INHERITED_SOCKET in components["neutron"].argv


def test_a_dockerd_that_has_networks_waits_for_the_agent(tmp_path: Path) -> None:
    made = site(tmp_path, LabSpec("lab"))
    assert "h1/agent" not in made.components()["h1/dockerd"].needs
    (made.docker_data("h1") / "network").mkdir(parents=True)
    assert "h1/agent" in made.components()["h1/dockerd"].needs
    assert "h2/agent" not in made.components()["h2/dockerd"].needs


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
    assert "ip address replace 192.0.2.12/24 dev eth0" in switch_setup("h2", "system", 9000)


def test_a_lone_host_has_no_tunnels_to_warm() -> None:
    assert tunnel_warmup((), "netdev") == "true"
    assert "ping" not in tunnel_warmup(("h2",), "system")
