"""The wired agent: its check, its metrics, its log."""

import json
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import structlog

from fairlead.adapters.store.sqlite import SqliteStore
from fairlead.agent.check import check
from fairlead.agent.ground import STORE
from fairlead.agent.logs import configure_logs, current_request_id, new_request_id
from fairlead.agent.settings import AgentSettings, CloudSettings, LogSettings, OvsSettings, Settings
from fairlead.agent.unix_server import serve_unix
from fairlead.agent.wiring import wire_agent
from fairlead.model.records import KINDS, Origin
from fairlead_lab.fakes import FakeCloud


def settings(tmp_path: Path, cloud: str = "demo") -> Settings:
    return Settings(
        cloud=CloudSettings(name=cloud, connect_timeout=1.0, timeout=2.0),
        agent=AgentSettings(mode="ovs", socket=str(tmp_path / "fairlead.sock"), state_dir=str(tmp_path / "state")),
        ovs=OvsSettings(db=f"unix:{tmp_path}/no-such.sock", timeout=0.3),
    )


def remembering(settings: Settings) -> Settings:
    """Give the agent a memory that needs no rebuilding."""
    store = SqliteStore(Path(settings.agent.state_dir) / STORE, KINDS)
    store.put(Origin())
    store.close()
    return settings


async def test_the_check_says_what_is_there_and_what_to_do_where_not(tmp_path: Path) -> None:
    async with FakeCloud() as cloud:
        cloud.write_clouds_yaml(tmp_path / "clouds.yaml")
        environ = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
        findings = {one.what: one for one in await check(settings(tmp_path), environ)}
        assert findings["cloud"].ok
        assert "may not bind ports, which OVN does not need" in findings["cloud"].text
        assert not findings["switch"].ok
        assert "no-such.sock" in findings["switch"].text
        assert findings["switch"].remedy
        assert findings["state"].ok
        unknown = {one.what: one for one in await check(settings(tmp_path, "nosuch"), environ)}
        assert not unknown["cloud"].ok
        assert "nosuch" in unknown["cloud"].text


async def test_the_check_tells_of_a_credential_that_may_not_read(tmp_path: Path) -> None:
    async with FakeCloud() as cloud:
        users = cloud.identity.users
        users.update({name: replace(user, roles=frozenset({"member"})) for name, user in users.items()})
        cloud.write_clouds_yaml(tmp_path / "clouds.yaml")
        findings = await check(settings(tmp_path), {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")})
    finding = next(one for one in findings if one.what == "cloud")
    assert not finding.ok
    assert "no role reader" in finding.text
    assert "--role reader" in finding.remedy


async def test_metrics_are_on_the_socket_and_the_switch_may_be_down(tmp_path: Path) -> None:
    async with FakeCloud() as cloud:
        cloud.write_clouds_yaml(tmp_path / "clouds.yaml")
        environ = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
        path = tmp_path / "fairlead.sock"
        async with (
            wire_agent(remembering(settings(tmp_path)), environ) as agent,
            serve_unix(agent.doors[0].app, path),
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        ):
            async with session.post("http://agent/Plugin.Activate") as response:
                assert await response.json(content_type=None) == {"Implements": ["NetworkDriver", "IpamDriver"]}
            pool = {"Pool": "10.20.0.0/24", "AddressSpace": "fairlead-local"}
            async with session.post("http://agent/IpamDriver.RequestPool", json=pool) as response:
                assert response.status == 200
            request = {"NetworkID": "n" * 64, "IPv4Data": [pool]}
            async with session.post("http://agent/NetworkDriver.CreateNetwork", json=request) as response:
                assert response.status == 503
                assert "no-such.sock" in (await response.json(content_type=None))["Err"]
            async with session.get("http://agent/metrics") as response:
                text = await response.text()
        assert 'fairlead_rpc_seconds_count{rpc="Plugin.Activate",status="200"} 1.0' in text
        assert 'fairlead_neutron_call_seconds_count{method="GET",path="/networks",status="200"}' in text
        assert "fairlead_networks 1.0" in text
        assert 'fairlead_rpc_neutron_calls_total{rpc="IpamDriver.RequestPool"} 1.0' in text


async def test_one_request_id_goes_from_the_rpc_to_neutron_and_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(LogSettings(level="debug"))
    try:
        async with FakeCloud() as cloud:
            cloud.write_clouds_yaml(tmp_path / "clouds.yaml")
            environ = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
            path = tmp_path / "fairlead.sock"
            async with (
                wire_agent(remembering(settings(tmp_path)), environ) as agent,
                serve_unix(agent.doors[0].app, path),
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
                session.post("http://agent/IpamDriver.RequestPool", json={"Pool": "10.20.0.0/24"}) as response,
            ):
                request_id = response.headers["X-Request-ID"]
            assert {call.request_id for call in cloud.calls} == {request_id}
    finally:
        structlog.reset_defaults()
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {event["request_id"] for event in events} == {request_id}
    assert any(event.get("neutron_request_id", "").startswith("req-") for event in events)
    assert not any("password" in json.dumps(event) for event in events)


def test_a_task_keeps_its_request_id() -> None:
    made = new_request_id()
    assert current_request_id() == made
    structlog.contextvars.clear_contextvars()
    assert current_request_id() != made
