"""Attachments by their keys, as a door calls for them that moves no device itself: the same in every mode."""

from ipaddress import ip_address, ip_network

import pytest

from fairlead.core.attachments.service import AttachmentService
from fairlead.core.networks.spec import NetworkSpec, RangeSpec
from fairlead.core.warm.provisioning import make_ports
from fairlead.model.attachment import AddressRequest, AttachmentKey, AttachmentRequest
from fairlead.model.errors import AddressInUse, CloudUnavailable, Conflict, InvalidInput, NotFound, WiringTimeout
from fairlead.model.records import Allocation, Use
from fairlead_lab.fakes import FakeCloud, Fault
from tests.unit.blocks.conftest import Launch
from tests.unit.blocks.conftest import launch as launch  # noqa: PLC0414  a fixture
from tests.unit.blocks.conftest import site as site  # noqa: PLC0414  a fixture
from tests.unit.blocks.nodes import Instance
from tests.unit.docker.conftest import cloud as cloud  # noqa: PLC0414  a fixture
from tests.unit.docker.conftest import h1 as h1  # noqa: PLC0414  a fixture
from tests.unit.docker.dockerd import Host

NETNS = "/run/netns/c1"
KEY = AttachmentKey("c1", "web", "eth0")
SPEC = NetworkSpec("web", (RangeSpec(ip_network("10.60.0.0/24")), RangeSpec(ip_network("fd00:60::/64"))))


@pytest.fixture(params=["ports", "blocks"])
async def node(request: pytest.FixtureRequest, h1: Host, launch: Launch) -> Host | Instance:
    """A node on the network, in a mode of either kind."""
    chosen: Host | Instance = h1 if request.param == "ports" else await launch(1)
    await chosen.core.networks.join(SPEC)
    return chosen


def attachments(node: Host | Instance) -> AttachmentService:
    return node.core.attachments


async def test_attach_wires_and_finishes_the_sandbox_and_detach_leaves_nothing(node: Host | Instance) -> None:
    attached = await attachments(node).attach(KEY, AttachmentRequest(netns=NETNS))
    assert {one.version for one in attached.config.addresses} == {4, 6}
    assert node.sandboxes.configs == {(NETNS, "eth0"): attached.config}
    assert len(node.dataplane.attachments) == 1
    assert {route.destination.version for route in attached.config.routes if route.is_default} == {4, 6}
    await attachments(node).detach(KEY)
    assert not node.dataplane.attachments
    with pytest.raises(NotFound):
        attachments(node).describe(KEY)


async def test_attaching_twice_gives_the_same_and_makes_nothing_more(node: Host | Instance) -> None:
    first = await attachments(node).attach(KEY, AttachmentRequest(netns=NETNS))
    assert await attachments(node).attach(KEY, AttachmentRequest(netns=NETNS)) == first
    assert len(node.dataplane.attachments) == 1


async def test_what_is_detached_is_detached_again_without_a_word(node: Host | Instance) -> None:
    await attachments(node).detach(KEY)
    await attachments(node).attach(KEY, AttachmentRequest())
    await attachments(node).detach(KEY)
    await attachments(node).detach(KEY)
    assert not node.dataplane.attachments


async def test_addresses_that_were_reserved_are_the_attachments(node: Host | Instance) -> None:
    four = await attachments(node).reserve("web", AddressRequest(4))
    six = await attachments(node).reserve("web", AddressRequest(6))
    attached = await attachments(node).attach(KEY, AttachmentRequest((four.ip, six.ip)))
    assert attached.config.addresses == (four, six)
    other = await attachments(node).attach(AttachmentKey("c2", "web", "eth0"), AttachmentRequest())
    assert not {one.ip for one in other.config.addresses} & {four.ip, six.ip}


async def test_an_address_that_another_attachment_has_is_refused(node: Host | Instance) -> None:
    attached = await attachments(node).attach(KEY, AttachmentRequest())
    taken = attached.config.addresses[0].ip
    with pytest.raises(AddressInUse):
        await attachments(node).reserve("web", AddressRequest(4, taken))
    with pytest.raises(AddressInUse):
        await attachments(node).prepare(AttachmentKey("c2", "web", "eth0"), AttachmentRequest((taken,)))


