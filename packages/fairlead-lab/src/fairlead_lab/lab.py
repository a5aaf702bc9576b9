"""A lab as tests, the demo and the command line use it."""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fairlead.model.errors import LabError
from fairlead_lab.cgroups import cgroup_tree, make_group
from fairlead_lab.components import Component
from fairlead_lab.down import Removed, down
from fairlead_lab.graph import Progress, StageTime
from fairlead_lab.host import Host
from fairlead_lab.install import require_root
from fairlead_lab.manifest import ManifestFile, load, locked
from fairlead_lab.paths import LabPaths
from fairlead_lab.power import power_off
from fairlead_lab.processes import is_alive
from fairlead_lab.spec import FABRIC, LabSpec
from fairlead_lab.stages import open_machine, start_components
from fairlead_lab.status import LabStatus, status
from fairlead_lab.supervisor import Supervisor
from fairlead_lab.up import Outcome, load_site, up

_Result = TypeVar("_Result")


class Silent:
    """Progress nobody looks at."""

    def ended(self, time: StageTime) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab, there or to be made. All methods look at the machine afresh and raise LabError."""

    spec: LabSpec

    @classmethod
    def load(cls, name: str = "lab") -> "Lab":
        """A lab that is there; raises LabError naming the labs there are."""
        return cls(load(LabPaths(name)).spec)

    @property
    def paths(self) -> LabPaths:
        """Where its things are."""
        return LabPaths(self.spec.name)

    @property
    def clouds_yaml(self) -> Path:
        """clouds.yaml with `demo` and `admin`, for a client in the machine's own network namespace."""
        return self.paths.clouds_yaml

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All hosts in order."""
        return tuple(self.host(name) for name in self.spec.host_names)

    @property
    def instances(self) -> tuple[Host, ...]:
        """All instances in order."""
        return tuple(self.host(name) for name in self.spec.instance_names)

    def up(self, progress: Progress | None = None) -> Outcome:
        """Make the lab, or mend it; a lab that runs is left as it is."""
        return _run(up(self.spec, progress or Silent()))

    def down(self) -> Removed:
        """End and remove everything of the lab."""
        require_root()
        return down(self.paths)

    def status(self) -> LabStatus:
        """What runs, what doesn't, and the memory of it."""
        return status(self.paths, load(self.paths))

    def host(self, name: str) -> Host:
        """A host, an instance, or the `fabric` in which the cloud's services run."""
        require_root()
        namespaces = load(self.paths).namespaces
        if name not in (FABRIC, *self.spec.machine_names):
            known = ", ".join((*self.spec.machine_names, FABRIC))
            raise LabError(f"lab {self.spec.name!r} has no host {name!r}", remedy=f"it has {known}")
        holder = namespaces[name].holder if name in namespaces else None
        if holder is None or not is_alive(holder):
            raise LabError(f"{name} does not run", remedy=f"`fairlead lab up --name {self.spec.name}`")
        guests = cgroup_tree(self.spec.name).guests
        make_group(guests)
        return Host(name, holder, guests)

    def stop(self, component: str, host: str | None = None, *, kill: bool = False) -> tuple[str, ...]:
        """End a component (on all hosts, when it is one of theirs and no host is named); returns whole names.

        It stays down until `start`, `restart` or `up`. kill: at once, as a crash would.
        """
        with self._supervised() as (supervisor, components):
            chosen = _choose(components, component, host)

            async def stop() -> None:
                for one in reversed(chosen):
                    await supervisor.stop(one, wanted=False, kill=kill)

            _run(stop())
        return tuple(one.name for one in chosen)

    def start(self, component: str, host: str | None = None) -> tuple[str, ...]:
        """Start a component and wait until it is ready; one that runs is left."""
        with self._supervised() as (supervisor, components):
            chosen = _choose(components, component, host)
            _run(start_components(supervisor, chosen))
        return tuple(one.name for one in chosen)

    def begin(self, component: str, host: str) -> None:
        """Start a host's component and wait for nothing; `start` waits for it."""
        with self._supervised() as (supervisor, components):
            (chosen,) = _choose(components, component, host)
            _run(supervisor.begin(chosen))

    def power_off(self, host: str) -> None:
        """Pull a host's plug: all that runs there ends, and only its disk stays. `up` boots it."""
        with self._supervised() as (supervisor, _):
            _run(power_off(load_site(self.spec, supervisor.manifest), supervisor, host))

    def power_on(self, host: str) -> None:
        """Boot a host so far that its components can be started, in whatever order."""
        with self._supervised() as (supervisor, _):
            _run(open_machine(load_site(self.spec, supervisor.manifest), supervisor, host))

    def restart(self, component: str, host: str | None = None) -> tuple[str, ...]:
        """End a component, start it, and wait until it is ready."""
        with self._supervised() as (supervisor, components):
            chosen = _choose(components, component, host)

            async def restart() -> None:
                for one in chosen:
                    await supervisor.stop(one)
                await start_components(supervisor, chosen)

            _run(restart())
        return tuple(one.name for one in chosen)

    def neutron_calls(self, since: int = 0) -> list[dict[str, Any]]:
        """What Neutron was asked, oldest first, from the `since`-th request of the lab on.

        Each is an object with time, seconds, method, path, query, status, request_id, global_request_id, client and
        user_agent (services/access_log.py).
        """
        try:
            lines = self.paths.neutron_access_log.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines[since:]]

    @contextmanager
    def _supervised(self) -> Iterator[tuple[Supervisor, dict[str, Component]]]:
        require_root()
        load(self.paths)
        with locked(self.paths.run, self.spec.name):
            manifest = load(self.paths)
            site = load_site(self.spec, manifest)
            yield Supervisor(site, ManifestFile(self.paths.manifest), manifest), dict(site.components())


def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    # Called from inside an event loop, such as an asynchronous test's: this one needs a thread of its own.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _choose(components: dict[str, Component], component: str, host: str | None) -> tuple[Component, ...]:
    """The components a user means by `neutron`, `h1/agent`, `agent h1`, or `agent` for all hosts."""
    wanted = f"{host}/{component}" if host else component
    chosen = [
        one for name, one in components.items() if name == wanted or (host is None and name.endswith(f"/{wanted}"))
    ]
    if not chosen:
        known = sorted({name.rpartition("/")[2] for name in components})
        on = f" on {host}" if host else ""
        raise LabError(f"no component {component!r}{on}", remedy=f"there are {', '.join(known)}")
    return tuple(chosen)
