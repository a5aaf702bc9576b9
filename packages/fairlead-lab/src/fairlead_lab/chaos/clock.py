"""An agent's own clock, set back, and no one else's.

An agent finds what is in /etc/default/fairlead in its environment, as a service of Debian's does.
"""

from collections.abc import Iterable
from pathlib import Path

from fairlead_lab.chaos import skew
from fairlead_lab.components import AGENT_ENVIRONMENT
from fairlead_lab.host import Host
from fairlead_lab.lab import Lab

_CLOCK = "/etc/fairlead-clock"
_DAY = 24 * 3600


def prepare(lab: Lab, machines: Iterable[str]) -> None:
    """Start the agents anew, with clocks that can be set."""
    (folder,) = skew.__path__
    for machine in machines:
        lines = f"PYTHONPATH={folder}\nFAIRLEAD_CLOCK={_CLOCK}\n"
        lab.host(machine).path(AGENT_ENVIRONMENT).write_text(lines)
        lab.restart("agent", machine)


def restore(lab: Lab, machines: Iterable[str]) -> None:
    """Start the agents anew, as a lab has them."""
    for machine in machines:
        for name in (AGENT_ENVIRONMENT, _CLOCK):
            lab.host(machine).path(name).unlink(missing_ok=True)
        lab.restart("agent", machine)


def set_back(host: Host) -> None:
    """Set an agent's clock back by a day."""
    _replace(host.path(_CLOCK), str(-_DAY))


def set_right(host: Host) -> None:
    """Set it right again."""
    host.path(_CLOCK).unlink(missing_ok=True)


def _replace(file: Path, text: str) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(file)
