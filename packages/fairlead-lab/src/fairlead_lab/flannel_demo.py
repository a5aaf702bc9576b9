"""`fairlead lab demo --flannel`: unmodified flannel on two instances, Neutron underneath, and what that is worth."""

import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlead.model.errors import LabError
from fairlead_lab.flannel import Etcd, Flanneld, Pod, clean, pod
from fairlead_lab.host import Host
from fairlead_lab.lab import Lab
from fairlead_lab.neutron import Neutron

NETWORK, WRAPPED = "10.100.0.0/16", "10.101.0.0/16"
_STREAM = str(Path(__file__).with_name("services") / "stream.py")
_PORT, _SECONDS = 5001, 3.0
_PATIENCE = 60.0
_WIDTH = 40
"""Columns of the longest bar."""


@dataclass(frozen=True, slots=True)
class FlannelStory:
    """Shows each step with what it printed. programs: the folder of `packaging/build-flannel`'s."""

    lab: Lab
    programs: Path
    say: Callable[[str], None]

    def tell(self) -> None:
        """Go through all of it. Raises LabError where something is not as it should be."""
        first, second = self.lab.instances
        neutron = Neutron(self.lab.clouds_yaml)
        self.say("\nTwo Nova instances, each a Neutron port with port security")
        ports = [neutron.one("ports", name=host.name, device_owner="compute:nova") for host in (first, second)]
        for port in ports:
            addresses = ", ".join(one["ip_address"] for one in port["fixed_ips"])
            self.say(f"    {port['name']}: {addresses}, port {port['id']}, MAC {port['mac_address']}")

        speeds = {"instance to instance": self.speed(first, "", second, "", _ipv4(ports[1]))}
        with ExitStack() as undo:
            etcd = undo.enter_context(Etcd(self.lab.host("fabric"), self.programs, self.lab.paths.log))
            self.say("\nflannel's configuration, with Fairlead as the backend, and unmodified flanneld on each")
            self.show(first, ["fairlead", "flannel", "config", "--network", NETWORK])
            self.show(first, ["fairlead", "flannel", "config", "--network", NETWORK, "--etcd", etcd.url])
            undo.callback(self.leave)
            pods = self.pods(etcd, NETWORK, undo)
            self.say("\nPods reach each other, also with a full-size packet: nothing is wrapped a second time")
            self.until_reached(pods)
            self.show(first, ["fairlead", "flannel", "status"])
            self.show(first, ["ip", "route"])
            mtu = int(json.loads(pods[0].run(["ip", "-j", "link", "show", "eth0"]).stdout)[0]["mtu"])
            ping = ["busybox", "ping", "-c", "3", "-s", str(mtu - 28), str(pods[1].addresses[0])]
            self.show(first, ["ip", "netns", "exec", pods[0].name, *ping])
            self.say("\nWhat Neutron has for it: one address pair a node, one security group")
            for host in (first, second):
                port = neutron.one("ports", name=host.name, device_owner="compute:nova")
                pairs = [pair["ip_address"] for pair in port["allowed_address_pairs"]]
                self.say(f"    {host.name}: allowed address pairs {pairs}, groups {len(port['security_groups'])}")
            speeds["pods, Fairlead"] = self.speed(first, pods[0].name, second, pods[1].name, str(pods[1].addresses[0]))
        self.say("\nThe same flannel with its own VXLAN, which Neutron wraps once more")
        with ExitStack() as undo:
            etcd = undo.enter_context(Etcd(self.lab.host("fabric"), self.programs, self.lab.paths.log))
            etcd.configure({"Network": WRAPPED, "Backend": {"Type": "vxlan"}})
            for host in (first, second):
                undo.callback(host.run, ["ip", "link", "delete", "flannel.1"], check=False)
            pods = self.pods(etcd, WRAPPED, undo)
            self.until_reached(pods)
            speeds["pods, VXLAN"] = self.speed(first, pods[0].name, second, pods[1].name, str(pods[1].addresses[0]))
        self.say(
            "\nOne TCP stream from instance to instance, Mbit/s (two processors for the whole cloud: compare only)"
        )
        for line in bars(speeds):
            self.say(f"    {line}")
        left = [group["name"] for group in neutron.all("security_groups", tags="fairlead")]
        if left:
            raise LabError(f"something was left in Neutron: {left}", remedy="see `fairlead lab logs agent`")
        self.say("\nEvery node has left; nothing of Fairlead's is in Neutron.")

    def pods(self, etcd: Etcd, network: str, undo: ExitStack) -> list[Pod]:
        """Start flanneld on each instance, and a pod there."""
        found = []
        for host in self.lab.instances:
            undo.callback(clean, host, network)
            undo.enter_context(
                Flanneld(host, etcd.url, self.programs, self.lab.paths.log, interface="eth0", flags=["-ip-masq"])
            )
            found.append(undo.enter_context(pod(host, "demo", self.programs)))
            self.say(f"    {host.name}: pod {', '.join(str(one) for one in found[-1].addresses)}")
        return found

    def until_reached(self, pods: Sequence[Pod]) -> None:
        """Wait until a pod answers another. Raises LabError."""
        started = time.monotonic()
        ping = ["busybox", "ping", "-c", "1", "-W", "1", str(pods[1].addresses[0])]
        while pods[0].run(ping, check=False).returncode:
            if time.monotonic() > started + _PATIENCE:
                raise LabError("the pods don't reach each other", remedy="see `fairlead lab logs agent`")
            time.sleep(0.2)

    def leave(self) -> None:
        """Let every node leave, and wait until Neutron has nothing of it."""
        for host in self.lab.instances:
            self.show(host, ["fairlead", "flannel", "leave"])
        started = time.monotonic()
        for host in self.lab.instances:
            while json.loads(self._run(host, ["fairlead", "flannel", "status", "--json"]).stdout)["leases"]:
                if time.monotonic() > started + _PATIENCE:
                    raise LabError(f"{host.name} does not get rid of its lease", remedy="see `fairlead lab logs agent`")
                time.sleep(0.5)

    def speed(self, client: Host, client_pod: str, server: Host, server_pod: str, address: str) -> float:
        """Return the Mbit/s of one TCP stream from one end to the other; a pod's name empty: the instance itself."""
        receive = [*_inside(server_pod), sys.executable, _STREAM, "receive", address, str(_PORT)]
        process = server.popen(receive)
        try:
            assert process.stdout  # noqa: S101
            process.stdout.readline()
            send = [*_inside(client_pod), sys.executable, _STREAM, "send", address, str(_PORT), str(_SECONDS)]
            return float(client.run(send).stdout)
        finally:
            process.kill()
            process.wait()

    def show(self, host: Host, command: Sequence[str]) -> None:
        """Run a command and show what it printed. Raises LabError where it fails."""
        self.say(f"  {host.name}$ {shlex.join(command)}")
        done = self._run(host, command)
        for line in done.stdout.splitlines():
            self.say(f"    {line}")
        if done.returncode:
            raise LabError(f"{shlex.join(command)} failed on {host.name}: {done.stderr.strip()}")

    @staticmethod
    def _run(host: Host, command: Sequence[str]) -> Any:
        # The instances see this machine's files: `fairlead` is the one that runs this.
        program = [sys.executable, "-m", "fairlead"] if command[0] == "fairlead" else [command[0]]
        return host.run([*program, *command[1:]], check=False)


def bars(speeds: Mapping[str, float]) -> list[str]:
    """Draw a bar for each speed, the fastest one whole, and its part of the first one's."""
    most, (first, *_) = max(speeds.values()), speeds.values()
    width = max(map(len, speeds))
    lines = []
    for name, speed in speeds.items():
        bar = "█" * max(1, round(_WIDTH * speed / most))
        lines.append(f"{name:<{width}}  {bar:<{_WIDTH}}  {speed:6.0f}  {speed / first:.2f}")
    return lines


def _ipv4(port: Mapping[str, Any]) -> str:
    return next(str(one["ip_address"]) for one in port["fixed_ips"] if ":" not in one["ip_address"])


def _inside(pod_name: str) -> list[str]:
    return ["ip", "netns", "exec", pod_name] if pod_name else []
