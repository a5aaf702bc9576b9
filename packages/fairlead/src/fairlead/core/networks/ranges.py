"""Ranges of a subnet: its first address, and what is left of it without some."""

from fairlead.model.network import AddressRange, IPAddress, IPNetwork


def first_address(cidr: IPNetwork) -> IPAddress:
    """Return the first address that a host may have."""
    return cidr.network_address + (0 if cidr.num_addresses == 1 else 1)


def ranges_without(cidr: IPNetwork, taken: set[IPAddress], part: IPNetwork | None = None) -> tuple[AddressRange, ...]:
    """Return the ranges of host addresses, of a part or of all, that leave out the taken ones."""
    part = part or cidr
    last_host = int(cidr.broadcast_address) - (1 if cidr.version == 4 else 0)
    first = max(int(cidr.network_address) + 1, int(part.network_address))
    last = min(last_host, int(part.broadcast_address))
    ranges = []
    for number in sorted(int(address) for address in taken if first <= int(address) <= last):
        if first < number:
            ranges.append((first, number - 1))
        first = number + 1
    if first <= last:
        ranges.append((first, last))
    address = type(cidr.network_address)
    return tuple(AddressRange(address(low), address(high)) for low, high in ranges)
