"""The doors that there are, and which of them an agent has."""

from typing import Final

from fairlead.agent.doors.docker import DOCKER
from fairlead.agent.doors.door import DoorKind
from fairlead.agent.doors.flannel import FLANNEL
from fairlead.agent.settings import Settings
from fairlead.model.errors import SettingsError

KNOWN: Final = (
    DOCKER,
    FLANNEL,
)

RECORDS: Final = tuple(record for kind in KNOWN for record in kind.records)
"""What doors remember for themselves, of whichever doors this agent has: the store is read whole."""


def chosen_doors(settings: Settings) -> tuple[DoorKind, ...]:
    """Return the doors that the settings ask for; where they name none, those of the mode.

    Raises SettingsError for a door that is not known, and for one that can't be had in the mode.
    """
    mode, by_name = settings.agent.mode, {kind.name: kind for kind in KNOWN}
    names = tuple(dict.fromkeys(settings.agent.doors))
    if not names:
        return tuple(kind for kind in KNOWN if mode in kind.by_default)
    if unknown := [name for name in names if name not in by_name]:
        raise SettingsError(
            f"agent.doors names {', '.join(map(repr, unknown))}, which is no door",
            remedy=f"choose from: {', '.join(by_name)}",
        )
    chosen = tuple(by_name[name] for name in names)
    if mode == "ovs" and (unfit := next((kind.name for kind in chosen if kind.needs_leases), "")):
        raise SettingsError(
            f"door {unfit} can't be had in mode ovs: its leases live on a node's NIC that is a port of Neutron's,"
            " and a host with OVN's switch has none",
            remedy=f"take {unfit} out of agent.doors, or run the agent on a Nova instance, in mode routed, trunk or"
            " ipvlan",
        )
    return chosen
