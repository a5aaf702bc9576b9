"""A virtual machine on a lab's host, plugged as Nova plugs one.

    with virtual_machine(lab, host="h1", port=port["id"]) as machine:
        machine.run(["ip", "link", "add", "link", "eth0", "name", "eth0.101", "type", "vlan", "id", "101"])
        agent = machine.start([sys.executable, "-m", "fairlead", "agent"], log=lab.paths.log / "vm-agent.log")

It goes on from a machine that was booted once and put aside (`snapshot`). Its files are a copy of this machine's, under
a layer of its own in memory; the project's, and some of the host's /etc, are those of the moment. Its emulator runs in
the host's namespaces and is a child of this process. It ends with the `with` block, also after an interrupt, and by
itself when this process is killed.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab import nic
from fairlead_lab.host import Host
from fairlead_lab.image import busybox_image
from fairlead_lab.instances import Nic
from fairlead_lab.lab import Lab
from fairlead_lab.neutron import Neutron
from fairlead_lab.packages import missing_packages
from fairlead_lab.readiness import last_line
from fairlead_lab.vm import files, port
from fairlead_lab.vm.channel import Channel, Command
from fairlead_lab.vm.emulator import Emulator, add_disk, add_nic
from fairlead_lab.vm.kernel import find_kernel
from fairlead_lab.vm.snapshot import Maker, Snapshot, snapshot

# Seconds for a machine to take commands; an emulated one on a busy processor needs a while.
_TO_BOOT = 120.0

_FURNISH = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /var/lib/docker
rm -rf /etc/docker /etc/fairlead
mkdir -p /etc/docker /etc/fairlead
ip link set lo up
"""

# What a machine that goes on is given: its name, the files of the moment from a disk of their own, and its NIC.
_GO_ON = """
set -e
echo {name} >/etc/hostname
hostname {name}
until [ -b /dev/vdb ] && [ -e /sys/class/net/eth0 ]; do sleep 0.05; done
tar -xf /dev/vdb -C /
"""

# Of the host's /etc: what a lab writes there for its hosts.
_HOST_ETC = ("hosts", "openstack")

_NOWHERE = Nic("", "", "", 0, (), ())

