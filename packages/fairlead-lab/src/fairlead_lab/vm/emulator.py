"""The processes of a virtual machine on its host: qemu, and virtiofsd, which gives it the host's files."""

import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.host import Host
from fairlead_lab.instances import Nic
from fairlead_lab.packages import find_program
from fairlead_lab.readiness import last_line
from fairlead_lab.vm import guest
from fairlead_lab.vm.channel import Channel
from fairlead_lab.vm.initramfs import SHARE, initramfs
from fairlead_lab.vm.kernel import Kernel

# Seconds until a program that was started listens.
_TO_LISTEN = 20.0


@dataclass(frozen=True, slots=True)
class Emulator:
    """A machine to be started on a host, once.

    nic: its port, whose tap device is there. memory: in MiB. log: a file for the machine's console.
    """

    host: Host
    kernel: Kernel
    nic: Nic
    memory: int
    processors: int
    log: Path

    @property
    def folder(self) -> str:
        """Where its sockets are on the host."""
        return f"/run/virtual-machines/{self.nic.tap}"

    def start(self, undo: ExitStack) -> Channel:
        """Start it, and leave to `undo` how it ends: at once, since nothing in it is worth a clean end.

        Raises LabError. The machine isn't up when this returns.
        """
        undo.callback(self.host.run, ["rm", "-rf", self.folder])
        self.host.run(["sh", "-c", f"rm -rf {self.folder}; mkdir -p {self.folder}"])
        first = f"{sys.executable} -I -S -B {guest.__file__}"
        self.host.path(f"{self.folder}/initramfs").write_bytes(initramfs(self.kernel, first))
        self._spawn(self._share(), f"{self.folder}/files", self.log.with_suffix(".files.log"), undo)
        self._spawn(self._machine(), f"{self.folder}/control", self.log, undo)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.host.path(f"{self.folder}/control")))
        channel = Channel(connection)
        undo.callback(channel.close)
        return channel

    def _spawn(self, argv: list[str], listens: str, log: Path, undo: ExitStack) -> None:
        """Start a program and wait for its socket."""
        with log.open("a") as output:
            process = self.host.popen(argv, stdout=output)
        undo.callback(_end, process)
        limit = time.monotonic() + _TO_LISTEN
        while not self.host.path(listens).exists():
            if process.poll() is not None or time.monotonic() > limit:
                name = f"{Path(argv[0]).name} on {self.host.name}"
                raise LabError(f"{name} did not start: {last_line(log)}", remedy=f"see {log}")
            time.sleep(0.02)

    def _share(self) -> list[str]:
        # Files are cached as long as the machine lives: what is changed on the host meanwhile may not be seen.
        options = "source=/,sandbox=chroot,cache=always,log_level=warn"
        return [str(find_program("virtiofsd")), "-f", f"--socket-path={self.folder}/files", "-o", options]

    def _machine(self) -> list[str]:
        """The machine for qemu: memory that virtiofsd sees too, a console that is the log, one NIC.

        It is emulated even where there is a /dev/kvm, which tells little: some need a kernel made for them in the
        machine. As the switch takes frames from the device as they are (AF_PACKET), the machine is not offered to leave
        checksums or segmentation to it.
        """
        control = f"socket,id=control,path={self.folder}/control,server=on,wait=off"
        return [
            "qemu-system-x86_64",
            *("-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"),
            *("-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", str(self.processors)),
            *("-m", f"{self.memory}M", "-numa", "node,memdev=memory"),
            *("-object", f"memory-backend-memfd,id=memory,size={self.memory}M,share=on"),
            *("-kernel", str(self.kernel.image), "-initrd", f"{self.folder}/initramfs"),
            *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
            *("-chardev", f"socket,id=files,path={self.folder}/files"),
            *("-device", f"vhost-user-fs-pci,chardev=files,tag={SHARE}"),
            *("-chardev", control),
            *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=control,name=control"),
            *("-netdev", f"tap,id=nic,ifname={self.nic.tap},script=no,downscript=no,vnet_hdr=off"),
            *(
                "-device",
                f"virtio-net-pci,netdev=nic,mac={self.nic.mac},host_mtu={self.nic.mtu},csum=off,guest_csum=off",
            ),
        ]


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
