"""Checksum offload of a device, switched by the one ioctl that does it.

A veth leaves the TCP and UDP checksum of what its container sends unfinished, for a network card to fill in. The
kernel's switch knows that; a switch in user space reads the packet as it stands and passes the wrong checksum on, so
ping works and TCP does not. The kernel drops segmentation offload, which needs checksums, by itself.

Sources: linux/ethtool.h, linux/sockios.h, netdevice(7); the Open vSwitch FAQ on the userspace datapath.
"""

import fcntl
import socket
import struct
from array import array

from fairlead.model.errors import DataplaneError

_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM = 0x17
_IFREQ_BYTES = 40


def disable_checksum_offload(*devices: str) -> None:
    """Make the kernel finish the checksums of what these devices send.

    Raises DataplaneError, also where a device does not exist.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as handle:
        for device in devices:
            command = array("I", [_ETHTOOL_STXCSUM, 0])  # struct ethtool_value: the command, and off
            address, _ = command.buffer_info()
            request = struct.pack("16sP", device.encode(), address).ljust(_IFREQ_BYTES, b"\0")
            try:
                fcntl.ioctl(handle, _SIOCETHTOOL, request)
            except OSError as error:
                reason = f"can't switch off checksum offload of {device}: {error.strerror}"
                raise DataplaneError(reason) from error