_DOCKERD = {"data-root": "/var/lib/docker", "hosts": ["unix:///run/docker.sock"], "group": "root"}


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """A machine that runs. nic: its port; kernel: the version, as `uname -r` prints it; log: the file of its console.

    `name` and `run` are as a Host's, so what drives a host drives a machine.
    """

    name: str
    nic: Nic
    kernel: str
    log: Path
    _host: Host
    _channel: Channel
    _daemons: dict[str, Command] = field(default_factory=dict)

    def run(
        self,
        command: Sequence[str],
        *,
        check: bool = True,
        input: str | None = None,  # noqa: A002  subprocess.run's name for it
        timeout: float | None = 60.0,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and return its output; raises as Host.run does."""
        limit = None if timeout is None else time.monotonic() + timeout
        running = self.start(command, input=input, env=env)
        try:
            status = running.wait(timeout)
        except BaseException:
            running.kill()
            raise
        left = None if limit is None else max(1.0, limit - time.monotonic())
        done = subprocess.CompletedProcess(list(command), status, running.stdout.read(left), running.stderr.read(left))
        if check and done.returncode != 0:
            error = subprocess.CalledProcessError(done.returncode, list(command), done.stdout, done.stderr)
            error.add_note(f"on {self.name}: {done.stdout}{done.stderr}")
            raise error
        return done

    def start(
        self,
        command: Sequence[str],
        *,
        input: str | None = None,  # noqa: A002  subprocess.run's name for it
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> Command:
        """Start a command. Its output waits in `stdout` and `stderr` of what is returned, or is appended to a log.

        Raises LabError when the machine has ended. 127 is the exit status of a command that isn't there.
        """
        return self._channel.start(command, env=self._host.environment(env), input=input or "", log=log)

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        """Write a file in the machine. What is on the host in /etc, /usr, … is there already."""
        script = 'mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"'
        self.run(["sh", "-c", script, "sh", path, f"{mode:o}"], input=text)

    def start_docker(self, **settings: object) -> Command:
        """Start dockerd, with the image busybox, and wait until it answers; settings are added to daemon.json.

        One that ran from the beginning is returned where no settings are wanted, and ended otherwise.
        """
        if daemon := self._daemons.pop("dockerd", None):
            if not settings:
                return daemon
            daemon.terminate()
            daemon.wait(_TO_BOOT)
        self.write("/etc/docker/daemon.json", json.dumps({**_DOCKERD, **settings}))
        log = self._dockerd_log
        daemon = self.start(["dockerd"], log=log)
        self.wait_for(lambda: self.run(["docker", "version"], check=False).returncode == 0, daemon, log)
        self.run(["docker", "import", "-c", 'CMD ["sh"]', str(busybox_image()), "busybox"], timeout=_TO_BOOT)
        return daemon

    def go_on(self, made: Snapshot) -> None:
        """Know what runs in it since before it was put aside, and tell it that it goes on."""
        if made.dockerd is not None:
            self._daemons["dockerd"] = self._channel.adopt(made.dockerd, ["dockerd"], self._dockerd_log)
        self._channel.wake(made.next)

    @property
    def _dockerd_log(self) -> Path:
        return self.log.with_name(f"{self.log.stem}-dockerd.log")

    def wait_for(self, ready: Callable[[], bool], daemon: Command, log: Path, patience: float = _TO_BOOT) -> None:
        """Wait until a daemon that was started is ready; raises LabError with the last line of its log."""
        limit = time.monotonic() + patience
        while not ready():
            if daemon.poll() is not None or time.monotonic() > limit:
                what = "was not ready in time" if daemon.poll() is None else "ended at its start"
                raise LabError(f"{daemon.argv[0]} on {self.name} {what}: {last_line(log)}", remedy=f"see {log}")
            time.sleep(0.1)


@contextmanager
def virtual_machine(
    lab: Lab,
    *,
    host: str,
    port: str,
    name: str = "vm",
    memory: int = 1024,
    processors: int = 1,
    docker: bool = False,
) -> Iterator[VirtualMachine]:
    """Have a machine on a host, with one NIC, `eth0`: a port of Neutron's, with its addresses and default routes.

    port: the id of a port that no one uses, which may have a trunk; it is bound to the host, and released in the end.
    name: its host name. memory: in MiB. docker: whether a dockerd runs in it from the beginning, so that `start_docker`
    takes no time. Raises LabError.
    """
    with ExitStack() as undo:
        made = _snapshot(lab, lab.host(host), memory, processors, docker=docker)
        yield _go_on(lab, port, name, undo, host=lab.host(host), made=made)


def _snapshot(lab: Lab, host: Host, memory: int, processors: int, *, docker: bool) -> Snapshot:
    """Find the machine that all go on from, or boot it and put it aside."""
    kernel = find_kernel()
    if kernel is None or missing_packages(machines=True):
        raise LabError(
            "what virtual machines need is not installed", remedy="`fairlead lab install --virtual-machines`"
        )
    log = lab.paths.log / "virtual-machines.log"

    def inside(channel: Channel, version: str = "") -> VirtualMachine:
        return VirtualMachine("vm", _NOWHERE, version, log, host, channel)

    def furnish(channel: Channel, version: str) -> None:
        inside(channel, version).run(["sh", "-c", _FURNISH])

    def start_docker(channel: Channel) -> None:
        inside(channel).start_docker()
        # The first container of all takes twice as long as any other.
        inside(channel).run(["docker", "run", "--rm", "busybox", "true"], timeout=_TO_BOOT)

    def say(line: str) -> None:
        sys.stderr.write(f"{line}\n")

    maker = Maker(host, log, _TO_BOOT, say, furnish, start_docker)
    return snapshot(kernel, memory, processors, maker, docker=docker)


def _go_on(lab: Lab, port_id: str, name: str, undo: ExitStack, *, host: Host, made: Snapshot) -> VirtualMachine:
    admin = Neutron(lab.clouds_yaml, "admin")
    undo.callback(port.release, admin, port_id)
    wanted = port.bind(admin, port_id, host.name)
    undo.callback(host.run, ["sh", "-c", nic.unplug_machine(wanted)])
    host.run(["sh", "-c", nic.plug_machine(wanted)])
    log = lab.paths.log / f"{host.name}-{name}.log"
    emulator = Emulator(host, made.hardware, f"/run/virtual-machines/{wanted.tap}", log)
    channel, monitor = emulator.resume(undo, made.memory, made.state)
    brought = f"{emulator.folder}/brought"
    host.run(["tar", "-f", brought, *files.current(_HOST_ETC)])
    add_disk(monitor, brought)
    add_nic(monitor, wanted)
    machine = VirtualMachine(name, wanted, made.hardware.kernel.version, log, host, channel)
    machine.go_on(made)
    monitor("cont")
    if channel.wait_ready(_TO_BOOT) is None:
        raise LabError(f"{name} did not come up: {last_line(log)}", remedy=f"see {log}")
    machine.run(["sh", "-c", _GO_ON.format(name=shlex.quote(name)) + nic.configure(wanted, offload=True)])
    host.run(["sh", "-c", nic.await_flows(wanted)])
    return machine
