"""Which mode `auto` comes to, as far as that needs no switch; on a real instance tests/e2e/test_routed.py tells."""

import asyncio
from pathlib import Path

import pytest

from fairlead.agent.auto import Choice, remember, settle_mode
from fairlead.agent.check import check
from fairlead.agent.run import _settle
from fairlead.agent.service_manager import service_manager
from fairlead.agent.settings import AgentSettings, OvsSettings, Settings
from fairlead.model.errors import AuthenticationFailed, CloudUnavailable, FairleadError, NotFound
from fairlead_lab.fakes import FakeCloud, virtual_time


def settings(folder: Path, **agent: str) -> Settings:
    return Settings(
        agent=AgentSettings(state_dir=str(folder / "state"), **agent),  # type: ignore[arg-type]  # mode is a literal
        ovs=OvsSettings(db=f"unix:{folder}/no-such.sock", timeout=0.3),
    )


async def test_a_mode_that_is_set_is_taken(tmp_path: Path) -> None:
    settled, choice = await settle_mode(settings(tmp_path, mode="trunk"), {})
    assert settled.agent.mode == choice.mode == "trunk"


async def test_what_was_chosen_once_is_chosen_again_without_asking(tmp_path: Path) -> None:
    remember(settings(tmp_path), Choice("routed", "it has no trunk"))
    settled, choice = await settle_mode(settings(tmp_path), {})
    assert settled.agent.mode == "routed"
    assert str(tmp_path / "state" / "mode") in choice.why


async def test_a_node_that_is_neither_host_nor_instance_is_told_what_is_missing(tmp_path: Path) -> None:
    async with FakeCloud() as cloud:
        cloud.write_clouds_yaml(tmp_path / "clouds.yaml")
        environ = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
        environ["OS_CLOUD"] = "demo"
        wanted = settings(tmp_path)
        with pytest.raises(NotFound, match=r"no mode fits this node: no Open vSwitch .*, and .*"):
            await settle_mode(wanted, environ)
        (finding,) = [one for one in await check(wanted, environ) if one.what == "mode"]
    assert not finding.ok
    assert "start Open vSwitch and ovn-controller" in finding.remedy
    assert not (tmp_path / "state" / "mode").exists()


@pytest.mark.parametrize(
    ("error", "most"), [(AuthenticationFailed("Keystone does not accept us"), 6), (CloudUnavailable("away"), 110)]
)
def test_credentials_that_are_refused_while_the_mode_is_not_known_are_tried_ever_more_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: FairleadError, most: int
) -> None:
    tries: list[float] = []

    async def refuse(*_: object) -> None:
        tries.append(asyncio.get_running_loop().time())
        raise error

    async def main() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(_settle(settings(tmp_path), {}, stop, service_manager({})))
        await asyncio.sleep(300)
        stop.set()
        assert await task is None

    monkeypatch.setattr("fairlead.agent.run.settle_mode", refuse)
    virtual_time.run(main())
    assert 3 <= len(tries) <= most
