"""Real flannel in a lab: etcd in the fabric, flanneld on hosts, and pods attached by flannel's CNI plugin.

The programs are what `packaging/build-flannel` makes. What is started here is a child of this process and ends with the
`with` block around it, also after an interrupt; `fairlead lab down` ends it in any case.

    with Etcd(lab.host("fabric"), programs, logs) as etcd:
        etcd.configure({"Network": "10.5.0.0/16", "Backend": {"Type": "host-gw"}})
        with Flanneld(lab.host("h1"), etcd.url, programs, logs, interface="192.0.2.11"):
            with pod(lab.host("h1"), "web", programs) as web:
                print(web.addresses)
"""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_interface, ip_network
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fairlead.model.errors import LabError
from fairlead_lab.host import Host
from fairlead_lab.readiness import last_line
from fairlead_lab.spec import FABRIC_ADDRESS

PREFIX = "/coreos.com/network"
"""Where flannel keeps its things in etcd unless it is told otherwise."""

SUBNET_FILE = "/run/flannel/subnet.env"
_ETCD_DATA = "/run/etcd"
_CNI = "/run/flannel-cni"

# Seconds: to become ready, and to end when asked. flanneld that has only just started sometimes never does.
_PATIENCE = 30.0
_TO_END = 3.0

# What Kubernetes' manifest of flannel has.
_PLUGINS = (
    {"type": "flannel", "delegate": {"hairpinMode": True, "isDefaultGateway": True}},
    {"type": "portmap", "capabilities": {"portMappings": True}},
)

# libcni and the plugins remember what they did below /var/lib/cni, which the hosts of a lab share with the machine:
# each host sees a layer of its own above it.
_OWN_STATE = f"""
mkdir -p {_CNI}/state {_CNI}/work
mount -t overlay -o lowerdir=/var/lib,upperdir={_CNI}/state,workdir={_CNI}/work overlay /var/lib
exec "$@"
"""

# flanneld leaves its packet filters when it ends.
_NO_FILTERS = """
drop() {
    $1 -w -t $2 -D $3 -m comment --comment "$5" -j $4 && $1 -w -t $2 -F $4 && $1 -w -t $2 -X $4
}
for family in iptables ip6tables; do
    drop $family filter FORWARD FLANNEL-FWD "flanneld forward"
    drop $family nat POSTROUTING FLANNEL-POSTRTG "flanneld masq"
done 2>/dev/null
true
"""


