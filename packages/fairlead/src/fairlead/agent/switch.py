"""Mode `ovs` at its start: the switch and who wires its ports, which start beside the agent when a host boots."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from fairlead.adapters.vif.switched import with_ovn
from fairlead.agent.settings import Settings
from fairlead.model.errors import DataplaneError, FairleadError
from fairlead.ports.dataplane import HostView

PATIENCE: Final = 30.0
"""Seconds that an agent waits for its switch before it serves without: some of what it is asked needs none."""

_LOOK_EVERY: Final = 1.0


async def look_at_switch(settings: Settings) -> HostView:
    """Say what the switch says of itself. Raises SwitchUnavailable, and DataplaneError where nobody wires its ports."""
    dataplane = with_ovn(ovsdb=settings.ovs.db, bridge=settings.ovs.bridge, timeout=settings.ovs.timeout)
    try:
        view = await dataplane.view()
    finally:
        await dataplane.close()
    if settings.ovs.wired == "ovn" and not view.ovn_controller:
        raise DataplaneError(
            f"Open vSwitch answers on host {view.host}, but ovn-controller is not connected",
            remedy="start ovn-controller, and set external_ids:ovn-remote",
        )
    return view


async def await_switch(
    settings: Settings, stop: asyncio.Event, refused: Callable[[FairleadError], None], patience: float = PATIENCE
) -> None:
    """Return when it is there, the agent is to stop, or patience (seconds) is at an end; at once in other modes.

    refused is told what is missing.
    """
    if settings.agent.mode != "ovs":
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while not stop.is_set():
                try:
                    await look_at_switch(settings)
                except FairleadError as error:
                    refused(error)
                else:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _LOOK_EVERY)
