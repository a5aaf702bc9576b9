"""What a virtual machine starts from, and how it is told what to run; that one boots is shown by the e2e tests."""

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

import pytest

from fairlead.model.errors import LabError
from fairlead_lab import install as install_module
from fairlead_lab.install import install
from fairlead_lab.vm import port
from fairlead_lab.vm.channel import Channel, Lines
from fairlead_lab.vm.files import current, project, with_dependencies
from fairlead_lab.vm.initramfs import archive, module_order
from fairlead_lab.vm.kernel import Kernel, find_kernel, newest_in
from fairlead_lab.vm.monitor import Monitor

SHOWN = """\
Package: linux-image-cloud-amd64
Source: linux-signed-amd64 (6.1.192+2)
Depends: linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)
"""
DEPENDENCIES = """\
kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
kernel/fs/fuse/fuse.ko:
kernel/fs/fuse/virtiofs.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko kernel/fs/fuse/fuse.ko
kernel/drivers/net/virtio-net.ko.xz: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
"""
SERVE = "import sys; from fairlead_lab.vm.guest import Guest; Guest(int(sys.argv[1])).serve()"
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def test_the_newest_kernel_is_what_debians_package_depends_on() -> None:
    assert newest_in(SHOWN) == ("linux-image-6.1.0-56-cloud-amd64", "6.1.0-56-cloud-amd64")
    assert newest_in("") is None


def test_a_kernel_is_found_once_it_is_there(tmp_path: Path) -> None:
    assert find_kernel(tmp_path) is None
    modules = tmp_path / "cloud-kernel/lib/modules/6.1.0-56-cloud-amd64"
    modules.mkdir(parents=True)
    kernel = find_kernel(tmp_path)
    assert kernel == Kernel("6.1.0-56-cloud-amd64", tmp_path / "cloud-kernel")
    assert kernel.modules == modules
    assert kernel.image == tmp_path / "cloud-kernel/boot/vmlinuz-6.1.0-56-cloud-amd64"


async def test_a_kernel_is_downloaded_for_virtual_machines_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(log: Path, cache_root: Path) -> None:
        (cache_root / "cloud-kernel/lib/modules/6.1").mkdir(parents=True)

    class Progress:
        def ended(self, time: Any) -> None: ...

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(install_module, "missing_packages", lambda machines: ())
    monkeypatch.setattr(install_module, "is_complete", lambda environment: True)
    monkeypatch.setattr(install_module, "download_kernel", download)
    assert await install(Progress(), tmp_path) == ()
    (stage,) = await install(Progress(), tmp_path, machines=True)
    assert stage.name == "kernel"
    assert await install(Progress(), tmp_path, machines=True) == ()


def test_a_module_comes_after_what_it_needs_and_none_comes_twice() -> None:
    order = module_order(DEPENDENCIES, ["virtiofs", "virtio_net", "ext4"])
    names = [Path(module).name for module in order]
    assert sorted(names) == ["fuse.ko", "virtio-net.ko.xz", "virtio.ko", "virtio_ring.ko", "virtiofs.ko"]
    for first, then in (("virtio.ko", "virtio_ring.ko"), ("virtio_ring.ko", "virtiofs.ko"), ("fuse.ko", "virtiofs.ko")):
        assert names.index(first) < names.index(then)


@pytest.mark.root  # which brings busybox, as the lab's packages do
def test_an_archive_is_what_cpio_reads(tmp_path: Path) -> None:
    made = archive({"bin": None, "bin/tool": b"#!/bin/sh\necho hello\n", "empty": b""})
    subprocess.run(["busybox", "cpio", "-idm"], input=made, cwd=tmp_path, check=True, capture_output=True)
    assert subprocess.run([str(tmp_path / "bin/tool")], capture_output=True, text=True, check=True).stdout == "hello\n"
    assert (tmp_path / "empty").read_bytes() == b""


