"""What runs in a lab and what it costs."""

from dataclasses import dataclass
from typing import Literal

from fairlead_lab.cgroups import cgroup_tree, members
from fairlead_lab.manifest import Manifest
from fairlead_lab.paths import LabPaths
from fairlead_lab.processes import is_alive, proportional_memory
from fairlead_lab.spec import LabSpec
from fairlead_lab.timings import Timings, read_timings

ComponentState = Literal["running", "stopped", "dead"]


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """One component. `stopped` means by the user.

    memory: bytes (PSS) of its process and all it started, containers excepted.
    """

    name: str
    state: ComponentState
    pid: int
    memory: int
    log: str


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """One instance: the host that carries it, its Neutron network, and its port's addresses."""

    name: str
    host: str
    network: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A whole lab. memory: bytes (PSS) of all its processes, containers included."""

    spec: LabSpec
    state: str
    datapath: str
    components: tuple[ComponentStatus, ...]
    instances: tuple[InstanceStatus, ...]
    loopback_ports: dict[str, int]
    clouds_yaml: str
    memory: int
    timings: Timings

    @property
    def ill(self) -> tuple[str, ...]:
        """Names of components that ended without being asked to."""
        return tuple(component.name for component in self.components if component.state == "dead")


def status(paths: LabPaths, manifest: Manifest) -> LabStatus:
    """Look at every component of a lab."""
    tree = cgroup_tree(paths.name)
    components = []
    for name, record in sorted(manifest.components.items(), key=lambda item: (item[0].count("/"), item[0])):
        alive = is_alive(record.process)
        pid = record.process.pid if record.process and alive else 0
        state: ComponentState = "running" if alive else "dead" if record.wanted else "stopped"
        memory = sum(map(proportional_memory, members(tree.daemon(name))))
        components.append(ComponentStatus(name, state, pid, memory, str(paths.component_log(name))))
    return LabStatus(
        spec=manifest.spec,
        state=manifest.state,
        datapath=manifest.datapath,
        components=tuple(components),
        instances=tuple(
            InstanceStatus(one.name, one.host, one.network.name, (str(one.ipv4.ip), str(one.ipv6.ip)))
            for one in manifest.spec.placements
        ),
        loopback_ports=dict(manifest.loopback_ports),
        clouds_yaml=str(paths.clouds_yaml),
        memory=sum(map(proportional_memory, tree.processes())),
        timings=read_timings(paths),
    )
