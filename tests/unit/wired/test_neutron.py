"""Neutron's word that a port is wired, from the cloud in memory, on a clock that sleeps by being told to."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.wired.neutron import ActiveInNeutron
from fairlead.adapters.wired.nothing import NothingToWaitFor
from fairlead.model.errors import NotFound, WiringTimeout
from fairlead.model.network import NewNetwork, NewPort
from fairlead.model.vif import Vif
from fairlead_lab.fakes import FakeCloud, Fault
from tests.ports import create_port

NOBODY = "00000000-0000-4000-8000-00000000000f"


@dataclass
class StepClock:
    """Time that passes by sleeping; then(number of the sleep) is called after each."""

    time: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)
    then: Callable[[int], None] = lambda _number: None

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.slept.append(seconds)
        self.then(len(self.slept))


@dataclass
class Cloud:
    fake: FakeCloud
    neutron: NeutronService
    vif: Vif

    def report(self, status: str) -> None:
        """Do what an agent's report does."""
        self.fake.store.resources["ports"][self.vif.port_id]["status"] = status

    def asked(self) -> int:
        return sum(call.path.endswith("/ports") for call in self.fake.calls if call.method == "GET")


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with FakeCloud() as fake, NeutronService(fake.credentials("member")) as neutron:
        network = await neutron.create_network(NewNetwork("web"))
        port = await create_port(neutron, NewPort(network.id, ()))
        yield Cloud(fake, neutron, Vif(port.id, port.id, port.mac, 1442))


async def test_a_port_that_is_active_is_asked_for_once(cloud: Cloud) -> None:
    cloud.report("ACTIVE")
    clock, before = StepClock(), cloud.asked()
    await ActiveInNeutron(cloud.neutron, clock).wait(cloud.vif)
    assert (clock.slept, cloud.asked() - before) == ([], 1)


async def test_a_port_is_asked_for_ever_more_rarely_until_it_is_active(cloud: Cloud) -> None:
    clock = StepClock(then=lambda number: cloud.report("ACTIVE" if number == 7 else "BUILD"))
    await ActiveInNeutron(cloud.neutron, clock).wait(cloud.vif)
    assert clock.slept == [0.25, 0.5, 1, 2, 4, 4, 4]


async def test_a_port_that_stays_down_is_told_with_what_to_look_at_and_in_time(cloud: Cloud) -> None:
    clock = StepClock()
    with pytest.raises(WiringTimeout, match=f"port {cloud.vif.port_id} ACTIVE within 10 s") as told:
        await ActiveInNeutron(cloud.neutron, clock, timeout=10).wait(cloud.vif)
    assert "neutron-openvswitch-agent" in told.value.remedy
    assert sum(clock.slept) <= 10


async def test_a_port_that_neutron_does_not_have_is_not_waited_for(cloud: Cloud) -> None:
    clock = StepClock()
    with pytest.raises(NotFound, match=NOBODY):
        await ActiveInNeutron(cloud.neutron, clock).wait(Vif(NOBODY, NOBODY, "", 0))
    assert clock.slept == []


async def test_a_neutron_that_is_away_for_a_while_is_waited_for(cloud: Cloud) -> None:
    fault = Fault(method="GET", path="/ports", times=1000)
    cloud.fake.fail(fault)

    def come_back(number: int) -> None:
        if number == 3:
            fault.times = 0
            cloud.report("ACTIVE")

    clock = StepClock(then=come_back)
    await ActiveInNeutron(cloud.neutron, clock).wait(cloud.vif)
    assert clock.slept == [0.25, 0.5, 1]


async def test_a_neutron_that_stays_away_is_the_reason_that_is_told(cloud: Cloud) -> None:
    cloud.fake.fail(Fault(method="GET", path="/ports", times=1000))
    with pytest.raises(WiringTimeout, match="can't be known"):
        await ActiveInNeutron(cloud.neutron, StepClock(), timeout=2).wait(cloud.vif)


async def test_where_there_is_no_switch_nobody_is_waited_for() -> None:
    await NothingToWaitFor().wait(Vif(NOBODY, NOBODY, "", 0))
