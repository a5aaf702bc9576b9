"""A virtual machine on a lab's host, plugged as Nova plugs one.

    with virtual_machine(lab, host="h1", port=port["id"]) as machine:
        machine.run(["ip", "link", "add", "link", "eth0", "name", "eth0.101", "type", "vlan", "id", "101"])
        agent = machine.start([sys.executable, "-m", "fairlead", "agent"], log=lab.paths.log / "vm-agent.log")

The machine's files are the host's, under a layer of its own in memory; /run is empty at first, and /var/lib/docker a
file system of its own. Its emulator runs in the host's namespaces and is a child of this process. It ends with the `with`
block, also after an interrupt; `fairlead lab down` ends it in any case.
"""

import json
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fairlead.lab import nic
from fairlead.lab.host import Host
from fairlead.lab.image import busybox_image
from fairlead.lab.instances import Nic
from fairlead.lab.lab import Lab
from fairlead.lab.neutron import Neutron
from fairlead.lab.packages import find_program
from fairlead.lab.readiness import last_line
from fairlead.lab.vm import guest, port
from fairlead.lab.vm.channel import Channel, Command
from fairlead.lab.vm.initramfs import SHARE, initramfs
from fairlead.lab.vm.kernel import Kernel, find_kernel
from fairlead.model.errors import LabError

# Seconds for a machine to take commands; an emulated one on a busy processor needs a while.
_TO_BOOT = 120.0
_TO_PLUG = 20.0

