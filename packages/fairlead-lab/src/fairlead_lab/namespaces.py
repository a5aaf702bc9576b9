"""The fabric, the hosts and the instances: each a network, a mount and a UTS namespace, held by a sleeping process."""

import asyncio
import shlex
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab import commands
from fairlead_lab.host import Host
from fairlead_lab.manifest import NamespaceRecord
from fairlead_lab.processes import clean_environment, is_alive, program, spawn
from fairlead_lab.readiness import last_line
from fairlead_lab.spec import FABRIC, FABRIC_ADDRESS, UNDERLAY, LabSpec, underlay_address

# /sys shows the network devices of the namespace it was mounted in, so it is mounted again, and the cgroups that
# were below it are carried over as they are, whatever their version.
_PRIVATE = """
set -e
mount --make-rprivate /
hostname {hostname}
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
umount -l /run/cgroup
rmdir /run/cgroup
ip link set lo up
"""

_ETC = """
rm -rf {upper} {work}
mkdir -p {upper} {work}
mount -t overlay -o lowerdir=/etc,upperdir={upper},workdir={work} overlay /etc
rm -rf /etc/docker /etc/openstack /etc/fairlead
mkdir -p /etc/docker /etc/openstack /etc/fairlead
echo {hostname} >/etc/hostname
printf %s {hosts} >/etc/hosts
"""

_BRIDGE = """
ip link add underlay mtu {mtu} type bridge
ip address add {address} dev underlay
ip link set underlay up
"""


async def hold(name: str, cgroup: Path, log: Path) -> NamespaceRecord:
    """Start, in a cgroup, the process that holds fresh namespaces for the fabric or a host; raises LabError."""
    argv = ["unshare", "--mount", "--net", "--uts", "--", "sleep", "infinity"]
    holder = spawn(argv, cgroup=cgroup, log=log, environment=clean_environment())
    for _ in range(1000):
        # The name changes at exec, which is after all namespaces are made.
        if program(holder.pid) == "sleep":
            return NamespaceRecord(holder, namespace_number(holder.pid, "net"), namespace_number(holder.pid, "mnt"))
        if not is_alive(holder):
            break
        await asyncio.sleep(0.002)
    raise LabError(
        f"can't make namespaces for {name}: {last_line(log)}",
        remedy="a lab needs root with CAP_SYS_ADMIN, and a kernel with network, mount and UTS namespaces",
    )


async def furnish_fabric(fabric: Host, mtu: int) -> None:
    """Give the fabric its private /run and /sys and the bridge of the underlay, whose MTU is in bytes."""
    bridge = _BRIDGE.format(address=f"{FABRIC_ADDRESS}/{UNDERLAY.prefixlen}", mtu=mtu)
    script = _PRIVATE.format(hostname=FABRIC) + bridge
    await commands.run(fabric.command(["sh", "-c", script]), purpose="setting up the fabric")


async def furnish_host(host: Host, folder: Path, hosts_file: str) -> None:
    """Give a host its private /run, /sys and /etc. The upper side of /etc is below `folder`."""
    script = _PRIVATE.format(hostname=host.name) + _ETC.format(
        hostname=host.name,
        hosts=shlex.quote(hosts_file),
        upper=shlex.quote(str(folder / "etc")),
        work=shlex.quote(str(folder / "etc-work")),
    )
    await commands.run(host.command(["sh", "-c", script]), purpose=f"setting up {host.name}")


async def wire(host: Host, fabric: Host, *, mtu: int, offload: bool) -> None:
    """Connect a host's eth0 to the bridge of the underlay, both ends with an MTU in bytes.

    Without `offload` checksums are computed in software at both ends: a userspace datapath puts a frame in a tunnel as
    it is, and a checksum the sender left to hardware would never be filled in.
    """
    quiet = "" if offload else "ethtool -K {device} tx off >/dev/null\n"
    outer = f"""
        set -e
        ip link delete {host.name} 2>/dev/null || true
        ip link add {host.name} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {host.holder.pid}
        ip link set {host.name} master underlay up
        {quiet.format(device=host.name)}"""
    inner = f"""
        set -e
        ip link set eth0 up
        {quiet.format(device="eth0")}"""
    await commands.run(fabric.command(["sh", "-c", outer]), purpose=f"wiring {host.name} to the underlay")
    await commands.run(host.command(["sh", "-c", inner]), purpose=f"wiring {host.name} to the underlay")


def namespace_number(pid: int, kind: str) -> int:
    """The inode number that is the identity of a process's namespace (`net`, `mnt`, `uts`); 0 when it is gone."""
    try:
        return Path(f"/proc/{pid}/ns/{kind}").stat().st_ino
    except OSError:
        return 0


def hosts_file(spec: LabSpec, place: str) -> str:
    """The text of /etc/hosts on a host, which reaches the hosts, or on an instance, which reaches the instances too."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost", f"{FABRIC_ADDRESS} {FABRIC}"]
    lines += [f"{underlay_address(name)} {name}" for name in spec.host_names]
    if place in spec.instance_names:
        lines += [f"{address.ip} {one.name}" for one in spec.placements for address in (one.ipv4, one.ipv6)]
    return "\n".join(lines) + "\n"
