"""qemu on a lab's host: it boots a machine, or goes on with one that was put aside."""

import shlex
import socket
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.host import Host
from fairlead_lab.instances import Nic
from fairlead_lab.readiness import last_line
from fairlead_lab.vm.channel import Channel
from fairlead_lab.vm.kernel import Kernel
from fairlead_lab.vm.monitor import Monitor

# Seconds until a program that was started listens.
_TO_LISTEN = 20.0


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a machine is made of, which stays what it was when it is put aside. memory: in MiB."""

    kernel: Kernel
    initramfs: Path
    disk: Path
    memory: int
    processors: int


@dataclass(frozen=True, slots=True)
class Emulator:
    """A machine on a host. folder: where its sockets are, on the host; log: a file for its console."""

    host: Host
    hardware: Hardware
    folder: str
    log: Path

    def boot(self, undo: ExitStack, memory: Path) -> tuple[Channel, Monitor]:
        """Boot it, with its memory in a file. It has no NIC. It isn't up when this returns. Raises LabError."""
        return self._start(undo, memory, "share=on", [])

    def resume(self, undo: ExitStack, memory: Path, state: Path) -> tuple[Channel, Monitor]:
        """Have it as it was when it was put aside, but for a pause before it goes on; raises LabError.

        The file of its memory is read as it goes, and not changed: any number may have it.
        """
        channel, monitor = self._start(undo, memory, "share=off", ["-S", "-incoming", "defer"])
        _without_memory(monitor)
        monitor("migrate-incoming", uri=f"exec:cat {shlex.quote(str(state))}")
        monitor.await_migration()
        return channel, monitor

    def put_aside(self, monitor: Monitor, state: Path) -> None:
        """Write down all of its state but its memory, which is in its file already. It doesn't go on after this."""
        monitor("stop")
        _without_memory(monitor)
        monitor("migrate", uri=f"exec:cat >{shlex.quote(str(state))}")
        monitor.await_migration()

    def _start(self, undo: ExitStack, memory: Path, share: str, more: list[str]) -> tuple[Channel, Monitor]:
        """Start it, and leave to `undo` how it ends: at once, since nothing in it is worth a clean end."""
        undo.callback(self.host.run, ["rm", "-rf", self.folder])
        self.host.run(["sh", "-c", f"rm -rf {self.folder}; mkdir -p {self.folder}"])
        with self.log.open("a") as output:
            process = self.host.popen([*self._machine(memory, share), *more], stdout=output)
        undo.callback(_end, process)
        limit = time.monotonic() + _TO_LISTEN
        while not self.host.path(f"{self.folder}/monitor").exists():
            if process.poll() is not None or time.monotonic() > limit:
                raise LabError(
                    f"qemu on {self.host.name} did not start: {last_line(self.log)}", remedy=f"see {self.log}"
                )
            time.sleep(0.02)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.host.path(f"{self.folder}/control")))
        channel = Channel(connection)
        undo.callback(channel.close)
        return channel, undo.enter_context(Monitor(str(self.host.path(f"{self.folder}/monitor"))))

    def _machine(self, memory: Path, share: str) -> list[str]:
        """The machine for qemu: memory in a file, a console that is the log, a disk nobody writes to.

        It is emulated even where there is a /dev/kvm, which tells little: some need a kernel made for them in the
        machine.
        """
        own = self.hardware
        backend = f"memory-backend-file,id=memory,size={own.memory}M,mem-path={memory},{share}"
        return [
            "qemu-system-x86_64",
            *("-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"),
            *("-machine", "pc,memory-backend=memory", "-accel", "tcg", "-cpu", "max", "-smp", str(own.processors)),
            *("-m", f"{own.memory}M", "-object", backend),
            *("-kernel", str(own.kernel.image), "-initrd", str(own.initramfs)),
            *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
            *("-blockdev", f"raw,node-name=files,read-only=on,file.driver=file,file.filename={own.disk}"),
            *("-device", "virtio-blk-pci,drive=files"),
            *("-chardev", f"socket,id=control,path={self.folder}/control,server=on,wait=off"),
            *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=control,name=control"),
            *("-chardev", f"socket,id=monitor,path={self.folder}/monitor,server=on,wait=off"),
            *("-mon", "chardev=monitor,mode=control"),
        ]


def add_nic(monitor: Monitor, nic: Nic) -> None:
    """Give a machine its NIC, by the tap device that is there for it.

    As the switch takes frames from the device as they are (AF_PACKET), the machine is not offered to leave checksums or
    segmentation to it.
    """
    off = {"script": "no", "downscript": "no", "vnet_hdr": False}
    monitor("netdev_add", type="tap", id="nic", ifname=nic.tap, **off)
    words = {"host_mtu": nic.mtu, "csum": False, "guest_csum": False}
    monitor("device_add", driver="virtio-net-pci", netdev="nic", mac=nic.mac, **words)


def add_disk(monitor: Monitor, image: str) -> None:
    """Give a machine one more disk, to be read only."""
    file = {"driver": "file", "filename": image}
    monitor("blockdev-add", **{"driver": "raw", "node-name": "more", "read-only": True, "file": file})
    monitor("device_add", driver="virtio-blk-pci", drive="more")


def _without_memory(monitor: Monitor) -> None:
    monitor("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
