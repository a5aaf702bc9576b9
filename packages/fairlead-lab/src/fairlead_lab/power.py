"""A host whose plug is pulled, and put in again: what was in memory is gone, what was on disk is as it was."""

import asyncio
import time
from dataclasses import replace

from fairlead.model.errors import LabError
from fairlead_lab.cgroups import members
from fairlead_lab.processes import kill_all
from fairlead_lab.site import Site
from fairlead_lab.supervisor import Supervisor

_PATIENCE = 15.0


async def power_off(site: Site, supervisor: Supervisor, host: str) -> None:
    """End all that runs on a host at once, its containers too, and with it its namespaces.

    Raises LabError for a process that would not go.
    """
    names = {name for name, one in site.components().items() if one.place == host}
    groups = [site.cgroups.daemon(name) for name in (*names, f"holder/{host}")]
    groups += [root / site.cgroups.containers(host).lstrip("/") for root in site.cgroups.roots]
    limit = time.monotonic() + _PATIENCE
    while left := frozenset().union(*map(members, groups)):
        kill_all(left)
        if time.monotonic() > limit:
            raise LabError(f"processes {sorted(left)} of {host} would not end", remedy="see `ps`")
        await asyncio.sleep(0.01)
    manifest = supervisor.manifest
    supervisor.record(
        replace(
            manifest,
            namespaces={place: one for place, one in manifest.namespaces.items() if place != host},
            components={name: one for name, one in manifest.components.items() if name not in names},
        )
    )
