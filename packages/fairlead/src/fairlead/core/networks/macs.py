"""MAC addresses that follow from an address, so that they are the same wherever it is."""

from fairlead.model.network import IPAddress


def mac_of(address: IPAddress) -> str:
    """Return a locally administered MAC (RFC 7042, 2.1) that ends in the address's last four bytes."""
    return (b"\x02\x42" + address.packed[-4:]).hex(":")
