"""Tags and names stay within Neutron's limits and tell hosts apart."""

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.networks.ranges import ranges_without
from fairlead.model.network import AddressRange
from fairlead.model.tags import (
    described_block,
    described_network,
    is_host,
    is_of_another_node,
    member_host,
    member_id,
    member_tag,
    network_name,
    node_tag,
    pool_tag,
    port_name,
)

NODE = "ab" * 6
hosts = st.from_regex(r"[a-z0-9.-]{1,200}", fullmatch=True)


@given(hosts, hosts)
def test_a_members_tag_fits_and_differs_by_host(one: str, other: str) -> None:
    tags = {member_tag(host, NODE, "cd" * 32) for host in (one, other)}
    assert all(len(tag) <= 60 for tag in tags)
    assert len(tags) == len({one, other})


@given(hosts)
def test_a_members_tag_tells_its_node_and_network_however_long_the_hosts_name_is(host: str) -> None:
    tag = member_tag(host, NODE, "cd" * 32)
    assert member_id(tag, "another-name", NODE) == "cd" * 6
    assert not member_id(tag, host, "0" * 12)
    assert is_host(host, member_host(tag))


def test_a_tag_of_before_nodes_had_ids_is_its_hosts() -> None:
    assert member_id("fairlead:host=h1:0123456789ab", "h1", NODE) == "0123456789ab"
    assert not member_id("fairlead:host=h1:0123456789ab", "h2", NODE)
    assert is_host("h1", member_host("fairlead:host=h1:0123456789ab"))


def test_a_long_hosts_tag_has_a_hash_of_the_whole_name() -> None:
    one, other = (member_tag("node-" * 20 + last, NODE, "cd" * 32) for last in "12")
    assert len(one) == len(other) == 60
    assert one.startswith("fairlead:host=node-no~")
    assert one != other


def test_a_port_of_another_node_is_told_by_its_tags_alone() -> None:
    assert is_of_another_node(["fairlead", "fairlead:node=000000000000"], NODE)
    assert not is_of_another_node(["fairlead", node_tag(NODE)], NODE)
    assert not is_of_another_node(["fairlead"], NODE)


def test_a_description_of_somebody_elses_tells_nothing() -> None:
    assert described_network("Web server") is None
    assert described_block("Container network web") is None
    assert described_block("range 10.20.0.0/24") is None


def test_the_longest_range_fits_into_a_tag() -> None:
    assert len(pool_tag(ip_network("fd00:1111:2222:3333:4444:5555:6666:7777/128"))) <= 60


def test_names_are_made_for_operators_to_read() -> None:
    assert network_name(ip_network("10.20.0.0/24")) == "fairlead-10.20.0.0-24"
    assert port_name("h1", "0123456789abcdef") == "h1/0123456789ab"
    assert port_name("h1", "") == "h1/waiting"


@given(st.sets(st.integers(min_value=0, max_value=31), max_size=12))
def test_allocation_pools_hold_every_host_address_but_the_taken_ones(taken: set[int]) -> None:
    cidr = ip_network("10.0.0.0/27")
    base = int(cidr.network_address)
    ranges = ranges_without(cidr, {ip_address(base + number) for number in taken})
    given_out = {number for number in range(32) if any(ip_address(base + number) in one for one in ranges)}
    assert given_out == set(range(1, 31)) - taken
    assert all(int(one.first) <= int(one.last) for one in ranges)


def test_an_ipv6_range_keeps_its_last_address() -> None:
    ranges = ranges_without(ip_network("fd00::/126"), {ip_address("fd00::1")})
    assert ranges == (AddressRange(ip_address("fd00::2"), ip_address("fd00::3")),)
