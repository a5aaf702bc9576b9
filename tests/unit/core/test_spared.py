"""What a range leaves to those who choose addresses, and how it is given out in need."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from fairlead.core.networks.spared import MOST, given_out, grown, spare_tags, upper_part
from fairlead.model.network import AddressRange, Subnet


def new(cidr: str, *taken: str, gateway: str) -> Subnet:
    pools, least = upper_part(ip_network(cidr), ip_address(gateway), [ip_address(one) for one in taken])
    return Subnet(
        "s", "n", ip_network(cidr), ip_address(gateway), allocation_pools=pools, tags=spare_tags(least) | {"fairlead"}
    )


def written(ranges: tuple[AddressRange, ...]) -> list[str]:
    return [f"{one.first}-{one.last}" for one in ranges]


@pytest.mark.parametrize(
    ("cidr", "taken", "gateway", "pools", "spares"),
    [
        ("10.20.0.0/24", (), "10.20.0.1", ["10.20.0.128-10.20.0.254"], "10.20.0.2"),
        ("10.20.0.0/24", (), "10.20.0.254", ["10.20.0.128-10.20.0.253"], "10.20.0.1"),
        ("10.20.0.0/24", ("10.20.0.200",), "10.20.0.1", ["10.20.0.128-10.20.0.199", "10.20.0.201-10.20.0.254"],
         "10.20.0.2"),
        ("10.20.0.0/24", ("10.20.0.50",), "10.20.0.1", ["10.20.0.128-10.20.0.254"], "10.20.0.51"),
        ("10.20.0.0/29", (), "10.20.0.1", ["10.20.0.4-10.20.0.6"], "10.20.0.2"),
        ("10.20.0.0/29", ("10.20.0.2", "10.20.0.3"), "10.20.0.1", ["10.20.0.4-10.20.0.6"], ""),
        ("10.20.0.0/28", ("10.20.0.2",), "10.20.0.3", ["10.20.0.8-10.20.0.14"], "10.20.0.4"),
        ("10.20.0.0/30", (), "10.20.0.1", ["10.20.0.2-10.20.0.2"], ""),
        ("10.20.0.0/31", (), "10.20.0.1", [], ""),
        ("10.20.0.0/32", (), "10.20.0.0", [], ""),
        ("fd00::/64", (), "fd00::1", ["fd00::1:1-fd00::ffff:ffff:ffff:ffff"], "fd00::2"),
        ("fd00::/126", (), "fd00::1", ["fd00::2-fd00::3"], ""),
        ("fd00::/128", (), "fd00::", [], ""),
    ],
)  # fmt: skip
def test_the_lower_part_is_spared(
    cidr: str, taken: tuple[str, ...], gateway: str, pools: list[str], spares: str
) -> None:
    subnet = new(cidr, *taken, gateway=gateway)
    assert written(subnet.allocation_pools) == pools
    assert subnet.tags == {"fairlead", *([f"fairlead:spares={spares}"] if spares else [])}


@pytest.mark.parametrize("cidr", ["10.20.0.0/29", "10.20.0.0/24", "10.20.0.0/16"])
@pytest.mark.parametrize("gateway", [1, 2, 3, -2])
def test_pools_grow_downwards_until_every_address_is_in_them(cidr: str, gateway: int) -> None:
    range_ = ip_network(cidr)
    subnet = new(cidr, gateway=str(range_[gateway]))
    everything = given_out(subnet)
    while pools := grown(subnet):
        assert min(int(one.first) for one in pools) < min(int(one.first) for one in subnet.allocation_pools)
        assert not any(subnet.gateway in one for one in pools if subnet.gateway)
        subnet = replace(subnet, allocation_pools=pools)
        assert given_out(subnet)[-1].last == everything[-1].last
    assert sum(one.size for one in subnet.allocation_pools) == range_.num_addresses - 3


def test_pools_do_not_grow_over_what_nobody_is_given() -> None:
    subnet = new("10.20.0.0/24", "10.20.0.50", gateway="10.20.0.1")
    while pools := grown(subnet):
        subnet = replace(subnet, allocation_pools=pools)
    assert written(subnet.allocation_pools) == ["10.20.0.51-10.20.0.254"]


def test_pools_that_fairlead_did_not_set_do_not_grow() -> None:
    subnet = replace(new("10.20.0.0/24", gateway="10.20.0.1"), tags=frozenset({"fairlead"}))
    assert grown(subnet) == ()
    assert given_out(subnet) == subnet.allocation_pools
    assert grown(replace(subnet, tags=frozenset({"fairlead:spares=nonsense"}))) == ()


def test_no_more_than_so_many_are_spared_of_a_large_range() -> None:
    subnet = new("10.0.0.0/8", gateway="10.0.0.1")
    assert subnet.allocation_pools[0].first == ip_address("10.0.0.1") + MOST
