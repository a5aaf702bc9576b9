"""What Fairlead changes and reads in Open vSwitch's database: plain functions over the replica and a transaction.

Each builds a change, a function (tables, transaction) → result that runs while the replica stands still: tables maps a
table's name to the replica's table, transaction is an ovs.db.idl.Transaction, None for those that only read. Raising
abandons the transaction.

Sources: ovs-vswitchd.conf.db(5) for the tables; ovn-controller(8) for `iface-id`, `ovn-installed` and `hostname`;
Open vSwitch's integration guide for `attached-mac` and `iface-status`.
"""

import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from fairlead.adapters.marks import ATTACHMENT_KEY, NETWORK_KEY, attachment_of_interface, host_device
from fairlead.model.errors import DataplaneError, SwitchUnavailable
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import HostView

T = TypeVar("T")
Tables = Mapping[str, Any]
Change = Callable[[Tables, Any], T]


@dataclass(frozen=True, slots=True)
class InterfaceState:
    """An Interface row of Fairlead's.

    installed: ovn-controller says that the port's flows are in place. ofport is None until ovs-vswitchd has looked at
    the device, -1 where it could not open it; error says why.
    """

    row: uuid.UUID
    name: str
    installed: bool = False
    ofport: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class SwitchState:
    """How the switch stands with an vif.

    datapath: `system` or `netdev`. configuration: the number (`next_cfg`) of the newest one that ovs-vswitchd has been
    asked to bring about.
    """

    datapath: str
    has_port: bool
    configuration: int


def interface_state(row: Any) -> InterfaceState | None:
    """Copy an Interface row out of the replica; None where it is not Fairlead's."""
    external_ids = row.external_ids
    if attachment_of_interface(row.name, external_ids) is None:
        return None
    return InterfaceState(
        row=row.uuid,
        name=row.name,
        installed=external_ids.get("ovn-installed") == "true",
        ofport=next(iter(row.ofport), None),
        error=next(iter(row.error), ""),
    )


def look(vif: Vif, bridge: str) -> Change[SwitchState]:
    """Read how the switch stands with an attachment; the change raises SwitchUnavailable without the bridge."""

    def change(tables: Tables, _transaction: Any) -> SwitchState:
        switch = _open_vswitch(tables)
        return SwitchState(
            datapath=_datapath(_bridge(tables, bridge)),
            has_port=_named(tables, "Port", vif.host_device) is not None,
            configuration=switch.next_cfg,
        )

    return change


def plug(vif: Vif, bridge: str) -> Change[None]:
    """Give the attachment its Port and Interface on the bridge.

    A row that is as wished stays. One that is not is replaced in the same transaction: a fresh row carries no
    `ovn-installed` of an earlier plug.

    The change raises SwitchUnavailable without the bridge, DataplaneError where another's port has the name.
    """
    wanted = {
        "iface-id": vif.port_id,
        "attached-mac": vif.mac,
        "iface-status": "active",
        ATTACHMENT_KEY: vif.id,
        NETWORK_KEY: vif.network_id,
    }

    def change(tables: Tables, transaction: Any) -> None:
        transaction.add_comment(f"fairlead: plug {vif.id}")
        switch = _bridge(tables, bridge)
        found = _named(tables, "Port", vif.host_device)
        if found is not None:
            interface = found.interfaces[0]
            if _marks(found) != {vif.id}:
                raise DataplaneError(
                    f"Open vSwitch has a port {vif.host_device} that is not this attachment's",
                    remedy=f"`ovs-vsctl del-port {vif.host_device}` if nothing needs it",
                )
            if found in switch.ports and wanted.items() <= interface.external_ids.items():
                return
            _drop(tables, found)
        interface = transaction.insert(tables["Interface"])
        interface.name = vif.host_device
        interface.external_ids = wanted
        port = transaction.insert(tables["Port"])
        port.name = vif.host_device
        port.interfaces = [interface]
        switch.addvalue("ports", port)

    return change


def unplug(attachment_id: str) -> Change[None]:
    """Take the attachment's Port and Interface away; fine where there are none."""
    device = host_device(attachment_id)

    def change(tables: Tables, transaction: Any) -> None:
        transaction.add_comment(f"fairlead: unplug {attachment_id}")
        port = _named(tables, "Port", device)
        if port is not None and _marks(port) == {attachment_id}:
            _drop(tables, port)
            _number(tables)

    return change


def port_ids(tables: Tables, _transaction: Any) -> dict[str, str]:
    """Read which port each of Fairlead's attachments is, as `plug` wrote it: port ids by attachment id."""
    return {
        attachment_id: interface.external_ids.get("iface-id", "")
        for interface in tables["Interface"].rows.values()
        if (attachment_id := attachment_of_interface(interface.name, interface.external_ids))
    }


def host_view(bridge: str) -> Change[HostView]:
    """Read what the switch says of its host; the change raises SwitchUnavailable without the bridge.

    The host is named as ovn-controller names its chassis: by `hostname` (or its form for this chassis), else by the
    kernel. ovn_controller: it has been told of a southbound database to work for.
    """

    def change(tables: Tables, _transaction: Any) -> HostView:
        told = _open_vswitch(tables).external_ids
        chassis = told.get("system-id", "")
        return HostView(
            host=told.get(f"hostname-{chassis}") or told.get("hostname") or socket.gethostname(),
            bridge=bridge,
            datapath=_datapath(_bridge(tables, bridge)),
            ovn_controller=bool(told.get(f"ovn-remote-{chassis}") or told.get("ovn-remote")),
        )

    return change


def _datapath(switch: Any) -> str:
    return switch.datapath_type or "system"


def _open_vswitch(tables: Tables) -> Any:
    for row in tables["Open_vSwitch"].rows.values():
        return row
    raise SwitchUnavailable("Open vSwitch's database is empty", remedy="start it with `ovs-ctl start`")


def _bridge(tables: Tables, name: str) -> Any:
    row = _named(tables, "Bridge", name)
    if row is None:
        raise SwitchUnavailable(
            f"Open vSwitch has no bridge {name}",
            remedy="start ovn-controller on this host, which makes it, or name the right integration bridge",
        )
    return row


def _named(tables: Tables, table: str, name: str) -> Any | None:
    rows = tables[table].rows
    key = rows.IndexEntry(name=name)
    return next(iter(rows.indexes["name"].irange(key, key)), None)


def _marks(port: Any) -> set[str | None]:
    return {attachment_of_interface(interface.name, interface.external_ids) for interface in port.interfaces}


def _drop(tables: Tables, port: Any) -> None:
    for switch in tables["Bridge"].rows.values():
        # Also where it is not one of them, which changes nothing: to look, ovs would build a list of all ports.
        switch.delvalue("ports", port)
    for interface in port.interfaces:
        interface.delete()
    port.delete()


def _number(tables: Tables) -> None:
    """Number the configuration, so that `cur_cfg` shows when ovs-vswitchd has let go of the devices."""
    _open_vswitch(tables).increment("next_cfg")
