"""A machine that loses power and starts again: what is only in its memory is gone, its disks stay."""

from fairlead_lab.cgroups import cgroup_tree, members
from fairlead_lab.lab import Lab
from fairlead_lab.manifest import load
from fairlead_lab.processes import kill_all

_FORGET = """
for mount in /run/docker/netns/*; do umount -l "$mount" 2>/dev/null; done
rm -rf /run/docker* /run/containerd /run/fairlead /run/openvswitch/* /run/ovn/*
for device in $(ls /sys/class/net); do
  case $device in lo|eth0|tap*) ;; *) ip link delete "$device" 2>/dev/null ;; esac
done
nft flush ruleset
for number in 170 171; do ip route flush proto $number; ip -6 route flush proto $number; done
true
"""
# An instance's NIC, and its end on a host, belong to a hypervisor's next start, which a lab has not.


def power_off(lab: Lab, machine: str) -> None:
    """End everything on a machine at once, containers too, and forget what no disk has."""
    for component in reversed(_order(lab, machine)):
        lab.stop(component, machine, kill=True)
    tree = cgroup_tree(lab.spec.name)
    for root in tree.roots:
        kill_all(members(root / tree.containers(machine).lstrip("/")))
    lab.host(machine).run(["sh", "-c", _FORGET])


def power_on(lab: Lab, machine: str) -> None:
    """Start everything on a machine, in the order of a boot."""
    for component in _order(lab, machine):
        lab.start(component, machine)


def _order(lab: Lab, machine: str) -> tuple[str, ...]:
    known = load(lab.paths).components
    order = ("ovsdb", "vswitchd", "ovn-controller", "agent-socket", "agent", "dockerd")
    return tuple(component for component in order if f"{machine}/{component}" in known)
