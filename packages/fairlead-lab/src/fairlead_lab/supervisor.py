"""Starting and stopping the components of a lab, each act recorded before it is done."""

import asyncio
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab import commands, namespaces
from fairlead_lab.cgroups import make_group, members
from fairlead_lab.components import INHERITED_SOCKET, Component
from fairlead_lab.host import Host
from fairlead_lab.manifest import ComponentRecord, Manifest, ManifestFile, NamespaceRecord, ProcessId
from fairlead_lab.processes import (
    clean_environment,
    entering,
    is_alive,
    kill_all,
    spawn,
    stop,
)
from fairlead_lab.readiness import wait_ready
from fairlead_lab.site import Site
from fairlead_lab.spec import FABRIC, MACHINE

_PATIENCE = 10.0


class Supervisor:
    """Acts on one lab; the manifest on disk is always at least as wide as the world."""

    def __init__(self, site: Site, file: ManifestFile, manifest: Manifest) -> None:
        self.site = site
        self._file = file
        self.manifest = manifest

    def record(self, manifest: Manifest) -> None:
        """Replace the manifest, here and on disk."""
        self.manifest = self._file.write(manifest)

    def place(self, name: str) -> Host:
        """The fabric or a host; raises LabError when its namespaces are gone."""
        record = self.manifest.namespaces.get(name)
        if record is None or record.holder is None or not is_alive(record.holder):
            down = f"`fairlead lab down --name {self.site.spec.name}`"
            raise LabError(f"the namespaces of {name} are gone", remedy=f"{down}, then up again")
        return self._host(name, record.holder)

    def runs(self, name: str) -> bool:
        """Whether a component runs."""
        record = self.manifest.components.get(name)
        return record is not None and is_alive(record.process)

    async def open_namespaces(self, place: str, etc: Mapping[str, str]) -> None:
        """Make the namespaces of the fabric, a host or an instance, furnished, unless they are there.

        A host's are wired to the underlay; an instance's NIC is a matter of Neutron's.

        etc: text of files in a host's own /etc by their path below it; only root may read them.
        """
        known = self.manifest.namespaces.get(place)
        if known is not None and is_alive(known.holder):
            return
        self.record(self.manifest.with_namespace(place, NamespaceRecord()))
        paths = self.site.paths
        group = await self._empty_group(f"holder/{place}")
        record = await namespaces.hold(place, group, paths.component_log("namespaces"))
        assert record.holder is not None  # noqa: S101  `hold` returns no other
        host = self._host(place, record.holder)
        if place == FABRIC:
            await namespaces.furnish_fabric(host, self.site.spec.mtu)
        else:
            await namespaces.furnish_host(host, paths.host(place), namespaces.hosts_file(self.site.spec, place))
            for name, text in etc.items():
                host.path(f"/etc/{name}").touch(mode=0o600)
                host.path(f"/etc/{name}").write_text(text)
        if place in self.site.spec.host_names:
            await namespaces.wire(
                host, self.place(FABRIC), mtu=self.site.spec.mtu, offload=self.site.datapath == "system"
            )
        self.record(self.manifest.with_namespace(place, record))

    async def start(self, component: Component) -> None:
        """Start a component unless it runs, wait until it is ready, and set it up.

        One that runs is waited for and set up too: the `up` that started it may not have come so far.
        """
        process = await self.begin(component)
        await wait_ready(
            component.name,
            component.ready,
            process,
            root=Path("/") if component.place == MACHINE else self.place(component.place).path("/"),
            loopback_port=self.manifest.loopback_ports.get(component.name),
            log=self.site.paths.component_log(component.name),
        )
        if component.settle:
            await self.run_in(component.place, component.settle, purpose=f"setting up {component.name}")
        self.record(self.manifest.with_component(component.name, ComponentRecord(process, kept=True)))

    async def begin(self, component: Component) -> ProcessId:
        """Start a component unless it runs, and wait for nothing."""
        record = self.manifest.components.get(component.name)
        process = record.process if record else None
        return process if process and is_alive(process) else await self._spawn(component)

    async def _spawn(self, component: Component) -> ProcessId:
        environment = clean_environment(component.environment)
        environment["TMPDIR"] = self._fresh_tmp(component)
        if component.prepare:
            await self.run_in(component.place, component.prepare, purpose=f"preparing {component.name}")
        known = self.manifest.components.get(component.name, ComponentRecord())
        if component.survived and known.process is not None:
            group = self.site.cgroups.daemon(component.name)
        else:
            group = await self._empty_group(component.name)
        self.record(self.manifest.with_component(component.name, ComponentRecord()))
        argv, listening = component.argv, None
        if component.inherits_socket:
            listening = self._listen(component.name)
            argv = tuple(word.replace(INHERITED_SOCKET, str(listening.fileno())) for word in argv)
        if component.place != MACHINE:
            argv = tuple(entering(self.place(component.place).holder, argv))
        try:
            process = spawn(
                argv,
                cgroup=group,
                log=self.site.paths.component_log(component.name),
                environment=environment,
                pass_fds=[listening.fileno()] if listening else [],
            )
        finally:
            if listening:
                listening.close()
        self.record(self.manifest.with_component(component.name, ComponentRecord(process)))
        return process

    async def stop(self, component: Component, *, wanted: bool = True, kill: bool = False) -> None:
        """End a component.

        wanted: False when it is to stay down until it is started again. kill: at once, as a crash would.
        """
        record = self.manifest.components.get(component.name)
        if record is None or record.process is None:
            return
        self.record(self.manifest.with_component(component.name, replace(record, wanted=wanted)))
        await asyncio.to_thread(stop, record.process, 0.0 if kill else component.patience)

    async def run_in(self, place: str, script: str, *, purpose: str) -> str:
        """Run a shell command in the fabric or on a host, as a member of the lab."""
        return await commands.run(self.place(place).command(["sh", "-c", script]), purpose=purpose)

    def _host(self, name: str, holder: ProcessId) -> Host:
        make_group(self.site.cgroups.guests)
        return Host(name, holder, self.site.cgroups.guests)

    async def _empty_group(self, name: str) -> Path:
        """The cgroup of a component, made, and free of what an earlier one of its name left behind."""
        group = self.site.cgroups.daemon(name)
        make_group(group)
        limit = time.monotonic() + _PATIENCE
        # A group lists a process until its last thread is gone, and with it the last of its sockets.
        while left := members(group):
            kill_all(left)
            if time.monotonic() > limit:
                raise LabError(f"processes {sorted(left)} of an earlier {name} would not end", remedy="see `ps`")
            await asyncio.sleep(0.01)
        return group

    def _fresh_tmp(self, component: Component) -> str:
        """A new TMPDIR, the former one gone: Neutron names files there by the pid of its parent and trusts them.

        Any user may write in it, as in /tmp: MariaDB isn't root.
        """
        prefix = component.name.replace("/", "-") + "."
        self.site.paths.tmp.mkdir(parents=True, exist_ok=True)
        for former in self.site.paths.tmp.glob(prefix + "*"):
            shutil.rmtree(former, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix=prefix, dir=self.site.paths.tmp))
        fresh.chmod(0o1777)
        return str(fresh)

    def _listen(self, name: str) -> socket.socket:
        """A listening socket on this namespace's loopback, at the same service port at each start."""
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        known = self.manifest.loopback_ports.get(name, 0)
        try:
            listening.bind(("127.0.0.1", known))
        except OSError as error:
            listening.close()
            raise LabError(
                f"{name} can't listen on 127.0.0.1:{known}: {error.strerror}",
                remedy=f"end what listens there, or `fairlead lab down --name {self.site.spec.name}` and up again",
            ) from error
        listening.listen(128)
        ports = {**self.manifest.loopback_ports, name: listening.getsockname()[1]}
        self.record(replace(self.manifest, loopback_ports=ports))
        return listening
