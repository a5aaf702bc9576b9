"""Wired by OVN's word: ovn-controller writes `ovn-installed=true` on the Interface when the port's flows are in place.

Source: ovn-controller(8).
"""

import asyncio

from fairlead.adapters.ovsdb.database import Ovsdb
from fairlead.adapters.ovsdb.rows import InterfaceState
from fairlead.model.errors import WiringTimeout
from fairlead.model.vif import Vif


class InstalledByOvn:
    """Waits for an event of the switch's database: no poll, and no request to anybody.

    ovsdb: the connection by which the port is plugged. timeout: seconds for OVN to put a plugged port's flows in place.
    """

    def __init__(self, ovsdb: Ovsdb, *, timeout: float = 10.0) -> None:
        self._ovsdb = ovsdb
        self._timeout = timeout

    def is_wired(self, vif: Vif) -> bool:
        """Say what OVN said last: it takes its word back when it loses the port."""
        known = self._ovsdb.interface(vif.host_device)
        return known is not None and known.installed

    async def wait(self, vif: Vif) -> None:
        """Return when the flows of the row that the plug resulted in are in place. Raises WiringTimeout."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._ovsdb.installed(vif.host_device)
        except TimeoutError as error:
            raise self._not_wired(vif, self._ovsdb.interface(vif.host_device)) from error

    def _not_wired(self, vif: Vif, seen: InterfaceState | None) -> WiringTimeout:
        limit = f"within {self._timeout:g} s"
        if seen is None or seen.ofport is None:
            return WiringTimeout(
                f"Open vSwitch did not take {vif.host_device} into its bridge {limit}",
                remedy="is ovs-vswitchd running on this host?",
            )
        if seen.error or seen.ofport < 0:
            return WiringTimeout(f"Open vSwitch can't open {vif.host_device}: {seen.error}")
        return WiringTimeout(
            f"OVN did not wire port {vif.port_id} {limit}",
            remedy="is ovn-controller running on this host and connected to the southbound database, "
            "and does OVN know the port (`ovn-sbctl find Port_Binding logical_port=…`)?",
        )