class Daemon:
    """A program on a host, started and stopped by this process; its output is appended to a log."""

    def __init__(self, host: Host, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.host, self.argv, self.log = host, tuple(argv), log
        self._env = dict(env or {})
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int | None:
        """Its pid while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, ready: Callable[[], bool]) -> None:
        """Start it, unless it runs, and return when it is ready; raises LabError with the last line of its log."""
        if self.pid is not None:
            return
        with self.log.open("a") as output:
            self._process = self.host.popen(self.argv, stdout=output, env=self._env)
        try:
            limit = time.monotonic() + _PATIENCE
            while not ready():
                self._fail_unless(time.monotonic() < limit)
                time.sleep(0.02)
        except BaseException:
            self.stop()
            raise

    def stop(self, *, kill: bool = False) -> None:
        """End it, unless it has ended: by SIGTERM, and SIGKILL when that doesn't help. kill: as a crash would."""
        if self._process is None:
            return
        if not kill:
            self._process.terminate()
            try:
                self._process.wait(_TO_END)
            except subprocess.TimeoutExpired:
                kill = True
        if kill:
            self._process.kill()
        self._process.wait()

    def _fail_unless(self, patient: bool) -> None:
        name = f"{Path(self.argv[0]).name} on {self.host.name}"
        if self.pid is None:
            raise LabError(f"{name} ended at its start: {last_line(self.log)}", remedy=f"see {self.log}")
        if not patient:
            raise LabError(
                f"{name} was not ready after {_PATIENCE:.0f} s: {last_line(self.log)}", remedy=f"see {self.log}"
            )


@dataclass(frozen=True, slots=True)
class SubnetLease:
    """A node's lease, as flannel keeps it in etcd.

    backend_data: the JSON value of the backend's own, None where there is none. etcd_lease: the number of etcd's lease.
    """

    key: str
    subnet: IPv4Network
    subnet6: IPv6Network | None
    public_ip: IPv4Address
    public_ip6: IPv6Address | None
    backend_type: str
    backend_data: Any
    etcd_lease: int


class Etcd:
    """An etcd of one member, in memory, for the hosts of a lab. Errors of etcdctl's are raised as Host.run does."""

    url = f"http://{FABRIC_ADDRESS}:2379"

    def __init__(self, fabric: Host, programs: Path, logs: Path) -> None:
        self._fabric, self._programs = fabric, programs
        argv = (
            str(program(programs, "etcd")),
            f"--data-dir={_ETCD_DATA}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
        )
        self.daemon = Daemon(fabric, argv, logs / "etcd.log")

    def __enter__(self) -> Self:
        self._forget()  # what one that was killed with its user has left
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._forget()

    def start(self) -> None:
        """Start it, with what it had when it was stopped; raises LabError."""
        self.daemon.start(lambda: self._ctl("endpoint", "health", check=False).returncode == 0)

    def stop(self, *, kill: bool = False) -> None:
        """End it. What it has is kept until the `with` block ends."""
        self.daemon.stop(kill=kill)

    def configure(self, config: Mapping[str, object], prefix: str = PREFIX) -> None:
        """Set the configuration of a flannel network, what flannel calls `config`."""
        self._ctl("put", f"{prefix}/config", json.dumps(config))

    def leases(self, prefix: str = PREFIX) -> tuple[SubnetLease, ...]:
        """All leases of a flannel network, by subnet."""
        found = json.loads(self._ctl("get", f"{prefix}/subnets/", "--prefix", "-w", "json").stdout)
        return tuple(sorted(map(subnet_lease, found.get("kvs", ())), key=lambda lease: lease.subnet))

    def lease_of(self, address: IPv4Address, prefix: str = PREFIX) -> SubnetLease:
        """The lease of the node with this public address; raises LabError where it has none."""
        for lease in self.leases(prefix):
            if lease.public_ip == address:
                return lease
        raise LabError(f"flannel's node {address} has no lease")

    def expire(self, lease: SubnetLease) -> None:
        """End a lease at once. Whoever watches is told the same as at the end of its time to live."""
        self._ctl("lease", "revoke", f"{lease.etcd_lease:x}")

    def _forget(self) -> None:
        self._fabric.run(["rm", "-rf", _ETCD_DATA])

    def _ctl(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(self._programs / "etcdctl"), f"--endpoints={self.url}", *arguments]
        return self._fabric.run(command, check=check, env={"ETCDCTL_API": "3"})


def subnet_lease(entry: Mapping[str, Any]) -> SubnetLease:
    """Read one of the `kvs` of etcd's answer to a range request: `key`, `value` (base64) and `lease`.

    The key ends in `10.5.52.0-24`, or `10.5.52.0-24&fc00:0:0:3::-64` with both families.
    """
    key = base64.b64decode(entry["key"]).decode()
    value = json.loads(base64.b64decode(entry["value"]))
    subnet, _, subnet6 = key.rpartition("/")[2].replace("-", "/").partition("&")
    public_ip6 = value.get("PublicIPv6")
    return SubnetLease(
        key=key,
        subnet=IPv4Network(subnet),
        subnet6=IPv6Network(subnet6) if subnet6 else None,
        public_ip=IPv4Address(value["PublicIP"]),
        public_ip6=IPv6Address(public_ip6) if public_ip6 else None,
        backend_type=value["BackendType"],
        backend_data=value.get("BackendData"),
        etcd_lease=entry.get("lease", 0),
    )


class Flanneld:
    """flanneld on a host, with its lease in etcd; `fairlead` is found on its PATH."""

    def __init__(
        self,
        host: Host,
        etcd_url: str,
        programs: Path,
        logs: Path,
        *,
        interface: str,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._host = host
        argv = (
            str(program(programs, "flanneld")),
            f"-etcd-endpoints={etcd_url}",
            f"-iface={interface}",
            f"-subnet-file={SUBNET_FILE}",
            *flags,
        )
        path = f"{Path(sys.executable).parent}:{host.environment()['PATH']}"
        variables = {"PATH": path, **(environment or {})}
        self.daemon = Daemon(host, argv, logs / f"{host.name}-flanneld.log", variables)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._host.run(["rm", "-rf", str(Path(SUBNET_FILE).parent)])

    def start(self) -> None:
        """Start it and wait until it has written its subnet down; raises LabError."""
        before = self._written()
        self.daemon.start(lambda: self._written() not in (None, before))

    def stop(self, *, kill: bool = False) -> None:
        """End it. Its lease lives on in etcd, and what it wrote down until the `with` block ends."""
        self.daemon.stop(kill=kill)

    def _written(self) -> tuple[int, int] | None:
        # It is written aside and renamed, so a new one is another file.
        try:
            found = self._host.path(SUBNET_FILE).stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns


def subnet_env(host: Host) -> dict[str, str]:
    """What flanneld wrote down on a host for the CNI plugin and for Docker, such as FLANNEL_SUBNET and FLANNEL_MTU."""
    lines = host.path(SUBNET_FILE).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


@dataclass(frozen=True, slots=True)
class Pod:
    """A network namespace attached to flannel's network, and what its addresses are."""

    host: Host
    name: str
    addresses: tuple[IPv4Address | IPv6Address, ...]

    def run(self, command: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as Host.run does."""
        return self.host.run(["ip", "netns", "exec", self.name, *command], check=check)


@contextmanager
def pod(host: Host, name: str, programs: Path, plugins: Sequence[Mapping[str, Any]] = _PLUGINS) -> Iterator[Pod]:
    """Attach a new network namespace as a container runtime does, by cnitool, and take it away in the end.

    plugins: the `plugins` of CNI's network configuration. The bridge `cni0` stays, as it does on any node: see `clean`.
    """
    config = {"cniVersion": "0.3.1", "name": "flannel", "plugins": list(plugins)}
    with ExitStack() as undo:
        host.run(["mkdir", "-p", f"{_CNI}/net.d"])
        host.run(["tee", f"{_CNI}/net.d/10-flannel.conflist"], input=json.dumps(config))
        host.run(["ip", "netns", "add", name])
        undo.callback(host.run, ["ip", "netns", "delete", name])
        undo.callback(_cnitool, host, programs, "del", name)
        result = json.loads(_cnitool(host, programs, "add", name).stdout)
        yield Pod(host, name, tuple(ip_interface(ip["address"]).ip for ip in result["ips"]))


def clean(host: Host, *networks: str) -> None:
    """Remove what flanneld and the CNI plugins leave on a node.

    That is: routes within the flannel networks that are named, packet filters, the bridge `cni0`, what they noted.
    """
    for network in networks:
        host.run(["ip", f"-{ip_network(network).version}", "route", "flush", "root", network])
    host.run(["sh", "-c", _NO_FILTERS])
    host.run(["ip", "link", "delete", "cni0"], check=False)
    host.run(["rm", "-rf", _CNI])


def program(folder: Path, name: str) -> Path:
    """A program of `packaging/build-flannel`'s; raises LabError where it is missing."""
    found = folder / name
    if not os.access(found, os.X_OK):
        raise LabError(f"{found} is not there", remedy="run packaging/build-flannel")
    return found


def _cnitool(host: Host, programs: Path, verb: str, name: str) -> subprocess.CompletedProcess[str]:
    command = [str(program(programs, "cnitool")), verb, "flannel", f"/run/netns/{name}"]
    environment = {"CNI_PATH": str(programs), "NETCONFPATH": f"{_CNI}/net.d"}
    return host.run(["unshare", "--mount", "sh", "-ec", _OWN_STATE, "sh", *command], env=environment)
