"""Starts again what died in a lab, as a machine's init would.

A program of its own, one for each lab: `python -m fairlead_lab.watcher LAB`. What a user stopped stays stopped, and
what never came up is left to whoever started it. Daemons do die by themselves: Open vSwitch 3.1's switch in user space
of its own assertion (`conn_update_state()` in lib/conntrack.c), on rare days.
"""

import asyncio
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.components import WATCHER
from fairlead_lab.manifest import Manifest, ManifestFile, locked
from fairlead_lab.paths import LabPaths
from fairlead_lab.processes import is_alive
from fairlead_lab.stages import start_components
from fairlead_lab.supervisor import Supervisor
from fairlead_lab.up import load_site

_LOOK = 0.5
"""Seconds between two looks."""

_LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Pause:
    """One component is left alone until a moment of the monotonic clock, `seconds` after it was last started."""

    until: float
    seconds: float


def dead(manifest: Manifest) -> tuple[str, ...]:
    """Names of components that came up, ended, and were not asked to; none while a command makes or ends the lab."""
    if manifest.state != "up":
        return ()
    return tuple(
        name
        for name, record in manifest.components.items()
        if record.wanted and record.kept and not is_alive(record.process)
    )


def paused(before: Pause | None, now: float) -> Pause:
    """The pause after a start: a second, or twice the last one where that ended less than a minute ago."""
    again = before is not None and now < before.until + 60.0
    seconds = min(_LONGEST_PAUSE, 2 * before.seconds) if before and again else 1.0
    return Pause(now + seconds, seconds)


class Watcher:
    """Looks at one lab's components, in turn, for as long as the lab is there."""

    def __init__(self, paths: LabPaths) -> None:
        self._paths = paths
        self._file = ManifestFile(paths.manifest)
        self._pauses: dict[str, Pause] = {}

    def run(self) -> None:
        """Look until the lab is gone."""
        while (manifest := self._file.read()) is not None:
            if self._due(manifest):
                self._mend()
            time.sleep(_LOOK)

    def _due(self, manifest: Manifest) -> tuple[str, ...]:
        now = time.monotonic()
        return tuple(name for name in dead(manifest) if name not in self._pauses or now > self._pauses[name].until)

    def _mend(self) -> None:
        try:
            with locked(self._paths.run, self._paths.name):
                manifest = self._file.read()
                if manifest is not None:
                    self._start(manifest, self._due(manifest))
        except LabError as error:  # a command is at work for long, or what is needed is dead too: looked at again
            _say(str(error))

    def _start(self, manifest: Manifest, names: tuple[str, ...]) -> None:
        site = load_site(manifest.spec, manifest)
        supervisor = Supervisor(site, self._file, manifest)
        chosen = [one for name, one in site.components().items() if name in names and name != WATCHER]
        for one in chosen:
            _say(f"{one.name} died: {_end(self._paths.component_log(one.name))}")
            self._pauses[one.name] = paused(self._pauses.get(one.name), time.monotonic())
        try:
            asyncio.run(start_components(supervisor, chosen))
        except LabError:
            for one in chosen:
                record = supervisor.manifest.components[one.name]
                supervisor.record(supervisor.manifest.with_component(one.name, replace(record, kept=True)))
            raise
        _say(f"started again: {', '.join(one.name for one in chosen)}")


def _end(log: Path) -> str:
    """The last lines of a log, in one: among them is why its daemon died, not always as the last."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    return " | ".join(line.strip()[:200] for line in lines[-3:])


def _say(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}", flush=True)


if __name__ == "__main__":
    Watcher(LabPaths(sys.argv[1])).run()