class Admin:
    """Neutron with one port, as its administrator sees it."""

    def __init__(self, vif_type: str = "ovs") -> None:
        self.port: dict[str, Any] = {
            "id": "p1",
            "network_id": "n1",
            "mac_address": "fa:16:3e:00:00:01",
            "fixed_ips": [{"subnet_id": "s4", "ip_address": "10.0.0.5"}, {"subnet_id": "s6", "ip_address": "fd00::5"}],
            "binding:vif_type": vif_type,
        }
        self.there = True

    def all(self, kind: str, **filters: str) -> list[dict[str, Any]]:
        found: dict[str, list[dict[str, Any]]] = {
            "networks": [{"id": "n1", "mtu": 1442}],
            "subnets": [
                {"id": "s4", "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1"},
                {"id": "s6", "cidr": "fd00::/64", "gateway_ip": None},
            ],
            "ports": [self.port] if self.there else [],
        }
        return found[kind]

    def add(self, kind: str, attributes: Any) -> dict[str, Any]:
        raise NotImplementedError

    def put(self, path: str, body: Any) -> dict[str, Any]:
        assert self.there
        assert path == "ports/p1"
        self.port |= body["port"]
        return {"port": self.port}


def test_a_port_is_bound_as_nova_does_and_released() -> None:
    admin = Admin()
    nic = port.bind(admin, "p1", "h2")
    assert (admin.port["binding:host_id"], admin.port["device_owner"]) == ("h2", "compute:nova")
    assert admin.port["device_id"] == nic.device
    assert nic.addresses == (IPv4Interface("10.0.0.5/24"), IPv6Interface("fd00::5/64"))
    assert nic.gateways == (IPv4Address("10.0.0.1"),), "a subnet may have none"
    port.release(admin, "p1")
    assert (admin.port["binding:host_id"], admin.port["device_owner"], admin.port["device_id"]) == ("", "", "")
    admin.there = False
    port.release(admin, "p1")


def test_a_port_that_cannot_be_bound_is_named() -> None:
    with pytest.raises(LabError, match="Neutron could not bind port p1 to h2"):
        port.bind(Admin("binding_failed"), "p1", "h2")


@pytest.fixture
def channel() -> Iterator[Channel]:
    """A channel to what runs in a machine, as a process beside this one."""
    ours, theirs = socket.socketpair()
    argv = [sys.executable, "-c", SERVE, str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True)
    made = Channel(ours)
    assert made.wait_ready(30)
    yield made
    made.close()
    # It ends by itself when nobody is at the other end.
    assert process.communicate(timeout=30)[1] == "nobody is at the other end\n"


def test_a_command_gets_its_input_and_tells_its_output_and_its_status(channel: Channel) -> None:
    script = 'read line; echo "$line $NAME $PWD"; echo wrong >&2; exit 3'
    command = channel.start(["sh", "-c", script], env={**ENV, "NAME": "é"}, input="hello\n", folder="/usr")
    assert command.wait(30) == 3
    assert command.poll() == 3
    assert (command.stdout.read(30), command.stderr.read(30)) == ("hello é /usr\n", "wrong\n")


def test_all_of_a_long_output_arrives_though_nobody_reads(channel: Channel) -> None:
    command = channel.start(["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"], env=ENV)
    assert command.wait(30) == 0
    assert command.stdout.read(30) == "x" * 3_000_000


def test_commands_run_beside_each_other_and_are_read_line_by_line(channel: Channel) -> None:
    slow = channel.start(["sh", "-c", "echo one; echo two; exec sleep 1000"], env=ENV)
    assert slow.stdout.readline(30) == "one\n"
    assert channel.start(["true"], env=ENV).wait(30) == 0
    assert slow.stdout.readline(30) == "two\n"
    with pytest.raises(TimeoutError):
        slow.stdout.readline(0.01)
    assert slow.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        slow.wait(0.01)
    slow.terminate()
    assert slow.wait(30) == -signal.SIGTERM
    assert slow.stdout.readline(30) == ""
    slow.kill()  # what has ended is left alone


def test_a_command_that_left_something_running_has_ended_all_the_same(channel: Channel) -> None:
    command = channel.start(["sh", "-c", "sleep 3 & echo done"], env=ENV)
    assert command.wait(2.5) == 0
    assert command.stdout.read(30) == "done\n"


def test_a_command_that_is_not_there_ends_with_127(channel: Channel) -> None:
    command = channel.start(["no-such-program"], env=ENV)
    assert command.wait(30) == 127
    assert command.stderr.read(30) == "no-such-program: No such file or directory\n"


