"""A switch that starts beside the agent is waited for, and not for ever."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from fairlead.agent.settings import AgentSettings, OvsSettings, Settings
from fairlead.agent.switch import await_switch
from fairlead.model.errors import FairleadError, SwitchUnavailable


def settings(folder: Path, mode: str = "ovs") -> Settings:
    return Settings(
        agent=AgentSettings(mode=mode),  # type: ignore[arg-type]
        ovs=OvsSettings(db=f"unix:{folder}/no-such.sock", timeout=0.1),
    )


def answering(patch: pytest.MonkeyPatch, answers: Sequence[FairleadError | None]) -> None:
    left = iter(answers)

    async def look(_: Settings) -> None:
        if error := next(left):
            raise error

    patch.setattr("fairlead.agent.switch.look_at_switch", look)
    patch.setattr("fairlead.agent.switch._LOOK_EVERY", 0.001)


async def test_it_is_waited_for_until_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing, refused = SwitchUnavailable("no switch yet"), list[FairleadError]()
    answering(monkeypatch, [missing, missing, None])
    await await_switch(settings(tmp_path), asyncio.Event(), refused.append)
    assert refused == [missing, missing]


async def test_one_that_does_not_come_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    refused = list[FairleadError]()
    await await_switch(settings(tmp_path), asyncio.Event(), refused.append, patience=0.3)
    assert "no-such.sock" in str(refused[0])


async def test_an_agent_that_is_to_stop_waits_no_more(tmp_path: Path) -> None:
    stop = asyncio.Event()
    refused = list[FairleadError]()

    def missing(error: FairleadError) -> None:
        refused.append(error)
        stop.set()

    await await_switch(settings(tmp_path), stop, missing)
    assert len(refused) == 1


@pytest.mark.parametrize("mode", ["routed", "trunk", "ipvlan"])
async def test_an_instance_has_none_to_wait_for(tmp_path: Path, mode: str) -> None:
    refused = list[FairleadError]()
    await await_switch(settings(tmp_path, mode), asyncio.Event(), refused.append)
    assert refused == []
