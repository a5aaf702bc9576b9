"""The real keepers under the supervisor: one thing that nobody foresaw keeps nothing else from being done."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from fairlead.core.background.loops import keep
from fairlead.core.background.supervision import Task
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.network import NewPort, Port
from fairlead_lab.fakes.simulation import SimulatedNeutron
from tests.unit.background.test_supervision import Watched, story
from tests.unit.core.test_keeper import Agent


class Gibberish(SimulatedNeutron):
    """A Neutron whose answers about one network make no sense as long as that is set."""

    about = ""

    async def headroom(self, network_id: str, *args: Any) -> Any:
        """Answer the question that a refill begins with."""
        if network_id == self.about:
            raise ValueError(f"what is {network_id}?")
        return await super().headroom(network_id, *args)

    async def create_ports(self, new: Sequence[NewPort]) -> list[Port]:
        """Answer what makes ports."""
        if new[0].network_id == self.about:
            raise TypeError("int and str")
        return await super().create_ports(new)


@story
async def test_an_answer_that_makes_no_sense_keeps_no_other_network_from_being_served() -> None:
    neutron = Gibberish()
    neutron.about = "web"
    agent, ready = Agent(neutron, PoolLimits(floor=4), ("web", "db")), asyncio.Event()
    agent.work.cancel()
    ready.set()
    async with Watched(Task("keeper", lambda: keep(agent.core.keeper, ready, lambda: None))) as watched:
        await asyncio.sleep(30)
        assert (agent.waiting("web"), agent.waiting("db")) == (0, 4)
        assert watched.failed == ["keeper"]
        neutron.about = ""
        await asyncio.sleep(120)
        assert (agent.waiting("web"), agent.waiting("db")) == (4, 4)


@story
async def test_a_start_on_a_dry_pool_hears_of_what_nobody_foresaw_and_the_next_one_is_served() -> None:
    neutron = Gibberish()
    neutron.about = "web"
    agent = Agent(neutron, PoolLimits(floor=0, ceiling=0))
    with pytest.raises(TypeError):
        await agent.run()
    neutron.about = ""
    assert await agent.run()
    agent.work.cancel()
