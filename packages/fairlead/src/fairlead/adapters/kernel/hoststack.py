"""The host's own IP stack on the host's end of a pair: kept off it, or no more on it than a gateway is.

A switch in user space only listens in: whatever a container sends reaches the host's stack as well, past OVN and its
security groups. There it could be answered, or forwarded where the host routes. A kernel switch takes the packets
away, but the kernel still gives the device IPv6 and a multicast route.

`disable_ipv6` ends IPv6. For IPv4 there is no such switch: `rp_filter` drops whatever comes in on a device that has
no address, and `arp_ignore` leaves the probes unanswered that it lets through.

A gateway is to learn nothing from its containers but that they are there: with `rp_filter` it makes no entry for a
neighbour of which ARP tells though its way is another; with `arp_ignore` it answers for the gateway's address alone.

Sources: the kernel's networking/ip-sysctl documentation; "Firewall Rules" in Open vSwitch's userspace installation.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fairlead.model.errors import DataplaneError

_STRICT: Final = "1"
_OF_THE_DEVICE, _NEVER_ANSWER = "1", "8"
_RP_FILTER, _ARP_IGNORE = "ipv4/conf/{}/rp_filter", "ipv4/conf/{}/arp_ignore"
_ACCEPT_RA, _DISABLE_IPV6 = "ipv6/conf/{}/accept_ra", "ipv6/conf/{}/disable_ipv6"


def keep_off(device: str) -> int:
    """Make the host's stack deaf and mute on a device of the calling thread's namespace; return the settings written.

    A protocol that the kernel or the device does not have (IPv6 below an MTU of 1280) is left out. Raises
    DataplaneError.
    """
    return _write(device, {_RP_FILTER: _STRICT, _ARP_IGNORE: _NEVER_ANSWER, _DISABLE_IPV6: "1"})


def be_gateway(device: str, *, ipv6: bool) -> int:
    """Let the host's stack be a gateway on a device and nothing else; ipv6: of that family as well. As `keep_off`."""
    of_ipv6 = {_ACCEPT_RA: "0"} if ipv6 else {_DISABLE_IPV6: "1"}
    return _write(device, {_RP_FILTER: _STRICT, _ARP_IGNORE: _OF_THE_DEVICE, **of_ipv6})


def _write(device: str, settings: Mapping[str, str]) -> int:
    written = 0
    for name, value in settings.items():
        path = Path("/proc/sys/net", name.format(device))
        try:
            path.write_text(value)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataplaneError(
                f"can't write {path}: {error.strerror}", remedy="run the agent as root, with /proc/sys writable"
            ) from error
        written += 1
    return written
