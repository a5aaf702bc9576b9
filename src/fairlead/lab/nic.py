"""The shell commands that give an instance its NIC: a port of its host's integration bridge, as Nova plugs one."""

from fairlead.lab.instances import Nic
from fairlead.lab.spec import FABRIC_ADDRESS, Placement


def plug(nic: Nic, instance_pid: int, *, offload: bool) -> str:
    """Make the pair of devices, plug the host's end into br-int and wait until OVN's flows are in place.

    To be run on the host; may run again. instance_pid: of a process in the instance's namespaces. Without `offload`
    checksums are computed in software, which a datapath in user space needs.
    """
    # As AF_PACKET lets the kernel see what a datapath in user space takes, the host itself must not answer there.
    return f"""
        set -e
        ip link show {nic.tap} >/dev/null 2>&1 || ip link add {nic.tap} mtu {nic.mtu} type veth \
            peer name eth0 address {nic.mac} mtu {nic.mtu} netns {instance_pid}
        echo 1 >/proc/sys/net/ipv6/conf/{nic.tap}/disable_ipv6
        {"" if offload else f"ethtool -K {nic.tap} tx off >/dev/null"}
        ip link set {nic.tap} arp off up
        ovs-vsctl --timeout=20 -- --may-exist add-port br-int {nic.tap} -- set Interface {nic.tap} \
            external_ids:iface-id={nic.port} external_ids:iface-status=active \
            external_ids:attached-mac='"{nic.mac}"' external_ids:vm-uuid={nic.device}
        ovs-vsctl --timeout=20 wait-until Interface {nic.tap} external_ids:ovn-installed=true
        """


def configure(nic: Nic, placement: Placement, *, offload: bool) -> str:
    """Give the instance's end what cloud-init would: addresses and default routes of both families.

    To be run in the instance; may run again. Neutron has seen to it that no one else has the addresses, so IPv6 need
    not look for a duplicate first.
    """
    routes = (f"ip -{gateway.version} route replace default via {gateway} dev eth0" for gateway in nic.gateways)
    lines = [
        "set -e",
        *([] if offload else ["ethtool -K eth0 tx off >/dev/null"]),
        "ip link set eth0 up",
        f"ip -4 address replace {placement.ipv4} dev eth0",
        f"ip -6 address replace {placement.ipv6} dev eth0 nodad",
        *routes,
    ]
    return "\n".join(lines)


def way_out(seconds: int = 20) -> str:
    """Wait until the cloud's services answer an instance, through the router."""
    attempt = f"busybox ping -c 1 -W 1 {FABRIC_ADDRESS} >/dev/null"
    silent = f"echo {FABRIC_ADDRESS} is silent >&2; exit 1"
    return f"n=0; until {attempt}; do n=$((n + 1)); test $n -lt {seconds} || {{ {silent}; }}; done"
