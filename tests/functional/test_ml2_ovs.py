"""A host of ML2/OVS: the plug is the same as with OVN, and it is Neutron that says when a port is wired."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.vif.ovs import OvsDataplane, Step
from fairlead.adapters.vif.switched import with_ml2_ovs
from fairlead.agent.clock import SystemClock
from fairlead.model.errors import Unavailable, UnsupportedRequest, WiringTimeout
from fairlead.model.network import NewNetwork, NewPort, VifDetails
from fairlead.model.vif import Vif
from fairlead_lab.fakes import FakeCloud
from tests.functional.conftest import TIMEOUT_S, SandboxMaker, attachment
from tests.functional.namespaces import fairlead_links
from tests.functional.switch import BRIDGE, Switch, until
from tests.functional.test_packets import ping
from tests.ports import create_port

pytestmark = pytest.mark.root

OVS = VifDetails(bridge_name=BRIDGE, datapath_type="netdev")


@dataclass
class Agent:
    """A host whose Neutron is in memory; the test reports as neutron-openvswitch-agent does. No OVN is there."""

    switch: Switch
    cloud: FakeCloud
    dataplane: OvsDataplane
    network_id: str
    neutron: NeutronService
    steps: list[Step] = field(default_factory=list)

    async def port(self, number: int) -> Vif:
        port = await create_port(self.neutron, NewPort(self.network_id, (), mac=attachment(number).mac))
        return replace(attachment(number), id=port.id, port_id=port.id, vif_type="ovs", vif_details=OVS)

    def report(self, vif: Vif, status: str = "ACTIVE") -> None:
        self.cloud.store.resources["ports"][vif.port_id]["status"] = status


@pytest.fixture
async def agent(switch: Switch) -> AsyncIterator[Agent]:
    async with FakeCloud() as cloud, NeutronService(cloud.credentials("member")) as neutron:
        steps: list[Step] = []
        dataplane = with_ml2_ovs(
            neutron,
            SystemClock(),
            bridge="br-of-nobody",
            ovsdb=switch.remote,
            timeout=TIMEOUT_S,
            wiring_timeout=1.0,
            on_step=steps.append,
        )
        network = await neutron.create_network(NewNetwork("web"))
        yield Agent(switch, cloud, dataplane, network.id, neutron, steps)
        await dataplane.close()


async def test_a_port_is_plugged_as_with_ovn_and_wired_when_neutron_calls_it_active(agent: Agent) -> None:
    vif = await agent.port(1)
    applying = asyncio.create_task(agent.dataplane.apply(vif))
    await asyncio.to_thread(until, lambda: vif.host_device in agent.switch.rows("Port"), "not plugged")
    external_ids = agent.switch.rows("Interface")[vif.host_device]["external_ids"]
    assert (external_ids["iface-id"], external_ids["attached-mac"]) == (vif.port_id, vif.mac)
    assert not applying.done()
    agent.report(vif)
    await applying
    counts = {name: sum(step.count for step in agent.steps if step.name == name) for name in ("netlink", "transaction")}
    assert counts == {"netlink": 4, "transaction": 1}


async def test_packets_pass_between_two_such_ports(agent: Agent, sandbox: SandboxMaker) -> None:
    containers = []
    for number in (1, 2):
        vif = await agent.port(number)
        agent.report(vif)
        await agent.dataplane.apply(vif)
        containers.append(sandbox())
        containers[-1].take(vif.sandbox_device, address=f"10.77.0.{number}")
    until(lambda: ping(containers[0], "10.77.0.2"), "no packet passes")
    assert not ping(containers[0], "10.77.0.3")


async def test_a_port_that_never_becomes_active_leaves_nothing(agent: Agent) -> None:
    vif = await agent.port(1)
    with pytest.raises(WiringTimeout, match="ACTIVE within 1 s"):
        await agent.dataplane.apply(vif)
    assert fairlead_links() | agent.switch.fairlead_rows() == set()


async def test_a_port_that_is_not_for_open_vswitch_is_refused_before_anything_is_made(agent: Agent) -> None:
    vif = await agent.port(1)
    refused = {
        UnsupportedRequest: replace(vif, vif_type="vhostuser"),
        Unavailable: replace(vif, vif_type="binding_failed"),
    }
    for error, each in refused.items():
        with pytest.raises(error):
            await agent.dataplane.apply(each)
    assert fairlead_links() | agent.switch.fairlead_rows() == set()
    assert agent.steps == []
