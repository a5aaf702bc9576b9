"""The shell commands that make a host's bridges and warm its tunnels."""

from pathlib import Path

from fairlead_lab.manifest import Datapath
from fairlead_lab.spec import (
    FABRIC_ADDRESS,
    OVN_SOUTHBOUND_PORT,
    PHYSICAL_NETWORK,
    UNDERLAY,
    underlay_address,
)

# OVS forgets an unused neighbour after this many seconds, and the first packet of a tunnel after that is lost.
_LONGEST_NEIGHBOUR_AGE = 3600


def detect_datapath(modules: Path = Path("/sys/module")) -> Datapath:
    """`system` where the kernel has Open vSwitch and Geneve, else `netdev`: the switch in user space."""
    return "system" if (modules / "openvswitch").is_dir() and (modules / "geneve").is_dir() else "netdev"


def switch_setup(host: str, datapath: Datapath, mtu: int, *, gateway: bool = False) -> str:
    """Make br-int and tell ovn-controller who and where this host is; give the host its underlay address.

    mtu: of the underlay, in bytes. gateway: whether routers have their way to the underlay on this host.

    May run again: a userspace bridge's device and its addresses vanish with the switch that made it. One that has just
    been started makes the device anew from its database, which ovs-vsctl, with nothing to change, does not wait for.
    """
    address = f"{underlay_address(host)}/{UNDERLAY.prefixlen}"
    settings = {
        "system-id": host,
        "hostname": host,
        "ovn-remote": f"tcp:{FABRIC_ADDRESS}:{OVN_SOUTHBOUND_PORT}",
        "ovn-encap-type": "geneve",
        "ovn-encap-ip": str(underlay_address(host)),
        "ovn-bridge": "br-int",
        "ovn-bridge-datapath-type": datapath,
    }
    if gateway:
        settings |= {
            "ovn-bridge-mappings": f"{PHYSICAL_NETWORK}:br-phy",
            "ovn-cms-options": "enable-chassis-as-gw",
        }
    ids = " ".join(f"external_ids:{key}='\"{value}\"'" for key, value in settings.items())
    transaction = (
        f"ovs-vsctl --timeout=20 set Open_vSwitch . {ids}"
        f" -- --may-exist add-br br-int -- set Bridge br-int datapath_type={datapath} fail_mode=secure"
    )
    device = "eth0"
    if datapath == "netdev" or gateway:
        device = "br-phy"
        transaction += (
            f" -- --may-exist add-br br-phy -- set Bridge br-phy datapath_type={datapath} fail_mode=standalone"
            " -- --may-exist add-port br-phy eth0"
            f" -- set Interface br-phy mtu_request={mtu}"
        )
    given = f"ip address replace {address} dev {device} && ip link set {device} up"
    return f"{transaction} && {_await_device(device)} && {given}"


def tunnel_warmup(peers: tuple[str, ...], datapath: Datapath) -> str:
    """Wait for the tunnels from a host to its peers and resolve the peers' addresses: no first packet is lost then."""
    lines = ["set -e", *(f"ovs-vsctl --timeout=20 wait-until Interface ovn-{peer}-0" for peer in peers)]
    if datapath == "netdev":
        # The switch learns a neighbour for its tunnels from the answers it forwards to its own bridge.
        lines += [f"ovs-appctl tnl/neigh/aging {_LONGEST_NEIGHBOUR_AGE} >/dev/null"]
        lines += [_reach(str(underlay_address(peer))) for peer in peers]
    return "\n".join(lines) if peers else "true"


def _await_device(device: str) -> str:
    """Wait, twenty seconds at most, for a device of the host's."""
    there = f"ip link show {device} >/dev/null 2>&1"
    missing = f"{{ echo {device} is missing >&2; exit 1; }}"
    return f"n=0; until {there}; do n=$((n + 1)); test $n -lt 200 || {missing}; sleep 0.1; done"


def _reach(address: str) -> str:
    """Ping until there is an answer: a switch that has just been started loses the first packets."""
    attempt = f"busybox ping -c 1 -W 1 {address} >/dev/null"
    return f"n=0; until {attempt}; do n=$((n + 1)); test $n -lt 10 || {{ echo {address} is silent >&2; exit 1; }}; done"
