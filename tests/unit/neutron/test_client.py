"""What the adapter does when Neutron answers late, oddly or not at all."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from fairlead.adapters.neutron import NeutronService, reading
from fairlead.adapters.neutron.client import LONGEST_PAUSE, _retry_after
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.errors import (
    AuthenticationFailed,
    CloudUnavailable,
    Exhausted,
    FairleadError,
    InvalidInput,
    PermissionDenied,
)
from fairlead.model.network import NewNetwork, NewPort, NewSubnet
from fairlead_lab.fakes import FakeCloud, Fault
from fairlead_lab.fakes.record import How
from tests.ports import create_port
from tests.unit.docker.dockerd import DriverError, Host

NEW = NewNetwork("web")


@pytest.mark.parametrize("how", [How.DISCONNECT, How.TRUNCATE])
async def test_a_read_whose_connection_breaks_is_sent_once_more(
    cloud: FakeCloud, neutron: NeutronService, how: How
) -> None:
    cloud.fail(Fault(how, "GET"))
    assert await neutron.find_networks() == []
    assert cloud.count("GET", "/networks") == 2


async def test_a_read_whose_connections_keep_breaking_fails_soon(cloud: FakeCloud, neutron: NeutronService) -> None:
    cloud.fail(Fault(How.DISCONNECT, "GET", times=100))
    with pytest.raises(CloudUnavailable, match=r"http://127\.0\.0\.1:\d+/network/v2\.0 closed the connection"):
        await neutron.find_networks()
    assert cloud.count("GET", "/networks") == 2


@pytest.mark.parametrize("how", [How.DISCONNECT, How.LOSE, How.TRUNCATE])
async def test_a_creation_whose_connection_breaks_is_never_sent_twice(
    cloud: FakeCloud, neutron: NeutronService, how: How
) -> None:
    cloud.fail(Fault(how, "POST"))
    with pytest.raises(CloudUnavailable):
        await neutron.create_network(NEW)
    assert cloud.count("POST", "/networks") == 1


async def test_a_deletion_whose_answer_is_lost_is_sent_again_and_succeeds(
    cloud: FakeCloud, neutron: NeutronService
) -> None:
    network = await neutron.create_network(NEW)
    cloud.fail(Fault(How.LOSE, "DELETE"))
    await neutron.delete_network(network.id, revision=network.revision)
    assert [call.status for call in cloud.calls if call.method == "DELETE"] == [0, 404]


async def test_a_token_that_neutron_refuses_is_replaced_once(cloud: FakeCloud, neutron: NeutronService) -> None:
    await neutron.find_networks()
    cloud.identity.expire_tokens()
    assert await neutron.find_networks() == []
    assert [call.status for call in cloud.calls] == [200, 401, 200]
    assert sum(call.method == "POST" for call in cloud.identity_calls) == 2


async def test_many_who_find_their_token_refused_ask_keystone_once(cloud: FakeCloud, neutron: NeutronService) -> None:
    await neutron.find_networks()
    cloud.identity.expire_tokens()
    await asyncio.gather(*(neutron.find_networks() for _ in range(20)))
    assert sum(call.method == "POST" for call in cloud.identity_calls) == 2


async def test_a_new_token_that_is_refused_too_is_an_authentication_failure(
    cloud: FakeCloud, neutron: NeutronService
) -> None:
    cloud.fail(Fault(status=401, times=100))
    with pytest.raises(AuthenticationFailed):
        await neutron.find_networks()
    assert cloud.count() == 2


@pytest.mark.parametrize("status", [429, 503])
async def test_a_creation_waits_as_long_as_retry_after_says(
    cloud: FakeCloud, neutron: NeutronService, status: int
) -> None:
    cloud.fail(Fault(method="POST", status=status, headers={"Retry-After": "1"}))
    started = time.monotonic()
    await neutron.create_network(NEW)
    assert 1.0 <= time.monotonic() - started < 2.0
    assert cloud.count("POST", "/networks") == 2


async def test_retry_after_may_be_a_date(cloud: FakeCloud, neutron: NeutronService) -> None:
    cloud.fail(Fault(status=503, headers={"Retry-After": formatdate(time.time() + 1, usegmt=True)}))
    assert await neutron.find_networks() == []


@pytest.mark.parametrize("value", ["3600", "", "soon"])
async def test_a_pause_beyond_the_limit_or_an_odd_one_is_not_waited_for(
    cloud: FakeCloud, neutron: NeutronService, value: str
) -> None:
    cloud.fail(Fault(status=503, headers={"Retry-After": value}))
    started = time.monotonic()
    with pytest.raises(CloudUnavailable, match="503"):
        await neutron.find_networks()
    assert time.monotonic() - started < 1.0
    assert cloud.count() == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_that_is_not_waited_for_is_told(cloud: FakeCloud, neutron: NeutronService, status: int) -> None:
    cloud.fail(Fault(status=status, headers={"Retry-After": "120"}))
    with pytest.raises(CloudUnavailable) as caught:
        await neutron.find_networks()
    assert caught.value.retry_after == 120.0


DATE = "Sat, 28 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "date", "pause"),
    [
        ("604800", DATE, LONGEST_PAUSE),
        ("9" * 400, DATE, LONGEST_PAUSE),
        ("Sat, 05 Dec 2026 08:00:00 GMT", DATE, LONGEST_PAUSE),
        ("Sat, 28 Nov 2026 08:00:40 GMT", DATE, 40.0),
        ("Sat, 28 Nov 2026 07:00:00 GMT", DATE, 0.0),
        ("Sat, 28 Nov 2026 08:00:40 GMT", "", None),
        ("Sat, 28 Nov 2026 08:00:40 GMT", "today", None),
        ("Sat, 28 Nov 9999999 08:00:40 GMT", DATE, None),
        ("-5", DATE, None),
        ("1e9", DATE, None),
        ("²", DATE, None),
        ("nan", DATE, None),
        ("", DATE, None),
    ],
)
def test_a_pause_is_told_by_the_servers_clock_and_is_never_longer_than_the_longest(
    value: str, date: str, pause: float | None
) -> None:
    assert _retry_after({"Retry-After": value, "Date": date}) == pause


async def test_a_retry_after_of_a_week_does_not_stop_what_is_done_behind_for_a_week(
    cloud: FakeCloud, tmp_path: Path
) -> None:
    host = Host("h1", cloud.credentials("member"), tmp_path, PoolLimits(floor=3, cool_down=10.0))
    await host.start()
    try:
        network = await host.network_create("10.20.0.0/24")
        await host.behind(10)
        cloud.fail(Fault(method="POST", path="/ports", status=503, headers={"Retry-After": "604800"}))
        for _ in range(3):
            await host.run(network)
        with suppress(DriverError):
            await host.run(network)
        await host.behind(2 * LONGEST_PAUSE)
        assert host.core.warm.waiting(network.id) >= 3
        await host.run(network)
    finally:
        await host.stop()


async def test_a_pause_that_is_asked_for_too_often_is_told(cloud: FakeCloud, neutron: NeutronService) -> None:
    cloud.fail(Fault(status=429, times=100, headers={"Retry-After": "0"}))
    with pytest.raises(CloudUnavailable, match="limits the rate") as caught:
        await neutron.find_networks()
    assert caught.value.retry_after == 0.0
    assert cloud.count() == 4


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=500, headers={"Retry-After": "9"})])
async def test_where_no_pause_is_asked_for_none_is_told(
    cloud: FakeCloud, neutron: NeutronService, fault: Fault
) -> None:
    cloud.fail(replace(fault))
    with pytest.raises(CloudUnavailable) as caught:
        await neutron.find_networks()
    assert caught.value.retry_after is None


async def test_an_answer_that_never_comes_is_waited_for_no_longer_than_the_limit(cloud: FakeCloud) -> None:
    cloud.fail(Fault(How.HANG, times=100))
    async with NeutronService(cloud.credentials(), total_timeout=0.5) as neutron:
        started = time.monotonic()
        with pytest.raises(CloudUnavailable, match=r"Neutron at .* does not answer within 0\.5 s"):
            await neutron.create_network(NEW)
        assert time.monotonic() - started < 1.0


async def test_pauses_and_answers_together_stay_within_the_limit(cloud: FakeCloud) -> None:
    cloud.latency = 0.4
    cloud.fail(Fault(status=503, times=100, headers={"Retry-After": "0"}))
    async with NeutronService(cloud.credentials(), total_timeout=1.0) as neutron:
        started = time.monotonic()
        with pytest.raises(CloudUnavailable):
            await neutron.find_networks()
        assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_servers_error_names_neutron_and_its_status(
    cloud: FakeCloud, neutron: NeutronService, status: int
) -> None:
    cloud.fail(Fault(status=status))
    with pytest.raises(CloudUnavailable, match=rf"/network/v2\.0 answers HTTP {status}"):
        await neutron.find_networks()


@pytest.mark.parametrize("status", [301, 404, 418])
async def test_an_answer_that_is_not_neutrons_is_an_error_with_its_status(
    cloud: FakeCloud, neutron: NeutronService, status: int
) -> None:
    cloud.fail(Fault(status=status, headers={"Location": "/elsewhere"}))
    with pytest.raises(FairleadError, match=str(status)):
        await neutron.find_networks()


async def test_an_answer_that_is_not_json_is_not_neutrons(cloud: FakeCloud, neutron: NeutronService) -> None:
    cloud.fail(Fault(How.GARBAGE, "GET"))
    with pytest.raises(CloudUnavailable, match="is not Neutron's"):
        await neutron.find_networks()
    cloud.fail(Fault(How.GARBAGE, "POST"))
    with pytest.raises(CloudUnavailable, match="is not Neutron's"):
        await neutron.create_network(NEW)


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (503, "NoNetworkAvailable", Exhausted),
        (400, "SomethingNew", InvalidInput),
        (403, "PolicyNotAuthorized", PermissionDenied),
        (500, "HTTPInternalServerError", CloudUnavailable),
    ],
)
async def test_refusals_that_a_healthy_cloud_seldom_gives_are_known(
    cloud: FakeCloud, neutron: NeutronService, status: int, kind: str, expected: type[FairleadError]
) -> None:
    cloud.fail(Fault(status=status, kind=kind, message="This is why."))
    with pytest.raises(expected, match=r"This is why(:|$)"):
        await neutron.create_network(NEW)


async def test_each_request_carries_the_callers_request_id(cloud: FakeCloud) -> None:
    async with NeutronService(cloud.credentials(), request_id=lambda: "req-from-docker") as neutron:
        await neutron.find_networks()
    assert {call.request_id for call in cloud.calls} == {"req-from-docker"}


async def test_each_exchange_is_counted_without_ids_in_its_path(cloud: FakeCloud) -> None:
    seen: list[tuple[str, str, int]] = []

    def count(method: str, path: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        seen.append((method, path, status))

    async with NeutronService(cloud.credentials(), on_call=count) as neutron:
        await neutron.find_networks()
        network = await neutron.create_network(NEW)
        await neutron.tag_network(network.id, "claimed")
        await neutron.delete_network(network.id)
        await neutron.delete_network(network.id)
        cloud.fail(Fault(How.DISCONNECT, "POST"))
        with pytest.raises(CloudUnavailable):
            await neutron.create_network(NEW)
    assert seen == [
        ("GET", "/networks", 200),
        ("POST", "/networks", 201),
        ("PUT", "/networks/{id}/tags/{tag}", 201),
        ("DELETE", "/networks/{id}", 204),
        ("DELETE", "/networks/{id}", 404),
        ("POST", "/networks", 0),
    ]


async def test_a_closed_port_is_named_with_the_url(cloud: FakeCloud) -> None:
    async with NeutronService(cloud.credentials()) as neutron:
        await neutron.find_networks()
        await cloud.stop()
        with pytest.raises(
            CloudUnavailable, match=r"Neutron at http://127\.0\.0\.1:\d+/network/v2\.0 can't be reached"
        ):
            await neutron.find_networks()


@pytest.mark.parametrize("call", ["tag_network", "untag_network"])
async def test_trouble_with_a_tag_is_not_taken_for_a_network_that_is_gone(
    cloud: FakeCloud, neutron: NeutronService, call: str
) -> None:
    network = await neutron.create_network(NEW)
    cloud.fail(Fault(path="/tags/", status=500))
    with pytest.raises(CloudUnavailable, match="HTTP 500"):
        await getattr(neutron, call)(network.id, "fairlead")


def test_an_answer_that_lacks_what_was_asked_for_is_not_neutrons() -> None:
    with pytest.raises(msgspec.ValidationError, match="the answer has no 'quota'"):
        reading.read_quota(b'{"quotas": {}}')


async def test_to_close_while_keystone_is_asked_waits_for_no_answer(cloud: FakeCloud) -> None:
    cloud.fail(Fault(How.HANG, service="identity", times=100))
    async with NeutronService(cloud.credentials(), connect_timeout=0.2, total_timeout=0.5) as neutron:
        asking = asyncio.create_task(neutron.find_networks())
        await asyncio.sleep(0)  # the question is on its way
        asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_cancelled_call_leaves_nothing_open(cloud: FakeCloud) -> None:
    cloud.fail(Fault(How.HANG))
    async with NeutronService(cloud.credentials()) as neutron:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await neutron.find_networks()
        assert await neutron.find_networks() == []


async def test_a_port_that_can_not_be_tagged_is_deleted_again(cloud: FakeCloud, neutron: NeutronService) -> None:
    cloud.neutron.extensions.discard("tag-ports-during-bulk-creation")
    network = await neutron.create_network(NEW)
    cloud.fail(Fault(method="PUT", path="/tags", status=500))
    with pytest.raises(CloudUnavailable):
        await create_port(neutron, NewPort(network.id, (), tags=frozenset({"fairlead"})))
    assert await neutron.find_ports(network_id=network.id) == []


async def test_a_network_or_subnet_that_can_not_be_tagged_is_deleted_again(
    cloud: FakeCloud, neutron: NeutronService
) -> None:
    network = await neutron.create_network(NEW)
    cloud.fail(Fault(method="PUT", path="/tags", status=500, times=2))
    with pytest.raises(CloudUnavailable):
        await neutron.create_network(NewNetwork("second", tags=frozenset({"fairlead"})))
    with pytest.raises(CloudUnavailable):
        await neutron.create_subnet(
            NewSubnet(network.id, ip_network("10.0.0.0/24"), None, tags=frozenset({"fairlead"}))
        )
    assert [found.name for found in await neutron.find_networks()] == ["web"]
    assert await neutron.find_subnets(network.id) == []


async def test_all_pages_of_a_list_are_read(cloud: FakeCloud, neutron: NeutronService) -> None:
    cloud.neutron.page_size = 3
    for number in range(7):
        await neutron.create_network(NewNetwork(f"web {number}"))
    assert [found.name for found in await neutron.find_networks()] == [f"web {number}" for number in range(7)]
    assert cloud.count("GET", "/networks") == 3


async def test_no_more_calls_are_made_than_needed(cloud: FakeCloud, neutron: NeutronService) -> None:
    tags = frozenset({"fairlead"})
    network = await neutron.create_network(NewNetwork("web", tags=tags))
    subnet = await neutron.create_subnet(NewSubnet(network.id, ip_network("10.0.0.0/24"), None, tags=tags))
    port = await create_port(neutron, NewPort(network.id, (), tags=tags))
    await neutron.delete_port(port.id)
    await neutron.delete_subnet(subnet.id)
    await neutron.delete_network(network.id)
    assert [(call.method, call.path.split("/")[1], call.path.endswith("/tags")) for call in cloud.calls] == [
        ("POST", "networks", False),
        ("PUT", "networks", True),
        ("GET", "networks", False),
        ("POST", "subnets", False),
        ("PUT", "subnets", True),
        ("POST", "ports", False),
        ("DELETE", "ports", False),
        ("DELETE", "subnets", False),
        ("DELETE", "networks", False),
    ]