def test_a_daemons_output_goes_to_its_log(channel: Channel, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    command = channel.start(["sh", "-c", "echo out; echo err >&2"], env=ENV, log=log)
    assert command.wait(30) == 0
    assert sorted(log.read_text().splitlines()) == ["before", "err", "out"]


def test_what_runs_when_the_machine_ends_counts_as_killed() -> None:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    command = channel.start(["sleep", "1000"], env=ENV)
    theirs.close()
    assert command.wait(30) == -signal.SIGKILL
    with pytest.raises(LabError, match="the virtual machine has ended"):
        channel.start(["true"], env=ENV)
    assert channel.wait_ready(30) is None
    channel.close()


def test_a_command_that_runs_in_a_machine_that_goes_on_is_known_to_the_next_channel(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ours, theirs = socket.socketpair()
    with theirs, theirs.makefile("rwb") as guest:
        first = Channel(ours)
        first.start(["daemon"], env=ENV)
        place = first.place()
        assert (place.next, place.running) == (2, (1,))
        first.close()
    ours, theirs = socket.socketpair()
    with theirs, theirs.makefile("rwb") as guest:
        second = Channel(ours)
        daemon = second.adopt(1, ["daemon"], log)
        second.wake(place.next)
        second.start(["true"], env=ENV)
        assert json.loads(guest.readline())["wake"].keys() == {"time", "seed"}
        assert json.loads(guest.readline())["id"] == 2
        guest.write(b'{"id": 1, "stream": 1, "text": "said"}\n{"id": 1, "exit": 7}\n')
        guest.flush()
        assert daemon.wait(30) == 7
        assert log.read_text() == "said"
        second.close()


def test_a_package_comes_with_what_it_depends_on_as_far_as_it_is_installed() -> None:
    installed = {
        "docker.io": "containerd (>= 1.4), iptables | nftables",
        "containerd": "libc6 (>= 2.34)",
        "nftables": "libc6:amd64, gone (= 1)",
        "libc6": ",",
        "vim": "libc6",
    }
    assert with_dependencies(installed, ["docker.io", "docker-ce"]) == ["containerd", "docker.io", "libc6", "nftables"]


def test_a_machine_is_brought_this_project_and_what_is_the_hosts_own(tmp_path: Path) -> None:
    subprocess.run(["tar", "-f", str(tmp_path / "brought"), *current(["hosts"])], check=True, cwd="/")
    shown = subprocess.run(["tar", "-tf", str(tmp_path / "brought")], capture_output=True, text=True, check=True).stdout
    names = shown.splitlines()
    assert "etc/hosts" in names
    assert str(Path(__file__)).lstrip("/") in names
    assert not [name for name in names if name.startswith(f"{project()}/.venv/".lstrip("/"))]


@pytest.fixture
def qemu(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """What answers as qemu's monitor does: the path of its socket, and its answers after the greeting."""
    answers: list[bytes] = []
    path = str(tmp_path / "monitor")

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rwb") as file:
            file.write(b'{"QMP": {}}\n')
            file.flush()
            while file.readline() and answers:
                file.write(answers.pop(0))
                file.flush()

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        thread = threading.Thread(target=serve, args=[listening])
        thread.start()
        yield path, answers
        thread.join()


def test_a_monitors_answer_is_told_from_its_events(qemu: tuple[str, list[bytes]]) -> None:
    path, answers = qemu
    answers += [b'{"return": {}}\n', b'{"event": "RESUME"}\n{"return": {"running": true}}\n']
    with Monitor(path) as monitor:
        assert monitor("query-status") == {"running": True}


def test_what_qemu_refuses_is_told_with_its_reason(qemu: tuple[str, list[bytes]]) -> None:
    path, answers = qemu
    answers += [b'{"return": {}}\n', b'{"error": {"class": "GenericError", "desc": "no such device"}}\n']
    answers += [b'{"return": {"status": "failed", "error-desc": "no memory"}}\n']
    with Monitor(path) as monitor:
        with pytest.raises(LabError, match="qemu refuses device_add: no such device"):
            monitor("device_add", driver="nothing")
        with pytest.raises(LabError, match="state could not be moved: no memory"):
            monitor.await_migration()


def test_a_monitor_that_is_gone_is_told(qemu: tuple[str, list[bytes]]) -> None:
    path, answers = qemu
    answers += [b'{"return": {}}\n']
    with Monitor(path) as monitor, pytest.raises(LabError, match="qemu has ended"):
        monitor("query-status")


def test_lines_that_come_in_parts_are_put_together() -> None:
    lines = Lines()
    for text in ("a", "b\nc", "\nd", None):
        lines.feed(text)
    assert [lines.readline(1) for _ in range(4)] == ["ab\n", "c\n", "d", ""]
