"""However the hosts' requests interleave, one network comes of it."""

import asyncio
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.networks.election import PATIENCE, Election
from fairlead.core.warm.node import Node
from fairlead.model.network import Network, NewNetwork

CIDR = ip_network("10.20.0.0/24")


@dataclass
class Cloud:
    """Networks in commit order; every operation waits for as many turns of the loop as the schedule says."""

    pauses: list[int] = field(default_factory=list)
    networks: dict[str, Network] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    same_second: bool = True

    async def turn(self) -> None:
        for _ in range(self.pauses.pop() if self.pauses else 1):
            await asyncio.sleep(0)

    async def create_network(self, new: NewNetwork) -> Network:
        await self.turn()
        made = Network(id=self.ids.pop(), name=new.name, mtu=1442, created_at="2026-01-01T00:00:00Z")
        self.networks[made.id] = made
        await self.turn()
        return made

    async def delete_network(self, network_id: str) -> None:
        await self.turn()
        self.networks.pop(network_id, None)

    async def candidates(self) -> list[Network]:
        await self.turn()
        listed = list(self.networks.values())
        await self.turn()
        return listed

    async def settle(self, network: Network) -> None:
        await self.turn()
        self.networks[network.id] = replace(network, subnet_ids=("subnet",))


@dataclass
class SteppedClock:
    """A clock on which a sleep is one turn of the loop."""

    time: float = 0.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds / 4  # several hosts share this clock; each should get its patience
        await asyncio.sleep(0)


def election(cloud: Cloud, clock: SteppedClock) -> Election:
    node = Node(cast(Any, cloud), cast(Any, None), cast(Any, None), cast(Any, None), clock, "host")
    return Election(node, cloud.candidates, cloud.settle)


@given(
    hosts=st.integers(min_value=1, max_value=5),
    pauses=st.lists(st.integers(min_value=0, max_value=6), max_size=80),
    ids=st.permutations([f"id{number}" for number in range(8)]),
)
@settings(deadline=None, max_examples=300)
def test_hosts_that_start_at_once_end_with_one_network_and_no_other_left(
    hosts: int, pauses: list[int], ids: list[str]
) -> None:
    cloud = Cloud(pauses, ids=[*ids, *(f"late{number}" for number in range(50))][::-1])

    async def all_hosts() -> list[tuple[Network, bool]]:
        runs = (election(cloud, SteppedClock()).run(NewNetwork("web"), lambda _: None) for _ in range(hosts))
        return await asyncio.gather(*runs)

    results = asyncio.run(all_hosts())
    assert {network.id for network, _ in results} == set(cloud.networks)
    assert len(cloud.networks) == 1
    assert sum(made for _, made in results) == 1


async def test_a_candidate_whose_maker_died_is_given_up_after_a_while() -> None:
    dead = Network(id="a-dead", name="web", mtu=1442, created_at="2026-01-01T00:00:00Z")
    cloud = Cloud(networks={"a-dead": dead}, ids=["c-second", "b-first"])
    clock = SteppedClock()
    network, made = await election(cloud, clock).run(NewNetwork("web"), lambda _: None)
    assert made
    assert cloud.networks[network.id].subnet_ids
    assert clock.time >= PATIENCE
    assert set(cloud.networks) == {"a-dead", network.id}


async def test_the_own_candidate_is_told_before_anything_else_can_fail() -> None:
    cloud = Cloud(ids=["mine"])

    async def broken(_: Network) -> None:
        raise ConnectionError

    told: list[str] = []
    node = Node(cast(Any, cloud), cast(Any, None), cast(Any, None), cast(Any, None), SteppedClock(), "host")
    with pytest.raises(ConnectionError):
        await Election(node, cloud.candidates, broken).run(NewNetwork("web"), lambda mine: told.append(mine.id))
    assert told == ["mine"]
