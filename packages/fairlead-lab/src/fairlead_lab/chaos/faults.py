"""Faults, put into a lab and taken out again."""

import json
from collections.abc import Mapping
from contextlib import suppress

from fairlead.model.errors import LabError
from fairlead_lab.chaos import clock
from fairlead_lab.chaos.plan import Fault, Injection
from fairlead_lab.chaos.reboot import power_off, power_on
from fairlead_lab.lab import Lab
from fairlead_lab.manifest import load
from fairlead_lab.neutron import Neutron
from fairlead_lab.processes import descendants, is_alive, kill_all

_QUOTA = 500
"""Neutron's default of ports for a project."""

_DISTURBED: Mapping[Fault, Mapping[str, object]] = {
    Fault.NEUTRON_SLOW: {"seconds": 3.0},
    Fault.NEUTRON_5XX: {"status": 503, "share": 0.7},
    Fault.NEUTRON_LOST: {"status": 504, "share": 0.7, "lost": True},
}
_STOPPED: Mapping[Fault, str] = {
    Fault.NEUTRON_DOWN: "neutron",
    Fault.KEYSTONE_DOWN: "keystone",
    Fault.AGENT_DOWN: "agent",
}
_KILLED: Mapping[Fault, str] = {
    Fault.CONTROLLER_KILLED: "ovn-controller",
    Fault.VSWITCHD_KILLED: "vswitchd",
    Fault.OVSDB_KILLED: "ovsdb",
    Fault.DOCKERD_KILLED: "dockerd",
    Fault.AGENT_KILLED: "agent",
}

_CLOCKS = {Fault.CLOCK_BACK, Fault.CLOCK_EARLY}


class Faults:
    """The faults of one lab. All methods raise LabError."""

    def __init__(self, lab: Lab, admin: Neutron) -> None:
        self._lab = lab
        self._admin = admin
        (group,) = Neutron(lab.clouds_yaml).all("security-groups", name="default")
        self._project: str = group["project_id"]
        self._open: list[Injection] = []

    def inject(self, injection: Injection) -> None:
        """Let a fault begin."""
        self._open.append(injection)
        fault, target = injection.fault, injection.target
        if fault in _DISTURBED:
            self._disturb(_DISTURBED[fault])
        elif fault in _STOPPED:
            self._lab.stop(_STOPPED[fault], target or None, kill=True)
        elif fault in _KILLED:
            self._kill(f"{target}/{_KILLED[fault]}")
        elif fault is Fault.NEUTRON_WORKER:
            self._kill_worker()
        elif fault is Fault.QUOTA:
            self._limit_ports(len(self._admin.all("ports", project_id=self._project)))
        elif fault is Fault.REBOOT:
            power_off(self._lab, target)
        elif fault in _CLOCKS:
            clock.set_back(self._lab.host(target))
        if fault is Fault.CLOCK_EARLY:
            self._lab.restart("agent", target)

    def heal(self, injection: Injection) -> None:
        """Let it end, and wait until what was killed is ready again. One that has ended is no error."""
        if injection not in self._open:
            return
        fault, target = injection.fault, injection.target
        if fault in _DISTURBED:
            self._lab.paths.neutron_disturbance.unlink(missing_ok=True)
        elif fault in _STOPPED:
            self._lab.start(_STOPPED[fault], target or None)
        elif fault in _KILLED:
            self._lab.start(_KILLED[fault], target)
        elif fault is Fault.QUOTA:
            self._limit_ports(_QUOTA)
        elif fault is Fault.REBOOT:
            power_on(self._lab, target)
        elif fault in _CLOCKS:
            clock.set_right(self._lab.host(target))
        if fault is Fault.CLOCK_EARLY:
            self._lab.restart("agent", target)
        self._open.remove(injection)

    def heal_all(self) -> None:
        """Let every fault end, and have the whole lab running."""
        for injection in tuple(self._open):
            with suppress(LabError):  # what needs another thing that is down: `up` starts all, in order
                self.heal(injection)
        self._open.clear()
        self._lab.up()
        self._limit_ports(_QUOTA)

    def _disturb(self, how: Mapping[str, object]) -> None:
        file = self._lab.paths.neutron_disturbance
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(how))
        fresh.rename(file)

    def _kill(self, component: str) -> None:
        process = load(self._lab.paths).components[component].process
        if process is not None and is_alive(process):
            kill_all([process.pid])

    def _kill_worker(self) -> None:
        process = load(self._lab.paths).components["neutron"].process
        if process is not None and is_alive(process):
            kill_all(descendants([process.pid]))

    def _limit_ports(self, count: int) -> None:
        self._admin.put(f"quotas/{self._project}", {"quota": {"port": count}})
