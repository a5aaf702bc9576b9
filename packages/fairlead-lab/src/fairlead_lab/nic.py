"""The shell commands that give an instance its NIC: a port of its host's integration bridge, as Nova plugs one."""

from fairlead_lab.instances import Nic
from fairlead_lab.spec import FABRIC_ADDRESS


def plug(nic: Nic, instance_pid: int, *, offload: bool) -> str:
    """Make the pair of devices, plug the host's end into br-int and wait until OVN's flows are in place.

    To be run on the host; may run again. instance_pid: of a process in the instance's namespaces. Without `offload`
    checksums are computed in software, which a datapath in user space needs.
    """
    return f"""
        set -e
        ip link show {nic.tap} >/dev/null 2>&1 || ip link add {nic.tap} mtu {nic.mtu} type veth \
            peer name eth0 address {nic.mac} mtu {nic.mtu} netns {instance_pid}
        {"" if offload else f"ethtool -K {nic.tap} tx off >/dev/null"}
        {_into_bridge(nic)}
        {await_flows(nic)}"""


def plug_machine(nic: Nic) -> str:
    """Make the tap device for a virtual machine and plug it into br-int.

    To be run on the host; may run again. Checksums are whole on this device: see `vm.emulator`.
    """
    return f"""
        set -e
        ip link show {nic.tap} >/dev/null 2>&1 || ip tuntap add dev {nic.tap} mode tap
        ip link set {nic.tap} mtu {nic.mtu}
        {_into_bridge(nic)}"""


def unplug_machine(nic: Nic) -> str:
    """Take a virtual machine's device away from its host; what is gone is no error."""
    return f"ovs-vsctl --timeout=20 --if-exists del-port br-int {nic.tap}; ip link delete {nic.tap} 2>/dev/null || true"


def await_flows(nic: Nic) -> str:
    """Wait, on the host, until OVN's flows for the port are in place."""
    return f"ovs-vsctl --timeout=20 wait-until Interface {nic.tap} external_ids:ovn-installed=true"


def _into_bridge(nic: Nic) -> str:
    # As AF_PACKET lets the kernel see what a datapath in user space takes, the host itself must not answer there.
    return f"""
        echo 1 >/proc/sys/net/ipv6/conf/{nic.tap}/disable_ipv6
        ip link set {nic.tap} arp off up
        ovs-vsctl --timeout=20 -- --may-exist add-port br-int {nic.tap} -- set Interface {nic.tap} \
            external_ids:iface-id={nic.port} external_ids:iface-status=active \
            external_ids:attached-mac='"{nic.mac}"' external_ids:vm-uuid={nic.device}"""


def configure(nic: Nic, *, offload: bool) -> str:
    """Give the instance's end what cloud-init would: addresses and default routes of both families.

    To be run in the instance; may run again. Neutron has seen to it that no one else has the addresses, so IPv6 need
    not look for a duplicate first.
    """
    addresses = (
        f"ip -{address.version} address replace {address} dev eth0{' nodad' if address.version == 6 else ''}"
        for address in nic.addresses
    )
    routes = (f"ip -{gateway.version} route replace default via {gateway} dev eth0" for gateway in nic.gateways)
    lines = [
        "set -e",
        *([] if offload else ["ethtool -K eth0 tx off >/dev/null"]),
        "ip link set eth0 up",
        *addresses,
        *routes,
    ]
    return "\n".join(lines)


def way_out(seconds: int = 20) -> str:
    """Wait until the cloud's services answer an instance, through the router."""
    attempt = f"busybox ping -c 1 -W 1 {FABRIC_ADDRESS} >/dev/null"
    silent = f"echo {FABRIC_ADDRESS} is silent >&2; exit 1"
    return f"n=0; until {attempt}; do n=$((n + 1)); test $n -lt {seconds} || {{ {silent}; }}; done"
