"""Any set of doors in the node's mode: each is served, what comes in by them shares the node, none dies unseen."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from fairlead.adapters.neutron import NeutronService
from fairlead.agent.check import check
from fairlead.agent.clock import SystemClock
from fairlead.agent.doors.known import chosen_doors
from fairlead.agent.settings import AgentSettings, OvsSettings, Settings, load_settings
from fairlead.agent.wiring import wire_agent
from fairlead.model.errors import SettingsError, TaskFailed
from fairlead.model.vif import Vif
from fairlead_lab.fakes import FakeCloud
from tests.unit.agent.instance_agent import PART, RANGE, Running, instance_port, running_agent, settings_of, until
from tests.unit.docker.dockerd import Network
from tests.unit.docker.instance import CIDR, container_ports, pairs, sub_ports


@pytest.fixture
async def cloud() -> AsyncIterator[FakeCloud]:
    async with FakeCloud() as cloud:
        yield cloud


def agent_of(mode: str, *doors: str) -> Settings:
    return Settings(agent=AgentSettings(mode=mode, doors=doors))  # type: ignore[arg-type]  # mode is a literal


@pytest.mark.parametrize(
    ("mode", "doors"),
    [("ovs", ["docker"]), ("trunk", ["docker"]), ("ipvlan", ["docker"]), ("routed", ["docker", "flannel"])],
)
def test_without_a_word_a_mode_has_the_doors_that_it_always_had(mode: str, doors: list[str]) -> None:
    assert [kind.name for kind in chosen_doors(agent_of(mode))] == doors


def test_doors_are_named_in_the_file_or_with_commas_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "fairlead.toml"
    file.write_text('[agent]\nmode = "trunk"\ndoors = ["docker", "flannel"]\n')
    assert load_settings(file, {}).agent.doors == ("docker", "flannel")
    for text, named in (("flannel", ("flannel",)), ("docker, flannel,", ("docker", "flannel")), ("", ())):
        assert load_settings(file, {"FAIRLEAD_AGENT_DOORS": text}).agent.doors == named


def test_doors_that_are_no_list_are_refused_with_the_key(tmp_path: Path) -> None:
    file = tmp_path / "fairlead.toml"
    file.write_text("[agent]\ndoors = 3\n")
    with pytest.raises(SettingsError, match="doors"):
        load_settings(file, {})


def test_a_door_named_twice_is_one() -> None:
    assert [kind.name for kind in chosen_doors(agent_of("routed", "flannel", "flannel"))] == ["flannel"]


def test_an_unknown_door_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(SettingsError, match=r"'window', which is no door: choose from: docker, flannel"):
        chosen_doors(agent_of("trunk", "docker", "window"))


async def test_flannel_on_a_host_of_the_fabric_is_refused_with_the_reason_and_what_to_do(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "ovs", ["docker", "flannel"])
    with pytest.raises(SettingsError, match=r"NIC that is a port of Neutron's.*take flannel out of agent\.doors"):
        async with wire_agent(settings, {}):
            pass
    settings = msgspec.structs.replace(settings, ovs=OvsSettings(db=f"unix:{tmp_path}/no-such.sock", timeout=0.3))
    (finding,) = [one for one in await check(settings, {}) if one.what == "doors"]
    assert not finding.ok
    assert "NIC that is a port of Neutron's" in finding.text
    assert "take flannel out" in finding.remedy


async def own_network(agent: Running, network_id: str) -> Network:
    options = {"neutron.net.uuid": network_id}
    return await agent.docker.network_create(CIDR, options=options, ipam_options=options)


async def test_on_a_trunk_docker_and_flannel_are_served_side_by_side(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await instance_port(cloud, trunk=True)
    settings = settings_of(tmp_path, "trunk", ["docker", "flannel"])
    async with running_agent(cloud, port, settings, monkeypatch) as agent:
        assert agent.doors == ["docker", "flannel"]
        network = await agent.docker.network_create("10.20.0.0/24")
        container = await agent.docker.run(network)
        await agent.hold_lease(port)
        await until(lambda: set(pairs(cloud, port)) == {PART})
        assert set(sub_ports(cloud)) == set(container_ports(cloud))
        assert [lease["subnets"] for lease in (await agent.flannel("status"))["leases"]] == [[PART]]
        await agent.docker.rm(container)
        await agent.docker.network_rm(network)
        await agent.flannel("leave")
        await until(lambda: not pairs(cloud, port) and not container_ports(cloud))
    assert [file.name for file in (tmp_path / "state").glob("*.sqlite")] == ["node.sqlite"]


async def test_containers_pairs_and_flannels_pairs_share_one_port_and_lose_nothing(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await instance_port(cloud)
    settings = settings_of(tmp_path, "ipvlan", ["docker", "flannel"])
    async with running_agent(cloud, port, settings, monkeypatch) as agent:
        network = await own_network(agent, port.network_id)
        run = agent.docker.run
        first, second, third, _ = await asyncio.gather(run(network), run(network), run(network), agent.hold_lease(port))
        addresses = {one.address.split("/")[0] for one in (first, second, third)}
        await until(lambda: set(pairs(cloud, port)) == {*addresses, PART})
        changed = [call for call in cloud.calls if call.method == "PUT" and call.path == f"/ports/{port.id}"]
        assert {call.status for call in changed} == {200}  # they take turns: nobody was refused for the other's sake
        await agent.docker.rm(first)
        await until(lambda: len(container_ports(cloud)) == 2)
        assert set(pairs(cloud, port)) == {second.address.split("/")[0], third.address.split("/")[0], PART}
        await asyncio.gather(agent.docker.rm(second), agent.flannel("leave"))
        await until(lambda: set(pairs(cloud, port)) == {third.address.split("/")[0]})


@pytest.mark.parametrize("doors", [["flannel"], ["docker"], ["docker", "flannel"]])
async def test_in_mode_routed_each_door_may_stand_alone(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doors: list[str]
) -> None:
    port = await instance_port(cloud)
    async with running_agent(cloud, port, settings_of(tmp_path, "routed", doors), monkeypatch) as agent:
        assert agent.doors == doors
        assert (tmp_path / "docker.sock").is_socket() == ("docker" in doors)
        assert (tmp_path / "flannel.sock").is_socket() == ("flannel" in doors)
        wanted = 0
        if "docker" in doors:
            network = await agent.docker.network_create("10.60.0.0/24")
            assert (await agent.docker.run(network)).address
            wanted += 1
        if "flannel" in doors:
            await agent.hold_lease(port)
            wanted += 1
        await until(lambda: len(pairs(cloud, port)) == wanted)
        assert "fairlead_networks" in await agent.metrics(doors[0])
    assert not (tmp_path / "docker.sock").exists()
    assert [file.name for file in (tmp_path / "state").glob("*.sqlite")] == ["routed.sqlite"]


async def test_flannel_alone_on_a_trunk_needs_no_docker(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await instance_port(cloud, trunk=True)
    async with running_agent(cloud, port, settings_of(tmp_path, "trunk", ["flannel"]), monkeypatch) as agent:
        await agent.hold_lease(port)
        await until(lambda: set(pairs(cloud, port)) == {PART})
    assert not (tmp_path / "docker.sock").exists()


async def test_without_door_flannel_nothing_looks_after_leases(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await instance_port(cloud, trunk=True)
    async with running_agent(cloud, port, settings_of(tmp_path, "trunk", []), monkeypatch) as agent:
        assert agent.tasks == ["introduction", "memory", "reconciliation", "free memory", "keeper", "devices"]


async def test_a_door_whose_socket_was_removed_is_open_again_and_counted(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead.agent.unix_server.LOOK_EVERY", 0.01)
    port = await instance_port(cloud)
    async with running_agent(cloud, port, settings_of(tmp_path, "routed", []), monkeypatch) as agent:
        for name in ("docker", "flannel"):
            path = tmp_path / f"{name}.sock"
            path.unlink()
            await until(path.is_socket)
        assert (await agent.docker.rpc("Plugin.Activate"))["Implements"] == ["NetworkDriver", "IpamDriver"]
        assert (await agent.flannel("status"))["leases"] == []
        text = await agent.metrics()
    for name in ("docker", "flannel"):
        assert f'fairlead_background_failures_total{{task="door {name}"}} 1.0' in text


async def test_a_door_that_can_not_be_opened_again_ends_the_agent_with_the_reason(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hurry(_self: SystemClock, _seconds: float) -> None:
        await asyncio.sleep(0)

    port = await instance_port(cloud)
    with structlog.testing.capture_logs():
        async with running_agent(cloud, port, settings_of(tmp_path, "routed", []), monkeypatch) as agent:
            (tmp_path / "flannel.sock").unlink()
            (tmp_path / "flannel.sock").mkdir()
            monkeypatch.setattr(SystemClock, "sleep", hurry)
            with pytest.raises(TaskFailed, match=r"door flannel failed 6 times.*no socket"):
                await agent.ended()
    assert not (tmp_path / "docker.sock").exists()


async def test_an_answer_of_neutrons_that_is_not_understood_is_told_as_trouble_until_it_is(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await instance_port(cloud)
    row = cloud.store.resources["ports"][port.id]
    async with running_agent(cloud, port, settings_of(tmp_path, "routed", []), monkeypatch) as agent:
        await agent.hold_lease(port)
        await until(lambda: set(pairs(cloud, port)) == {PART})
        row["allowed_address_pairs"] = [{"ip_address": "all of them", "mac_address": port.mac}]
        held = {"NETWORK": RANGE, "SUBNET": PART, "PUBLIC_IP": str(port.fixed_ips[0].address)}
        await agent.flannel("post-startup", **held)
        trouble: dict[str, str] = {}
        while f"lease {PART}" not in trouble:
            await asyncio.sleep(0.05)
            trouble = (await agent.flannel("status"))["trouble"]
        assert "is not Neutron's" in trouble[f"lease {PART}"]
        row["allowed_address_pairs"] = []
        await agent.flannel("post-startup", **held)
        await until(lambda: set(pairs(cloud, port)) == {PART})


async def test_what_nobody_foresaw_ends_no_task_and_is_counted(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise TypeError("int and str")

    port = await instance_port(cloud)
    row = cloud.store.resources["ports"][port.id]
    settings = settings_of(tmp_path, "routed", [])
    with structlog.testing.capture_logs() as logs:
        async with running_agent(cloud, port, settings, monkeypatch) as agent:
            await agent.hold_lease(port)
            await until(lambda: set(pairs(cloud, port)) == {PART})
            row["allowed_address_pairs"] = []
            held = {"NETWORK": RANGE, "SUBNET": PART, "PUBLIC_IP": str(port.fixed_ips[0].address)}
            with monkeypatch.context() as broken:
                broken.setattr(NeutronService, "find_ports", fail)
                await agent.flannel("post-startup", **held)
                await until(lambda: any(line["event"] == "unexpected error" for line in logs))
                trouble = (await agent.flannel("status"))["trouble"]
                assert "int and str" in trouble[f"lease {PART}"]
                assert 'fairlead_background_failures_total{task="reconciler"}' in await agent.metrics()
            await agent.flannel("post-startup", **held)
            await until(lambda: set(pairs(cloud, port)) == {PART})


async def test_a_door_that_can_not_be_had_at_the_start_ends_the_agent_with_the_reason(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flannel.sock").mkdir()
    port = await instance_port(cloud)
    with pytest.raises(SettingsError, match=r"can't listen on .*flannel\.sock"):
        async with running_agent(cloud, port, settings_of(tmp_path, "routed", []), monkeypatch):
            pass
    assert not (tmp_path / "docker.sock").exists()


async def test_the_check_has_a_line_for_each_door(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await instance_port(cloud, trunk=True)
    settings = settings_of(tmp_path, "trunk", ["docker", "flannel"])
    environ = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
    cloud.write_clouds_yaml(tmp_path / "clouds.yaml")
    (tmp_path / "flannel.sock").write_text("")
    findings = {one.what: one for one in await check(settings, environ)}
    assert findings["docker"].text == f"door docker: {tmp_path}/docker.sock can be had"
    assert not findings["flannel"].ok
    (tmp_path / "flannel.sock").unlink()
    async with running_agent(cloud, port, settings, monkeypatch):
        findings = {one.what: one for one in await check(settings, environ)}
    assert findings["flannel"].text == f"door flannel: an agent serves {tmp_path}/flannel.sock"
    assert findings["docker"].ok


async def test_each_door_shows_the_counters(cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = await instance_port(cloud)
    async with running_agent(cloud, port, settings_of(tmp_path, "routed", []), monkeypatch) as agent:
        for door in ("docker", "flannel"):
            assert "fairlead_neutron_call_seconds" in await agent.metrics(door)


async def test_a_stopped_agent_can_be_started_again_at_once(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await instance_port(cloud, trunk=True)
    settings = settings_of(tmp_path, "trunk", ["docker", "flannel"])
    async with running_agent(cloud, port, settings, monkeypatch) as agent:
        await agent.hold_lease(port)
        await until(lambda: set(pairs(cloud, port)) == {PART})
    async with running_agent(cloud, port, settings, monkeypatch) as agent:
        assert [lease["state"] for lease in (await agent.flannel("status"))["leases"]] == ["own"]


@pytest.mark.parametrize("mode", ["trunk", "routed"])
async def test_a_plan_is_told_at_every_door_and_carried_out_when_asked_for(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr("fairlead.core.reconcile.reconciliation.HERE_EVERY", 1000.0)
    port = await instance_port(cloud, trunk=mode == "trunk")
    async with running_agent(cloud, port, settings_of(tmp_path, mode, ["docker", "flannel"]), monkeypatch) as agent:

        async def asked(session: Any, *, dry_run: bool) -> list[tuple[str, str]]:
            async with session.post("/reconcile", json={"dry_run": dry_run}) as response:
                answer = await response.json()
                assert response.status == 200, answer
                assert answer["unseen"] == []
                return [(one["kind"], one["state"]) for one in answer["findings"]]

        docker: Any = agent.docker.client
        assert await asked(docker, dry_run=False) == []
        await asyncio.sleep(0.1)  # the agent's own first look is over
        agent.board.attachments["orphan"] = Vif("orphan", "orphan", "02:00:00:00:00:01", 1442)
        for session in (docker, agent.flannel_session):
            assert await asked(session, dry_run=True) == [("Orphan", "would")]
        assert await asked(docker, dry_run=False) == [("Orphan", "done")]
        assert not agent.board.attachments
        async with docker.post("/reconcile", data=b"[]") as response:
            assert response.status == 400
            assert "malformed" in (await response.json())["error"]