_FURNISH = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns /dev/pts /dev/shm /var/lib/docker /lib/modules/{version}
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /var/lib/docker
mount --bind {modules} /lib/modules/{version}
rm -rf /etc/docker /etc/fairlead
mkdir -p /etc/docker /etc/fairlead
echo {name} >/etc/hostname
hostname {name}
ip link set lo up
"""

_DOCKERD = {"data-root": "/var/lib/docker", "hosts": ["unix:///run/docker.sock"], "group": "root"}


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """A machine that runs. nic: its port; kernel: the version, as `uname -r` prints it; folder: for logs, on the host.

    `name` and `run` are as a Host's, so what drives a host drives a machine.
    """

    name: str
    nic: Nic
    kernel: str
    log: Path
    _host: Host
    _channel: Channel

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
        """Start dockerd, with the image busybox, and wait until it answers; settings are added to daemon.json."""
        self.write("/etc/docker/daemon.json", json.dumps({**_DOCKERD, **settings}))
        log = self.log.with_name(f"{self.log.stem}-dockerd.log")
        daemon = self.start(["dockerd"], log=log)
        self.wait_for(lambda: self.run(["docker", "version"], check=False).returncode == 0, daemon, log)
        self.run(["docker", "import", "-c", 'CMD ["sh"]', str(busybox_image()), "busybox"], timeout=_TO_BOOT)
        return daemon

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
) -> Iterator[VirtualMachine]:
    """Boot a machine on a host, with one NIC, `eth0`: a port of Neutron's, with its addresses and default routes.

    port: the id of a port that no one uses; it is bound to the host, and released in the end. name: its host name, one
    of its own on each host. memory: in MiB. Raises LabError.
    """
    with ExitStack() as undo:
        yield _boot(lab, lab.host(host), port, name, _Hardware(memory, processors), undo)


@dataclass(frozen=True, slots=True)
class _Hardware:
    memory: int
    processors: int


def _boot(lab: Lab, host: Host, port_id: str, name: str, hardware: _Hardware, undo: ExitStack) -> VirtualMachine:
    kernel = find_kernel()
    if kernel is None or find_program("qemu-system-x86_64") is None or find_program("virtiofsd") is None:
        raise LabError(
            "what virtual machines need is not installed", remedy="`fairlead lab install --virtual-machines`"
        )
    admin = Neutron(lab.clouds_yaml, "admin")
    undo.callback(port.release, admin, port_id)
    wanted = port.bind(admin, port_id, host.name)
    undo.callback(host.run, ["sh", "-c", nic.unplug_machine(wanted)])
    # The bridge waits for OVN while the machine boots.
    plugging = host.popen(["sh", "-c", nic.plug_machine(wanted)])
    undo.callback(plugging.wait)
    host.run(["sh", "-c", f"until ip link show {wanted.tap}; do sleep 0.02; done"], timeout=_TO_PLUG)
    folder = f"/run/virtual-machines/{name}"
    undo.callback(host.run, ["rm", "-rf", folder])
    host.run(["mkdir", "-p", folder])
    log = lab.paths.log / f"{host.name}-{name}.log"
    channel = _start(host, kernel, folder, wanted, hardware, log, undo)
    version = channel.wait_ready(_TO_BOOT)
    if version is None:
        raise LabError(f"{name} did not come up: {last_line(log)}", remedy=f"see {log}")
    machine = VirtualMachine(name, wanted, version, log, host, channel)
    machine.run(["sh", "-c", _FURNISH.format(name=shlex.quote(name), version=version, modules=kernel.modules)])
    machine.run(["sh", "-c", nic.configure(wanted, offload=True)])
    said, _ = plugging.communicate(timeout=_TO_PLUG)
    if plugging.returncode != 0:
        raise LabError(f"{name} can't be plugged into {host.name}: {said.strip()}")
    return machine


def _start(
    host: Host, kernel: Kernel, folder: str, wanted: Nic, hardware: _Hardware, log: Path, undo: ExitStack
) -> Channel:
    first = f"{sys.executable} -I -S -B {guest.__file__}"
    host.path(f"{folder}/initramfs").write_bytes(initramfs(kernel, first))
    files, control = f"{folder}/files.sock", f"{folder}/control.sock"
    log.touch()
    output = undo.enter_context(log.open("a"))
    # Files are cached as long as the machine lives: what changes below it meanwhile may not be seen.
    share = [
        str(find_program("virtiofsd")),
        *("-f", f"--socket-path={files}", "-o", "source=/,sandbox=chroot,cache=always", "--thread-pool-size=4"),
    ]
    _child(host.popen(share, stdout=output), undo)
    _await(host.path(files), log)
    emulator = ["qemu-system-x86_64", *_arguments(kernel, folder, files, control, wanted, hardware)]
    _child(host.popen(emulator, stdout=output), undo)
    _await(host.path(control), log)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(host.path(control)))
    channel = Channel(connection)
    undo.callback(channel.close)
    return channel


def _arguments(
    kernel: Kernel, folder: str, files: str, control: str, wanted: Nic, hardware: _Hardware
) -> tuple[str, ...]:
    """The machine for qemu: memory that virtiofsd sees too, a console that is the log, one NIC.

    It is emulated even where there is a /dev/kvm, which tells little: some need a kernel made for them in the machine.
    As the switch takes frames from the device as they are (AF_PACKET), the machine is not offered to leave checksums or
    segmentation to it.
    """
    return (
        *("-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"),
        *("-machine", "q35", "-accel", "tcg", "-cpu", "max"),
        *("-smp", str(hardware.processors), "-m", f"{hardware.memory}M"),
        *("-object", f"memory-backend-memfd,id=memory,size={hardware.memory}M,share=on"),
        *("-numa", "node,memdev=memory"),
        *("-kernel", str(kernel.image), "-initrd", f"{folder}/initramfs"),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
        *("-chardev", f"socket,id=files,path={files}"),
        *("-device", f"vhost-user-fs-pci,chardev=files,tag={SHARE}"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=control,path={control},server=on,wait=off"),
        *("-device", "virtserialport,chardev=control,name=control"),
        *("-netdev", f"tap,id=nic,ifname={wanted.tap},script=no,downscript=no,vnet_hdr=off"),
        *("-device", f"virtio-net-pci,netdev=nic,mac={wanted.mac},host_mtu={wanted.mtu},csum=off,guest_csum=off"),
    )


def _child(process: subprocess.Popen[str], undo: ExitStack) -> None:
    """End a process at once when all is undone: nothing in it is worth a clean end."""

    def end() -> None:
        process.kill()
        process.wait()

    undo.callback(end)


def _await(path: Path, log: Path) -> None:
    limit = time.monotonic() + _TO_PLUG
    while not path.exists():
        if time.monotonic() > limit:
            raise LabError(f"a virtual machine did not start: {last_line(log)}", remedy=f"see {log}")
        time.sleep(0.02)
