"""One run of chaos on a lab: rounds of commands and faults, and what is true after each."""

import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Event

from fairlead.model.errors import LabError
from fairlead_lab.chaos.checks import Finding, Violation, pairs_that_should_talk, violations
from fairlead_lab.chaos.docker import Docker, DockerRefused, settle
from fairlead_lab.chaos.faults import Faults
from fairlead_lab.chaos.model import Command, World
from fairlead_lab.chaos.observe import CloudView, MachineView, look_at_cloud, look_at_machine
from fairlead_lab.chaos.plan import Round, Topology, last_round, rounds
from fairlead_lab.chaos.report import Report
from fairlead_lab.lab import Lab
from fairlead_lab.neutron import Neutron

_SETTLED = 180.0
"""Seconds within which, without faults, Docker has what it was asked for: as long as its own longest wait, and half."""

_TALKING = 90.0
"""Seconds within which containers talk."""

_GONE = 240.0
"""Seconds within which something more of what is nobody's is gone: twice the grace after which an agent looks for what
crashes left. An agent that shares a slow Neutron with others takes its time for what no container waits for."""

_AGAIN = 3.0

_BREATH = 1.5
"""Seconds between a machine's commands: else, with Neutron down, all fail before it is back."""


@dataclass
class Chaos:
    """A run on a lab that is up. say: is told of each step, in a line."""

    lab: Lab
    topology: Topology
    report: Report
    say: Callable[[str], None]
    _halt: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self._neutron = Neutron(self.lab.clouds_yaml)
        self._faults = Faults(self.lab, Neutron(self.lab.clouds_yaml, "admin"))
        self._docker = {name: Docker(self.lab.host(name)) for name in self.topology.all_machines}

    def run(self, seconds: float) -> bool:
        """Go through rounds until `seconds` are over, then remove everything; False at the first violation.

        The first round, which has no faults, is never the only one.
        """
        began = time.monotonic()
        world, number = World(), 0
        try:
            for one in rounds(self.report.seed, self.topology):
                if one.number > 2 and time.monotonic() > began + seconds:
                    break
                number, world = one.number, one.after
                if not self._round(one):
                    return False
            return self._round(last_round(world, self.topology, number + 1))
        finally:
            self._halt.set()
            self.report.seconds = time.monotonic() - began

    def _round(self, one: Round) -> bool:
        self.say(f"round {one.number}: {'; '.join(map(str, one.injections)) or 'no faults'}")
        with ThreadPoolExecutor(len(one.lanes)) as threads:
            lanes = [threads.submit(self._lane, commands) for commands in one.lanes.values()]
            try:
                self._inject(one)
                for lane in lanes:
                    lane.result()
            except BaseException:
                self._halt.set()
                raise
        ended = time.monotonic()
        try:
            self._faults.heal_all()
            self.report.violations = self._settle(one.after) or self._check(one.after)
        except LabError as error:  # a component that does not come up again, a container that is gone
            self.report.violations = (Violation(Finding.STUCK, str(error)),)
        for violation in self.report.violations:
            self.say(f"  {violation.finding}: {violation.text}")
        self.report.slowest = max(self.report.slowest, time.monotonic() - ended)
        self.report.rounds += not self.report.violations
        return not self.report.violations

    def _inject(self, one: Round) -> None:
        """Let the faults begin and end, each at its time."""
        began = time.monotonic()
        events = [(fault.at, self._faults.inject, fault) for fault in one.injections]
        events += [(fault.at + fault.seconds, self._faults.heal, fault) for fault in one.injections]
        for moment, act, fault in sorted(events, key=lambda event: event[0]):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            try:
                act(fault)
            except LabError as error:  # two faults in each other's way: `heal_all` has the last word
                self.say(f"  {fault}: {error}")
        self.report.faults.update(fault.fault for fault in one.injections)

    def _lane(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            if self._halt.wait(_BREATH):
                return
            self.report.commands[command.kind] += 1
            try:
                self._docker[command.machine].carry_out(command)
            except DockerRefused as error:
                self.report.refused(command.kind, str(error))
                self.say(f"  {command}: {error}")

    def _settle(self, world: World) -> tuple[Violation, ...]:
        """Have Docker hold what it was asked for."""

        def one(machine: str) -> str:
            restart = partial(self.lab.restart, "dockerd", machine)

            def done(what: str) -> None:
                self.report.repeated[what] += 1

            return settle(self._docker[machine], world, machine, restart, patience=_SETTLED, done=done)

        with ThreadPoolExecutor(len(self._docker)) as threads:
            said = dict(zip(self._docker, threads.map(one, self._docker), strict=True))
        return tuple(Violation(Finding.STUCK, f"{machine}: {text}") for machine, text in said.items() if text)

    def _check(self, world: World) -> tuple[Violation, ...]:
        machines = self._look_at_machines(world)
        silent = self._silent(pairs_that_should_talk(machines))
        if silent:
            return silent
        limit, before = time.monotonic() + _GONE, frozenset[Violation]()
        latest = limit + 4 * _GONE
        while found := violations(world, self.topology, machines, self._look_at_cloud()):
            for one in set(found) - before:
                self.say(f"  not yet: {one.text}")
            if before - set(found):  # it goes on, on a slow machine
                limit = min(latest, time.monotonic() + _GONE)
            if time.monotonic() > limit:
                return found
            before = frozenset(found)
            time.sleep(_AGAIN)
            machines = self._look_at_machines(world)
        return ()

    def _look_at_machines(self, world: World) -> Mapping[str, MachineView]:
        def look(machine: str) -> MachineView:
            docker = self._docker[machine]
            attached = tuple(docker.attached(one) for one in world.containers_of(machine) if one.running)
            switch = machine in self.topology.hosts
            return look_at_machine(self.lab.host(machine), attached, switch=switch)

        with ThreadPoolExecutor(len(self._docker)) as threads:
            return dict(zip(self._docker, threads.map(look, self._docker), strict=True))

    def _look_at_cloud(self) -> CloudView:
        return look_at_cloud(self._neutron)

    def _silent(self, pairs: Mapping[tuple[str, int], tuple[str, ...]]) -> tuple[Violation, ...]:
        """Ping from every container whatever has not answered yet."""
        self.report.pairs += sum(map(len, pairs.values()))
        limit = time.monotonic() + _TALKING
        with ThreadPoolExecutor(8) as threads:
            while pairs:
                answers = dict(zip(pairs, threads.map(self._ping, pairs.items()), strict=True))
                pairs = {asking: silent for asking, silent in answers.items() if silent}
                if pairs and time.monotonic() > limit:
                    break
        return tuple(
            Violation(Finding.SILENT, f"{machine}: process {pid} gets no answer of {', '.join(silent)}")
            for (machine, pid), silent in pairs.items()
        )

    def _ping(self, asked: tuple[tuple[str, int], tuple[str, ...]]) -> tuple[str, ...]:
        """Return the addresses that do not answer one of two pings."""
        (machine, pid), addresses = asked
        script = 'for one in "$@"; do busybox ping -c 2 -W 1 -A "$one" >/dev/null 2>&1 || echo "$one"; done'
        inside = ["nsenter", "-t", str(pid), "-n", "sh", "-c", script, "sh", *addresses]
        try:
            return tuple(self.lab.host(machine).run(inside, check=False, timeout=120).stdout.split())
        except subprocess.TimeoutExpired:
            return addresses


def topology(lab: Lab, modes: tuple[str, ...]) -> Topology:
    """Where Docker's commands run: mode `ovs` on hosts, `routed` on instances. Raises LabError where none is there."""
    machines = {"ovs": lab.spec.host_names, "routed": lab.spec.instance_names}
    found = Topology({mode: machines[mode] for mode in ("ovs", "routed") if mode in modes}, lab.spec.host_names)
    if not lab.spec.agent or not all(found.machines.values()):
        raise LabError(
            f"lab {lab.spec.name!r} has no agents for the modes {' and '.join(modes)}",
            remedy="choose another --name: chaos makes a lab of its own",
        )
    return found
