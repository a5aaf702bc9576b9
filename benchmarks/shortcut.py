"""The kernel's VXLAN in the place of a switch in user space, for unicast frames between a lab's two instances.

A cloud's nodes have Open vSwitch's datapath in their kernel, which takes and gives TCP in pieces of 64 KiB; a lab's may
run in user space, frame by frame, and then hides what wrapping a packet twice costs. Here each host's kernel has a
bridge with the instance's device, a VXLAN to the other host over a wire of its own, and a way to br-int. Frames for the
other instance's MAC take the VXLAN; all others, such as those for routers and Neutron's answers to ARP, go to OVN as
before. OVN's rules of port security don't see the former.

The wire is as quick as memory, or as a network card: then a sender can be stopped by the wire and not by its processor.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from fairlead_lab import Lab
from fairlead_lab.host import Host

VXLAN = 50
"""Bytes that the VXLAN puts around a frame's payload."""

_FILTERS = "/proc/sys/net/bridge/bridge-nf-call-iptables /proc/sys/net/bridge/bridge-nf-call-ip6tables"
"""Whether rules of iptables and ip6tables see what bridges forward."""

_WIRE = ("198.51.100.1", "198.51.100.2")


@dataclass(frozen=True, slots=True)
class _Side:
    """A host, its instance, the instance's device on the host and its MAC, and the host's address on the wire."""

    host: Host
    instance: Host
    tap: str
    mac: str
    address: str


@contextmanager
def shortcut(lab: Lab, gbits: int = 0) -> Iterator[None]:
    """Let two instances' packets take the kernel's way meanwhile; gbits: the wire's Gbit/s, 0: as many as can be."""
    sides = [_side(*one) for one in zip(lab.hosts, lab.instances, _WIRE, strict=True)]
    with ExitStack() as undo:
        first, second = sides
        ends = f"mtu {lab.spec.mtu} type veth peer name wire mtu {lab.spec.mtu} netns {second.host.holder.pid}"
        _sh(first.host, f"ip link add wire {ends}")
        undo.callback(_sh, first.host, "ip link delete wire")
        for here, there in (sides, sides[::-1]):
            filters = here.host.run(["sh", "-c", f"cat {_FILTERS}"]).stdout.split()
            undo.callback(_sh, here.host, _filtering(*filters))
            undo.callback(_sh, here.host, _undone(here))
            _sh(here.host, _done(here, there, lab.spec.mtu - VXLAN))
            if gbits:
                _sh(here.host, f"tc qdisc add dev wire root tbf rate {gbits}gbit burst 256kb latency 5ms")
            undo.callback(_sh, here.instance, "ethtool -K eth0 tx off")
            _sh(here.instance, "ethtool -K eth0 tx on")
        yield


def _side(host: Host, instance: Host, address: str) -> _Side:
    (link,) = json.loads(instance.run(["ip", "-j", "link", "show", "eth0"]).stdout)
    taps = host.run(["ovs-vsctl", "list-ports", "br-int"]).stdout.split()
    return _Side(host, instance, next(name for name in taps if name.startswith("tap")), link["address"], address)


def _done(here: _Side, there: _Side, mtu: int) -> str:
    # The way to br-int has the port's external_ids from now on, so that OVN takes it for the instance's device. It has
    # no checksum offload: a switch in user space needs whole ones. Docker lets its own rules see what a bridge
    # forwards, and they drop what is not a container's; these hosts run none meanwhile.
    return f"""
        set -e
        ip address add {here.address}/30 dev wire
        ip link set wire up
        {_filtering("0", "0")}
        ip link add shortcut type bridge
        ip link add tunnel mtu {mtu} type vxlan id 1 local {here.address} remote {there.address} dstport 4789 nolearning
        ip link add inwards mtu {mtu} type veth peer name ovn mtu {mtu}
        ethtool -K inwards tx off
        ids=$(ovs-vsctl --bare --columns=external_ids list Interface {here.tap} | tr ' ' '\\n' | grep -v ovn-installed)
        ovs-vsctl del-port br-int {here.tap} -- add-port br-int ovn
        for id in $ids; do ovs-vsctl set Interface ovn "external_ids:${{id%%=*}}=\\"${{id#*=}}\\""; done
        for device in {here.tap} tunnel inwards; do ip link set $device master shortcut; done
        for device in shortcut tunnel inwards ovn; do ip link set $device up; done
        ethtool -K {here.tap} tx on
        bridge link set dev tunnel flood off mcast_flood off bcast_flood off
        bridge fdb replace {here.mac} dev {here.tap} master static sticky
        bridge fdb replace {there.mac} dev tunnel master static sticky
        ovs-vsctl --timeout=20 wait-until Interface ovn external_ids:ovn-installed=true"""


def _filtering(four: str, six: str) -> str:
    first, second = _FILTERS.split()
    return f"echo {four} >{first}; echo {six} >{second}"


def _undone(here: _Side) -> str:
    return f"""
        ids=$(ovs-vsctl --bare --columns=external_ids list Interface ovn | tr ' ' '\\n' | grep -v ovn-installed)
        ovs-vsctl --if-exists del-port br-int ovn
        for device in inwards tunnel shortcut; do ip link delete $device; done
        ethtool -K {here.tap} tx off
        ovs-vsctl add-port br-int {here.tap}
        for id in $ids; do ovs-vsctl set Interface {here.tap} "external_ids:${{id%%=*}}=\\"${{id#*=}}\\""; done
        ovs-vsctl --timeout=20 wait-until Interface {here.tap} external_ids:ovn-installed=true"""


def _sh(host: Host, script: str) -> None:
    host.run(["sh", "-c", script])
