"""A pool through hours of demand, calm and trouble, in virtual time: what waits, and what Neutron is asked."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from itertools import pairwise
from typing import Any, cast

import pytest

from fairlead.core.assembly import PortCore
from fairlead.core.background.backoff import LONGEST_WAIT
from fairlead.core.warm.keeper import UNNAME_AFTER
from fairlead.core.warm.node import Node
from fairlead.core.warm.port_table import PortTable
from fairlead.core.warm.provisioning import make_ports
from fairlead.core.warm.sizing import HALF_LIFE, PoolLimits
from fairlead.model.attachment import AddressRequest, AttachmentKey, AttachmentRequest
from fairlead.model.errors import CloudUnavailable, QuotaExceeded
from fairlead.model.network import IPAddress, NewPort, Port
from fairlead.model.records import JoinedNetwork, JoinedSubnet, Origin, Step, Use
from fairlead_lab.fakes import virtual_time
from fairlead_lab.fakes.simulation import Costs, MemoryStore, NoDataplane, SimulatedNeutron
from tests.unit.docker.dockerd import Sandboxes

RANGE = IPv4Network("10.0.0.0/8")


@dataclass
class Agent:
    """A core with one network, and its keeper at work."""

    neutron: SimulatedNeutron
    limits: PoolLimits = field(default_factory=PoolLimits)
    networks: tuple[str, ...] = ("web",)
    seed: int = 1

    def __post_init__(self) -> None:
        self.store = MemoryStore()
        self.store.put(Origin())
        for name in self.networks:
            subnet = JoinedSubnet(name, RANGE, None)
            self.store.put(JoinedNetwork(name, Step.HELD, 0.0, network_id=name, name=name, subnets=(subnet,)))
        self.start()

    def start(self) -> None:
        node = Node(
            cast(Any, self.neutron),
            NoDataplane("h1"),
            self.store,
            PortTable(self.store),
            virtual_time.LoopClock(),
            "0123456789ab",
        )
        self.core = PortCore.over(node, self.limits, Sandboxes(), random=random.Random(self.seed).random)
        self.work = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            if not await self.core.keeper.step():
                await self.core.keeper.wake_up.wait()

    def waiting(self, network: str = "web") -> int:
        return self.core.warm.waiting(network)

    async def run(self, network: str = "web") -> IPAddress:
        address = (await self.core.attachments.reserve(network, AddressRequest(4))).ip
        key = AttachmentKey(f"endpoint {address}", network)
        await self.core.attachments.prepare(key, AttachmentRequest((address,)))
        return address

    async def rm(self, address: IPAddress, network: str = "web") -> None:
        await self.core.attachments.detach(AttachmentKey(f"endpoint {address}", network), by_runtime=True)
        await self.core.attachments.release(network, address)


def story(tell: Callable[[SimulatedNeutron], Awaitable[None]]) -> Callable[[], None]:
    """Run a test in virtual time with a Neutron of its own."""

    def test() -> None:
        async def main() -> None:
            await tell(SimulatedNeutron())

        virtual_time.run(main())

    test.__name__ = tell.__name__
    test.__doc__ = tell.__doc__
    return test


@story
async def test_the_floor_is_filled_soon_and_with_one_request(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron, PoolLimits(floor=4))
    await asyncio.sleep(5)
    assert agent.waiting() == 4
    assert neutron.calls == {"GET quota": 1, "POST ports": 1}
    await asyncio.sleep(3600)
    assert neutron.calls.total() == 2


@story
async def test_a_warm_start_and_stop_ask_nothing_of_neutron(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron, PoolLimits(floor=4))
    await asyncio.sleep(5)
    before = neutron.calls.total()
    began = asyncio.get_running_loop().time()
    await agent.rm(await agent.run())
    assert asyncio.get_running_loop().time() == began
    await asyncio.sleep(60)
    assert neutron.calls.total() == before
    assert agent.waiting() == 4


@story
async def test_a_thousand_cold_starts_cost_at_most_twenty_five_requests(neutron: SimulatedNeutron) -> None:
    neutron.costs = Costs(create=0.01)
    agent = Agent(neutron, PoolLimits(floor=0, ceiling=0))
    await asyncio.gather(*(agent.run() for _ in range(1000)))
    assert neutron.calls["POST ports"] <= 25
    assert neutron.calls.total() - neutron.calls["PUT port"] <= 25


@story
async def test_starts_that_come_in_waves_of_fifty_are_warm_from_the_second_on(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron)
    await asyncio.gather(*map(agent.rm, await asyncio.gather(*(agent.run() for _ in range(50)))))
    for _ in range(5):
        await asyncio.sleep(60)
        made = neutron.calls["POST ports"]
        await asyncio.gather(*map(agent.rm, await asyncio.gather(*(agent.run() for _ in range(50)))))
        assert neutron.calls["POST ports"] == made


@story
async def test_a_port_rests_before_it_is_given_out_again(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron, PoolLimits(floor=1, ceiling=1, cool_down=30.0))
    first = await agent.run()
    await agent.rm(first)
    await asyncio.sleep(29)
    assert await agent.run() != first
    await asyncio.sleep(2)
    assert await agent.run() == first


@story
async def test_containers_that_stay_are_replaced_in_the_pool(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron, PoolLimits(floor=10, rate=100))
    await asyncio.sleep(10)
    for _ in range(3):
        await asyncio.gather(*(agent.run() for _ in range(10)))
        await asyncio.sleep(60)
        assert agent.waiting() >= 9


@story
async def test_an_idle_pool_shrinks_to_its_floor_over_an_hour(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron)
    await asyncio.gather(*map(agent.rm, await asyncio.gather(*(agent.run() for _ in range(64)))))
    await asyncio.sleep(30)
    assert agent.waiting() >= 64
    await asyncio.sleep(HALF_LIFE)
    assert 32 <= agent.waiting() <= 50
    await asyncio.sleep(7 * HALF_LIFE)
    assert agent.waiting() <= 4
    assert len(neutron.ports) == agent.waiting()


@story
async def test_a_restarted_agent_keeps_its_pool_and_asks_nothing(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron)
    await asyncio.gather(*map(agent.rm, await asyncio.gather(*(agent.run() for _ in range(40)))))
    await asyncio.sleep(120)
    waiting, calls = agent.waiting(), neutron.calls.total()
    agent.work.cancel()
    agent.start()
    await asyncio.sleep(60)
    assert agent.waiting() == waiting
    assert neutron.calls.total() == calls


@story
async def test_starts_go_on_from_the_pool_while_neutron_is_down(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron, PoolLimits(floor=10))
    await asyncio.sleep(10)
    neutron.down = True
    addresses = [await agent.run() for _ in range(10)]
    with pytest.raises(CloudUnavailable):
        await agent.run()
    for address in addresses:
        await agent.rm(address)
    await asyncio.sleep(60)
    await agent.run()


@story
async def test_a_neutron_that_is_down_is_asked_less_and_less(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron)
    neutron.down = True
    await asyncio.sleep(3600)
    assert neutron.calls.total() < 30
    neutron.down = False
    await asyncio.sleep(500)
    assert agent.waiting() == 2


@story
async def test_starts_ask_nothing_of_a_neutron_that_did_not_answer_until_it_was_tried_again(
    neutron: SimulatedNeutron,
) -> None:
    neutron.costs = Costs(create=150.0)
    agent = Agent(neutron, PoolLimits(floor=0, ceiling=0))
    for _ in range(12):
        with pytest.raises(CloudUnavailable):
            await agent.run()
    assert asyncio.get_running_loop().time() >= 200.0
    assert neutron.calls["POST ports"] + neutron.calls["GET ports"] <= 3


@story
async def test_starts_that_wait_are_served_once_neutron_is_back(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron, PoolLimits(floor=0, ceiling=0))
    neutron.down = True
    with pytest.raises(CloudUnavailable):
        await agent.run()
    neutron.down = False
    await asyncio.gather(*(agent.run() for _ in range(30)))
    assert neutron.calls["POST ports"] <= 3


@story
async def test_a_batch_whose_answer_was_lost_is_looked_for_and_serves_those_who_wait(neutron: SimulatedNeutron) -> None:
    neutron.create_patience = 5.0
    neutron.costs = Costs(create=6.0)
    agent = Agent(neutron, PoolLimits(floor=0))
    with pytest.raises(CloudUnavailable):
        await agent.run()
    await agent.run()
    assert neutron.calls["POST ports"] == neutron.calls["GET ports"] == 1


@story
async def test_names_wait_while_neutron_is_busy(neutron: SimulatedNeutron) -> None:
    neutron.costs = Costs(update=2.0)
    agent = Agent(neutron, PoolLimits(floor=50, rate=100.0))
    await asyncio.sleep(60)
    await asyncio.gather(*(agent.run() for _ in range(50)))
    await asyncio.sleep(600)
    assert 4 < neutron.calls["PUT port"] < 12


@pytest.mark.parametrize("hosts", [10, 20, 40])
def test_in_a_storm_of_hosts_a_thousand_starts_cost_at_most_two_hundred_requests(hosts: int) -> None:
    """Names apart, of which each container costs one. One worker, so that forty hosts are a storm."""

    async def main() -> int:
        neutron = SimulatedNeutron(workers=1, costs=Costs(create=0.1))
        agents = [Agent(neutron, seed=seed) for seed in range(hosts)]
        chance = random.Random(hosts)

        async def start(agent: Agent) -> None:
            while True:
                with suppress(CloudUnavailable):
                    await agent.run()
                    return
                await asyncio.sleep(chance.uniform(10.0, 60.0))

        await asyncio.gather(*(start(agent) for agent in agents for _ in range(40)))
        return neutron.calls.total() - neutron.calls["PUT port"]

    assert virtual_time.run(main()) <= 200 * hosts * 40 / 1000


@story
async def test_a_pool_leaves_most_of_the_quota_to_others(neutron: SimulatedNeutron) -> None:
    neutron.port_quota = 40
    agent = Agent(neutron, PoolLimits(floor=100, ceiling=100, share=0.25))
    await asyncio.sleep(600)
    assert agent.waiting() == 10
    calls = neutron.calls.total()
    await asyncio.sleep(3600)
    assert neutron.calls.total() - calls < 60


@story
async def test_a_quota_that_is_used_up_is_refused_to_the_one_who_asked_and_not_tried_again(
    neutron: SimulatedNeutron,
) -> None:
    neutron.port_quota = 7
    agent = Agent(neutron, PoolLimits(floor=0, ceiling=0))
    done = await asyncio.gather(*(agent.run() for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(one, QuotaExceeded) for one in done) == 3
    assert neutron.calls["POST ports"] < 10


@story
async def test_another_networks_pool_gives_way_where_the_quota_is_short(neutron: SimulatedNeutron) -> None:
    neutron.port_quota = 10
    agent = Agent(neutron, PoolLimits(floor=5, share=1.0), networks=("web", "db"))
    await asyncio.sleep(60)
    assert len(neutron.ports) == 10
    for _ in range(9):
        await agent.run("db")
    assert agent.waiting("web") <= 1


@story
async def test_an_answer_that_never_comes_leaves_no_port_behind(neutron: SimulatedNeutron) -> None:
    neutron.costs = Costs(create=150.0)
    agent = Agent(neutron, PoolLimits(floor=0, ceiling=0))
    with pytest.raises(CloudUnavailable, match="still being waited for"):
        await agent.run()
    neutron.costs = Costs()
    await asyncio.sleep(350)
    assert not neutron.ports


@story
async def test_ports_are_named_late_once_and_for_those_that_live(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron, PoolLimits(floor=4))
    await asyncio.sleep(5)
    for _ in range(4):
        await agent.rm(await agent.run())
    await asyncio.sleep(30)
    assert neutron.calls["PUT port"] == 0
    address = await agent.run()
    await asyncio.sleep(30)
    assert neutron.calls["PUT port"] == 1
    await agent.rm(address)
    await asyncio.sleep(UNNAME_AFTER / 2)
    assert neutron.calls["PUT port"] == 1
    await asyncio.sleep(UNNAME_AFTER)
    assert neutron.calls["PUT port"] == 2


@story
async def test_a_network_that_is_left_takes_its_ports_along(neutron: SimulatedNeutron) -> None:
    async def find_networks(**_: Any) -> list[Any]:
        return []

    neutron_with_networks: Any = neutron
    agent = Agent(neutron, PoolLimits(floor=8))
    await asyncio.sleep(10)
    await agent.core.networks.leave("web")
    await asyncio.sleep(20)
    assert not neutron_with_networks.ports
    assert not agent.store.all(JoinedNetwork)


@story
async def test_one_request_at_a_time_and_rests_between_them(neutron: SimulatedNeutron) -> None:
    """The background uses at most about half of one worker."""
    Agent(neutron, PoolLimits(floor=100, rate=1000))
    await asyncio.sleep(120)
    moments = [moment for moment, what in neutron.log if what == "POST ports"]
    assert all(later - sooner >= 0.24 * 20 * 1.4 for sooner, later in pairwise(moments))


@story
async def test_ports_are_made_ahead_no_faster_than_the_operator_allows(neutron: SimulatedNeutron) -> None:
    neutron.costs = Costs(create=0.001)
    agent = Agent(neutron, PoolLimits(floor=100, rate=2.0))
    for _ in range(10):
        await asyncio.sleep(10)
        assert agent.waiting() <= 50 + 2 * asyncio.get_running_loop().time()
    await asyncio.sleep(60)
    assert agent.waiting() == 100


@story
async def test_a_port_that_was_claimed_and_never_used_comes_back(neutron: SimulatedNeutron) -> None:
    agent = Agent(neutron)
    await agent.core.attachments.reserve("web", AddressRequest(4))
    await asyncio.sleep(400)
    await agent.core.reconciliation.step()
    assert agent.core.node.port_table.count("web", Use.RESERVED) == 0
    assert agent.waiting() >= 1


@story
async def test_no_port_is_made_for_a_network_that_was_left_while_the_room_was_asked_for(
    neutron: SimulatedNeutron,
) -> None:
    """Nobody would be left to remove the network after its last port."""
    neutron.costs = Costs(read=0.5)
    agent = Agent(neutron)
    while not neutron.calls["GET quota"]:  # noqa: ASYNC110  virtual time costs nothing
        await asyncio.sleep(0.1)
    await agent.core.networks.leave("web")
    await asyncio.sleep(60)
    assert not neutron.calls["POST ports"]


@story
async def test_leaving_a_network_waits_for_ports_that_are_just_being_made(neutron: SimulatedNeutron) -> None:
    """Whoever removes it may want to delete the subnet next, and ports would be in its way."""
    agent = Agent(neutron, PoolLimits(floor=20))
    await asyncio.sleep(10)
    (joined,) = agent.store.all(JoinedNetwork)
    late = asyncio.create_task(make_ports(agent.core.node, joined, count=4))
    await asyncio.sleep(0)
    await agent.core.networks.leave("web")
    assert late.done()
    assert not neutron.ports
    assert not agent.store.all(JoinedNetwork)


@story
async def test_a_network_is_not_given_up_before_ports_that_came_while_it_was_left(neutron: SimulatedNeutron) -> None:
    """Neutron would keep it for their sake, and nobody would be left to remove it."""
    agent = Agent(neutron, PoolLimits(floor=20))
    await asyncio.sleep(10)
    (joined,) = agent.store.all(JoinedNetwork)
    late = asyncio.create_task(make_ports(agent.core.node, joined, count=4))
    await asyncio.sleep(0)
    await agent.core.networks.leave("web")
    assert late.done()
    while agent.store.all(JoinedNetwork):  # noqa: ASYNC110  virtual time costs nothing
        await asyncio.sleep(0.01)
    assert not neutron.ports


@dataclass(slots=True)
class Poisoned(SimulatedNeutron):
    """Does not do some things, ever, as a Neutron whose database and OVN's disagree about them.

    ports: whose deletion fails. network: on which no port is made. how: what it answers; None: nothing, in time.
    """

    poison: set[str] = field(default_factory=set)
    network: str = ""
    how: Exception | None = None

    async def delete_port(self, port_id: str) -> None:
        """Delete a port, or fail."""
        if port_id in self.poison:
            await self._fail("DELETE poison")
        await SimulatedNeutron.delete_port(self, port_id)

    async def create_ports(self, new: Sequence[NewPort]) -> list[Port]:
        """Make ports, or fail."""
        if new[0].network_id == self.network:
            await self._fail("POST poison")
        return await SimulatedNeutron.create_ports(self, new)

    async def _fail(self, what: str) -> None:
        self.calls[what] += 1
        if self.how:
            await asyncio.sleep(0.05)
            raise self.how
        await asyncio.sleep(self.patience)
        raise CloudUnavailable("no answer within 20 s")


ANSWERED = CloudUnavailable("Neutron answers HTTP 500", answered=True)
POISONS = [ANSWERED, CloudUnavailable("Neutron answers HTTP 503"), None]
HOW = pytest.mark.parametrize("how", POISONS, ids=["answered", "by a proxy", "unanswered"])


async def starts(agent: Agent, count: int = 20, network: str = "web") -> int:
    """Start containers, one each half minute; return how many failed."""
    failed = 0
    for _ in range(count):
        try:
            await agent.run(network)
        except CloudUnavailable:
            failed += 1
        await asyncio.sleep(30)
    return failed


@HOW
@pytest.mark.parametrize("poisoned", [0, 1, 30])
def test_deletions_that_always_fail_stop_no_start_and_nothing_else_behind(poisoned: int, how: Exception | None) -> None:
    async def main() -> None:
        neutron = Poisoned(how=how)
        agent = Agent(neutron)
        await asyncio.sleep(60)
        addresses = [await agent.run() for _ in range(poisoned + 5)]
        table = agent.core.node.port_table
        ports = [table.of_address("web", address) for address in addresses]
        for port in ports:
            assert port
            table.put(replace(port, single_use=True))
            if len(neutron.poison) < poisoned:
                neutron.poison.add(port.id)
        for address in addresses:
            await agent.rm(address)
        await asyncio.sleep(1800)
        assert await starts(agent) == 0
        await asyncio.sleep(7200)
        assert {one.id for one in table.leaving()} == neutron.poison, "the others are deleted"
        assert not table.untold(), "containers are named"
        before = neutron.calls["DELETE poison"]
        await asyncio.sleep(3600)
        assert neutron.calls["DELETE poison"] - before <= poisoned * 3600 / (LONGEST_WAIT / 2)
        neutron.poison.clear()
        await asyncio.sleep(2 * LONGEST_WAIT)
        assert not table.leaving()

    virtual_time.run(main())


@HOW
def test_a_network_on_which_no_port_can_be_made_stops_no_start_on_another(how: Exception | None) -> None:
    async def main() -> None:
        neutron = Poisoned(network="web", how=how)
        agent = Agent(neutron, PoolLimits(floor=2, ceiling=2), networks=("web", "db"))
        restarting = asyncio.create_task(starts(agent, count=1000))
        await asyncio.sleep(60)
        assert await starts(agent, network="db") == 0
        assert agent.waiting("db") >= 1
        restarting.cancel()
        neutron.network = ""
        await asyncio.sleep(2 * LONGEST_WAIT)
        assert agent.waiting("web") == 2

    virtual_time.run(main())
