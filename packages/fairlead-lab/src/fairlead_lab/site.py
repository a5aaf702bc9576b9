"""One lab on this machine: what was asked for, together with where everything of it is."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fairlead_lab import components, database, openvswitch
from fairlead_lab.cgroups import CgroupTree
from fairlead_lab.components import Component
from fairlead_lab.manifest import Datapath
from fairlead_lab.paths import LabPaths
from fairlead_lab.spec import LabSpec


@dataclass(frozen=True, slots=True)
class Site:
    """What the stages of `up`, and starting or stopping a component, must know."""

    spec: LabSpec
    paths: LabPaths
    cgroups: CgroupTree
    environment: Path
    image: Path
    datapath: Datapath

    @property
    def python(self) -> Path:
        """The interpreter Keystone and Neutron run on."""
        return self.environment / "bin" / "python"

    @property
    def keystone_conf(self) -> Path:
        """keystone.conf."""
        return self.paths.conf / "keystone.conf"

    @property
    def neutron_conf(self) -> Path:
        """neutron.conf."""
        return self.paths.conf / "neutron.conf"

    @property
    def keys(self) -> Path:
        """Keystone's Fernet and credential keys."""
        return self.paths.data / "keystone"

    @property
    def secrets(self) -> Path:
        """The passwords of the cloud, kept from the first moment."""
        return self.paths.data / "secrets.json"

    @property
    def neutron_state(self) -> Path:
        """Neutron's own files and locks."""
        return self.paths.data / "neutron"

    def docker_data(self, host: str) -> Path:
        """Docker's images and containers on a host."""
        return self.paths.host(host) / "docker"

    def agent_state(self, host: str) -> Path:
        """The state folder of a host's agent."""
        return self.paths.host(host) / "agent"

    def components(self) -> Mapping[str, Component]:
        """Every daemon of the lab by name, in an order in which each comes after what it needs."""
        services = Path(str(resources.files("fairlead_lab.services")))
        found = [
            components.mariadb(database.DATADIR),
            *components.ovn_central(self.paths.ovn),
            components.keystone(self.python, services, self.keystone_conf),
            *components.neutron(
                self.python,
                services,
                self.neutron_conf,
                self.paths.neutron_access_log,
                self.paths.neutron_disturbance,
            ),
        ]
        for host in self.spec.host_names:
            setup = openvswitch.switch_setup(host, self.datapath, self.spec.mtu, gateway=host == self.gateway)
            found += components.open_vswitch(host, self.paths.host(host), setup)
        for machine in self.spec.machine_names:
            awaited: tuple[str, ...] = (machine,)
            if machine in self.agents:
                is_host = machine in self.spec.host_names
                wired = f"{machine}/{'ovn-controller' if is_host else 'nic'}"
                found.append(components.agent_socket(machine, sys.executable, services))
                found.append(components.agent(machine, sys.executable, services, wired, routed=not is_host))
                # A dockerd that has networks of Fairlead's waits there for the agent.
                awaited = (machine, f"{machine}/agent-socket")
            found.append(components.dockerd(machine, awaited, str(self.image)))
        found.append(components.watcher(self.spec.name, sys.executable))
        return {component.name: component for component in found}

    @property
    def agents(self) -> tuple[str, ...]:
        """Where an agent runs."""
        return self.spec.machine_names if self.spec.agent else ()

    @property
    def gateway(self) -> str | None:
        """The host on which the instances' router meets the underlay."""
        return self.spec.host_names[0] if self.spec.instances else None

    def peers(self, host: str) -> tuple[str, ...]:
        """The other hosts."""
        return tuple(name for name in self.spec.host_names if name != host)
