"""Packets between two Nova instances: the instances themselves, flannel with Neutron under it, and flannel without.

    python -m benchmarks.flannel [--rounds 2] [--seconds 2] [--mtus 1500,9000]

Each round brings up a lab with two instances on one subnet for each MTU. In it the paths take turns, on Neutron's own
switch, and where that runs in user space twice more with the kernel's VXLAN in its place (see `shortcut`), over a wire
as quick as memory and over one as quick as many clouds' network cards:

  node      from instance to instance
  routed    containers of Docker's, Fairlead in mode `routed`
  fairlead  pods of flannel, Fairlead its backend
  host-gw   pods of flannel's host-gw, address pairs and group rule set by hand: the ideal, which nobody keeps
  vxlan     pods of flannel's vxlan: wrapped once by flannel, once more by Neutron
  overlay   containers on Docker's overlay, wrapped twice as well

How they are measured: see `paths`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import paths
from benchmarks.labs import docker, lab_for, remove_containers, swarm
from benchmarks.paths import IN_USER_SPACE, SHORTCUT, WIRE, WIRE_GBITS, End, Run, container
from benchmarks.report import Benchmark, Record, finish
from benchmarks.shortcut import shortcut
from fairlead.agent.flannel_config import network_config
from fairlead_lab import Lab, LabSpec
from fairlead_lab.flannel import Etcd, Flanneld, Pod, clean, pod
from fairlead_lab.manifest import load
from fairlead_lab.neutron import Neutron

PATHS = ("node", "routed", "fairlead", "host-gw", "vxlan", "overlay")
PROGRAMS = Path(__file__).resolve().parents[1] / "build/flannel/bin"
NETWORKS = {"fairlead": "10.100.0.0/16", "host-gw": "10.101.0.0/16", "vxlan": "10.102.0.0/16"}
_OVERLAY, _ROUTED = "10.79.0.0/24", "10.103.0.0/16"
_PATIENCE = 60.0


def measure(rounds: int, seconds: float, mtus: Sequence[int]) -> Record:
    """Run everything, taking turns; returns a record for each switch."""
    own, kernel, wire = runs = [Run(PATHS, rounds, seconds, mtus) for _ in range(3)]
    for turn, mtu, name in own.turns():
        with lab_for(LabSpec(name, hosts=2, mtu=mtu, instances=2)) as lab:
            _allow_by_hand(lab, NETWORKS["host-gw"])
            ends, datapath = partial(_ends, lab), load(lab.paths).datapath
            own.measure(datapath, turn, mtu, ends)
            if datapath == IN_USER_SPACE:
                with shortcut(lab):
                    kernel.measure(SHORTCUT, turn, mtu, ends)
                with shortcut(lab, WIRE_GBITS):
                    wire.measure(WIRE, turn, mtu, ends)
    return {"switches": [run.record() for run in reversed(runs) if run.switch]}


def _allow_by_hand(lab: Lab, network: str) -> None:
    """Do for host-gw what an operator would do: a pair on each node's port, and a rule in their group."""
    neutron = Neutron(lab.clouds_yaml)
    for port in neutron.all("ports", device_owner="compute:nova"):
        neutron.put(f"ports/{port['id']}", {"port": {"allowed_address_pairs": [{"ip_address": network}]}})
    group = neutron.one("security_groups", name="default")
    neutron.add(
        "security_group_rules",
        {"security_group_id": group["id"], "direction": "ingress", "remote_ip_prefix": network, "ethertype": "IPv4"},
    )


def _address(lab: Lab, name: str) -> str:
    port = Neutron(lab.clouds_yaml).one("ports", name=name, device_owner="compute:nova")
    return next(str(one["ip_address"]) for one in port["fixed_ips"] if ":" not in one["ip_address"])


@contextmanager
def _ends(lab: Lab, path: str) -> Iterator[tuple[End, End]]:
    """Make both ends of a path, and take them away."""
    hosts = lab.instances
    addresses = [_address(lab, host.name) for host in hosts]
    with ExitStack() as undo:
        if path == "node":
            ends = [End(host, address) for host, address in zip(hosts, addresses, strict=True)]
        elif path == "overlay":
            undo.enter_context(swarm(hosts, addresses))
            mtu = End(hosts[0], addresses[1]).mtu()
            options = ("--attachable", "--subnet", _OVERLAY, "-o", f"com.docker.network.driver.mtu={mtu}")
            docker(hosts[0], "network", "create", "-d", "overlay", *options, "overlay")
            undo.callback(docker, hosts[0], "network", "rm", "overlay", check=False)
            for host in hosts:
                undo.callback(remove_containers, host)
            ends = [container(host, path, "overlay") for host in hosts]
        elif path == "routed":
            for host in hosts:
                undo.callback(docker, host, "network", "rm", "routed", check=False)
                undo.callback(remove_containers, host)
                named = ("-d", "fairlead", "--ipam-driver", "fairlead", "--subnet", _ROUTED, "routed")
                docker(host, "network", "create", *named)
            ends = [container(host, path, "routed") for host in hosts]
            _until_reached(*ends)
        else:
            ends = [End(one.host, str(one.addresses[0]), netns=one.name) for one in _pods(lab, path, undo)]
            _until_reached(*ends)
        yield ends[0], ends[1]


def _pods(lab: Lab, path: str, undo: ExitStack) -> list[Pod]:
    logs, found = lab.paths.log, []
    backend: Mapping[str, Any] = {"Network": NETWORKS[path], "Backend": {"Type": path}}
    etcd = undo.enter_context(Etcd(lab.host("fabric"), PROGRAMS, logs))
    etcd.configure(network_config(NETWORKS[path], 24, "", "fairlead") if path == "fairlead" else backend)
    for host in lab.instances:
        undo.callback(host.run, ["ip", "link", "delete", "flannel.1"], check=False)
        undo.callback(clean, host, NETWORKS[path])
        undo.enter_context(Flanneld(host, etcd.url, PROGRAMS, logs, interface="eth0", flags=["-ip-masq"]))
        found.append(undo.enter_context(pod(host, f"bench-{path}", PROGRAMS)))
    return found


def _until_reached(client: End, server: End) -> None:
    limit = time.monotonic() + _PATIENCE
    ping = client.inside("busybox", "ping", "-c", "1", "-W", "1", server.address)
    while client.host.run(ping, check=False).returncode and time.monotonic() < limit:
        time.sleep(0.5)


def render(record: Record) -> str:
    """Write a table for each switch: every path at every MTU, with ratios to the nodes themselves."""
    return "\n\n".join(paths.render(one, PATHS, ("node",)) for one in record["switches"])


def draw(record: Record, folder: Path) -> list[Path]:
    """Draw a picture for each switch, with a panel for each measurement."""
    return [
        picture
        for one in record["switches"]
        for picture in paths.draw(one, PATHS, folder / f"flannel-{one['switch']}.png", "Between two instances")
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    chosen = paths.choices(__doc__, seconds=2.0).parse_args(arguments)
    finish(Benchmark("flannel", render, draw), chosen, lambda: measure(chosen.rounds, chosen.seconds, chosen.mtus))


if __name__ == "__main__":
    main()