async def test_one_owner_has_two_interfaces_on_one_network(node: Host | Instance) -> None:
    keys = [AttachmentKey("c1", "web", name) for name in ("eth0", "eth1")]
    given = [(await attachments(node).prepare(key, AttachmentRequest())).addresses for key in keys]
    assert not set(given[0]) & set(given[1])
    await attachments(node).detach(keys[0])
    assert attachments(node).describe(keys[1]).addresses == given[1]


async def test_what_is_not_as_attached_is_said(node: Host | Instance) -> None:
    assert await attachments(node).verify(KEY, NETNS) == ["c1 is not attached to network web"]
    await attachments(node).attach(KEY, AttachmentRequest(netns=NETNS))
    assert await attachments(node).verify(KEY, NETNS) == []
    node.dataplane.attachments.clear()
    node.sandboxes.configs.clear()
    plugged, inside = await attachments(node).verify(KEY, NETNS)
    assert plugged.endswith("is not plugged")
    assert inside == f"eth0 is not in {NETNS}"


async def test_attachments_that_nobody_wants_are_collected(node: Host | Instance) -> None:
    keys = [AttachmentKey(f"c{number}", "web", "eth0") for number in range(3)]
    for key in keys:
        await attachments(node).attach(key, AttachmentRequest())
    assert await attachments(node).collect("web", {keys[1]}) == [keys[0], keys[2]]
    assert len(node.dataplane.attachments) == 1
    assert await attachments(node).collect("web", {keys[1]}) == []


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (AddressRequest(4, ip_address("10.99.0.1")), InvalidInput),
        (AddressRequest(5), NotFound),
    ],
)
async def test_what_no_range_has_is_refused(
    node: Host | Instance, request_: AddressRequest, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await attachments(node).reserve("web", request_)


async def test_a_failed_preparation_reserves_nothing(cloud: FakeCloud, h1: Host) -> None:
    await h1.core.networks.join(SPEC)
    with pytest.raises(NotFound):
        await attachments(h1).attach(AttachmentKey("c1", "elsewhere", "eth0"), AttachmentRequest())
    h1.dataplane.broken = WiringTimeout("not wired")
    with pytest.raises(WiringTimeout):
        await attachments(h1).attach(KEY, AttachmentRequest())
    h1.dataplane.broken = None
    await attachments(h1).detach(KEY)
    assert not h1.node.port_table.in_use("web", Use.RESERVED, Use.ATTACHED)


async def test_the_devices_of_an_attachment_are_removed_before_detach_returns(h1: Host) -> None:
    await h1.core.networks.join(SPEC)
    await attachments(h1).attach(KEY, AttachmentRequest(netns=NETNS))
    h1.dataplane.away |= set(h1.dataplane.attachments)
    await attachments(h1).detach(KEY)
    assert not h1.dataplane.attachments


def fixed_ips(cloud: FakeCloud) -> list[set[str]]:
    """The addresses of each port that Fairlead made, as Neutron has them."""
    ports = [one for one in cloud.store.resources["ports"].values() if "fairlead" in one["tags"]]
    return [{fixed["ip_address"] for fixed in port["fixed_ips"]} for port in ports]


async def test_where_two_starts_cross_each_gets_the_addresses_that_it_was_told(cloud: FakeCloud, h1: Host) -> None:
    await h1.core.networks.join(SPEC)
    fours = [(await attachments(h1).reserve("web", AddressRequest(4))).ip for _ in range(2)]
    sixes = [(await attachments(h1).reserve("web", AddressRequest(6))).ip for _ in range(2)]
    wanted = {"c1": (fours[0], sixes[1]), "c2": (fours[1], sixes[0])}
    for owner, addresses in wanted.items():
        given = await attachments(h1).prepare(AttachmentKey(owner, "web"), AttachmentRequest(addresses))
        assert set(given.addresses) == set(addresses)
    assert sorted(map(sorted, fixed_ips(cloud))) == sorted(sorted(map(str, one)) for one in wanted.values())
    for owner in wanted:
        await attachments(h1).detach(AttachmentKey(owner, "web"))
    await h1.behind()
    assert not fixed_ips(cloud)


async def test_an_address_that_a_started_one_has_is_not_moved_to_another(h1: Host) -> None:
    await h1.core.networks.join(SPEC)
    fours = [(await attachments(h1).reserve("web", AddressRequest(4))).ip for _ in range(2)]
    sixes = [(await attachments(h1).reserve("web", AddressRequest(6))).ip for _ in range(2)]
    await attachments(h1).prepare(AttachmentKey("c1", "web"), AttachmentRequest((fours[0], sixes[0])))
    with pytest.raises(AddressInUse):
        await attachments(h1).prepare(AttachmentKey("c2", "web"), AttachmentRequest((fours[1], sixes[0])))


async def test_an_address_of_the_second_family_may_be_one_that_nobody_reserved(cloud: FakeCloud, h1: Host) -> None:
    await h1.core.networks.join(SPEC)
    four, chosen = (await attachments(h1).reserve("web", AddressRequest(4))).ip, ip_address("fd00:60::77")
    given = await attachments(h1).prepare(KEY, AttachmentRequest((four, chosen)))
    assert set(given.addresses) == {four, chosen}
    assert fixed_ips(cloud) == [{str(four), str(chosen)}]


async def pooled(h1: Host) -> list[Allocation]:
    """Join with three ports that wait."""
    await h1.core.networks.join(SPEC)
    await make_ports(h1.node, h1.core.networks.get("web"), count=3)
    return h1.node.port_table.in_use("web", Use.FRESH)


async def test_an_address_that_waits_here_is_given_to_whoever_chooses_it(cloud: FakeCloud, h1: Host) -> None:
    *_, last = await pooled(h1)
    posts = cloud.count("POST", "/ports")
    chosen = last.addresses[0]
    assert (await attachments(h1).reserve("web", AddressRequest(chosen.version, chosen))).ip == chosen
    assert cloud.count("POST", "/ports") == posts


async def test_a_waiting_port_gives_its_second_address_up_to_whoever_chooses_it(cloud: FakeCloud, h1: Host) -> None:
    *_, last = await pooled(h1)
    chosen = last.address(6)
    await attachments(h1).reserve("web", AddressRequest(4))
    assert chosen is not None
    assert (await attachments(h1).reserve("web", AddressRequest(6, chosen))).ip == chosen
    assert sum(str(chosen) in one for one in fixed_ips(cloud)) == 1
    assert len(fixed_ips(cloud)) == 2


async def test_an_address_whose_port_is_being_deleted_is_had_again(cloud: FakeCloud, h1: Host) -> None:
    await h1.core.networks.join(SPEC)
    chosen = ip_address("10.60.0.77")
    await attachments(h1).reserve("web", AddressRequest(4, chosen))
    await attachments(h1).release("web", chosen)
    assert h1.node.port_table.in_use("web", Use.LEAVING)
    assert (await attachments(h1).reserve("web", AddressRequest(4, chosen))).ip == chosen
    assert len(fixed_ips(cloud)) == 1


async def test_a_second_address_needs_a_first_one(h1: Host) -> None:
    await h1.core.networks.join(SPEC)
    with pytest.raises(Conflict):
        await attachments(h1).reserve("web", AddressRequest(6))


async def test_what_a_failed_preparation_reserved_is_released(cloud: FakeCloud, h1: Host) -> None:
    await h1.core.networks.join(SPEC)
    cloud.fail(Fault(method="DELETE", path="^/ports/", times=1, status=503))
    with pytest.raises(CloudUnavailable):
        # Its own MAC takes a port made anew, for which the first must go.
        await attachments(h1).prepare(KEY, AttachmentRequest(mac="02:00:00:00:60:01"))
    assert not h1.node.port_table.in_use("web", Use.RESERVED, Use.ATTACHED)
