"""Addresses that are left to people: the lower part of a range whose subnet Fairlead makes.

Neutron picks out of a subnet's allocation pools, while any address of the range may be chosen. So the pools begin
half-way up, and what is picked or made ahead never takes an address that people write down. Once they are used up they
grow downwards, by half of what is left, for all hosts: the lowest addresses go last, and none is lost. A tag on the
subnet tells down to which address.
"""

from collections.abc import Collection, Iterable

from fairlead.core.networks.ranges import ranges_without
from fairlead.model.network import AddressRange, IPAddress, IPNetwork, Subnet
from fairlead.model.tags import spare_tag, spared_from

MOST = 1 << 16
"""Addresses that are spared at most: half of an IPv6 range would only make long addresses."""


def spared(addresses: int) -> int:
    """Say how many of so many addresses are spared, the lowest ones."""
    return min(addresses // 2, MOST)


def upper_part(
    cidr: IPNetwork, gateway: IPAddress, excluded: Collection[IPAddress]
) -> tuple[tuple[AddressRange, ...], IPAddress | None]:
    """Return the pools of a new subnet, and the address down to which they may grow; None: nothing is spared.

    They never grow over what is excluded: who grows them does not know of it, as of the gateway.
    """
    hosts, ranges = ranges_without(cidr, set()), ranges_without(cidr, {gateway, *excluded})
    start = hosts[0].first + spared(hosts[0].size) if hosts else cidr[0]
    upper = _from(start, ranges)
    below = [one for one in excluded if int(one) < int(start)]
    least = max(below, key=int) + 1 if below else hosts[0].first if hosts else start
    if least == gateway:
        least += 1
    return (upper, least) if upper and int(least) < int(start) else (ranges, None)


def grown(subnet: Subnet) -> tuple[AddressRange, ...]:
    """Return the pools of a subnet with half of what is spared; empty where nothing is."""
    least = spared_from(subnet.tags)
    if least is None or not subnet.allocation_pools:
        return ()
    lowest, *others = sorted(subnet.allocation_pools, key=lambda pool: int(pool.first))
    left = int(lowest.first) - int(least)
    if left <= 0:
        return ()
    first = lowest.first - (left + 1) // 2
    if first == subnet.gateway:
        first -= 1
    added = AddressRange(first, lowest.first - 1)
    if subnet.gateway is not None and subnet.gateway in added:
        return (*_without(added, subnet.gateway), lowest, *others)
    return (AddressRange(first, lowest.last), *others)


def given_out(subnet: Subnet) -> tuple[AddressRange, ...]:
    """Return the ranges out of which addresses of a subnet are picked, now or in need."""
    least = spared_from(subnet.tags)
    lowest = min((pool.first for pool in subnet.allocation_pools), key=int, default=None)
    if least is None or lowest is None or int(least) >= int(lowest):
        return subnet.allocation_pools
    return (AddressRange(least, lowest - 1), *subnet.allocation_pools)


def spare_tags(least: IPAddress | None) -> frozenset[str]:
    """Return the tags of a subnet that spares addresses down to one."""
    return frozenset({spare_tag(least)} if least else ())


def _from(start: IPAddress, ranges: Iterable[AddressRange]) -> tuple[AddressRange, ...]:
    return tuple(
        AddressRange(max(one.first, start, key=int), one.last) for one in ranges if int(one.last) >= int(start)
    )


def _without(added: AddressRange, gateway: IPAddress) -> tuple[AddressRange, ...]:
    below, above = AddressRange(added.first, gateway - 1), AddressRange(gateway + 1, added.last)
    return tuple(one for one in (below, above) if one.size > 0)
