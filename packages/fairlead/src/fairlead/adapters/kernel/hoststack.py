"""The host's own IP stack, kept off the host's end of a pair.

A switch in user space only listens in: whatever a container sends reaches the host's stack as well, past OVN and its
security groups. There it could be answered, or forwarded where the host routes. A kernel switch takes the packets
away, but the kernel still gives the device IPv6 and a multicast route.

`disable_ipv6` ends IPv6. For IPv4 there is no such switch: `rp_filter` drops whatever comes in on a device that has
no address, and `arp_ignore` leaves the probes unanswered that it lets through.

Sources: the kernel's networking/ip-sysctl documentation; "Firewall Rules" in Open vSwitch's userspace installation.
"""

from pathlib import Path
from typing import Final

from fairlead.model.errors import DataplaneError

_NEVER_ANSWER: Final = "8"

_SETTINGS: Final = {
    "ipv4/conf/{}/rp_filter": "1",
    "ipv4/conf/{}/arp_ignore": _NEVER_ANSWER,
    "ipv6/conf/{}/disable_ipv6": "1",
}


def keep_off(device: str) -> int:
    """Make the host's stack deaf and mute on a device of the calling thread's namespace; return the settings written.

    A protocol that the kernel or the device does not have (IPv6 below an MTU of 1280) is left out. Raises
    DataplaneError.
    """
    written = 0
    for name, value in _SETTINGS.items():
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
