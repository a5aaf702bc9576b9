"""The rules of trunks: one for each parent port, and sub-ports that nothing else uses, each with its own VLAN id."""

from fairlead_lab.fakes.caller import Caller
from fairlead_lab.fakes.refusal import Refusal, invalid
from fairlead_lab.fakes.store import Resource, Store

SUB_PORT = "trunk:subport"
_VLANS = range(1, 4095)


class Trunks:
    """Makes trunks in a store, and changes what they carry."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, wanted: Resource, caller: Caller) -> Resource:
        """Make a trunk of a port."""
        port = self._store.get("ports", wanted["port_id"], caller)
        for trunk in self._store.resources["trunks"].values():
            if port["id"] == trunk["port_id"] or any(port["id"] == one["port_id"] for one in trunk["sub_ports"]):
                raise _in_use(f"Port {port['id']} is currently in use and is not eligible for use as a parent port.")
        trunk = self._store.keep(
            "trunks",
            caller.project_id,
            {
                "name": wanted.get("name", ""),
                "description": wanted.get("description", ""),
                "port_id": port["id"],
                "admin_state_up": True,
                "status": "ACTIVE",
                "sub_ports": [],
            },
        )
        self._add(trunk, wanted.get("sub_ports") or [], caller)
        return trunk

    def act(self, trunk_id: str, action: str, body: Resource, caller: Caller) -> Resource:
        """Do what PUT /trunks/{id}/{action} does, and give the body of its answer."""
        trunk = self._store.owned("trunks", trunk_id, caller, action)
        match action:
            case "add_subports":
                self._add(trunk, body["sub_ports"], caller)
            case "remove_subports":
                self._remove(trunk, [one["port_id"] for one in body["sub_ports"]])
            case _:
                raise Refusal(404, "HTTPNotFound", "The resource could not be found.")
        return trunk

    def release(self, trunk: Resource) -> None:
        """Let a trunk go, and its sub-ports be ports like any other."""
        self._remove(trunk, [one["port_id"] for one in trunk["sub_ports"]])

    def check_unused(self, port: Resource) -> None:
        """Refuse to delete a port that a trunk has."""
        for trunk in self._store.resources["trunks"].values():
            if any(port["id"] == one["port_id"] for one in trunk["sub_ports"]):
                message = f"Port {port['id']} is currently a subport for trunk {trunk['id']}."
                raise Refusal(409, "PortInUseAsSubPort", message)
            if port["id"] == trunk["port_id"]:
                message = f"Port {port['id']} is currently a parent port for trunk {trunk['id']}."
                raise Refusal(409, "PortInUseAsTrunkParent", message)

    def _add(self, trunk: Resource, wanted: list[Resource], caller: Caller) -> None:
        carried = [one for other in self._store.resources["trunks"].values() for one in other["sub_ports"]]
        vlans = {one["segmentation_id"] for one in trunk["sub_ports"]}
        ports = []
        for one in wanted:
            if one["segmentation_id"] not in _VLANS:
                raise invalid(f"Segmentation ID '{one['segmentation_id']}' is not in range")
            port = self._store.get("ports", one["port_id"], caller)
            if any(port["id"] == other["port_id"] for other in carried):
                raise Refusal(409, "TrunkPortInUse", f"Port {port['id']} is in use by another trunk.")
            if port["device_id"]:
                message = f"Port already has an attached device {port['device_id']}."
                raise Refusal(409, "PortInUse", f"Unable to complete operation on port {port['id']}. {message}")
            if one["segmentation_id"] in vlans:
                message = f"segmentation_type vlan and segmentation_id {one['segmentation_id']} already in use"
                raise Refusal(409, "DuplicateSubPort", f"{message} on trunk {trunk['id']}.")
            vlans.add(one["segmentation_id"])
            ports.append(port)
        if not wanted:
            return
        parent = self._store.resources["ports"][trunk["port_id"]]
        for port in ports:
            # As OVN's driver does it: a sub-port is as active as its parent, from the first moment.
            self._store.change("ports", port, {"device_owner": SUB_PORT, "status": parent["status"]})
        self._store.change("trunks", trunk, {"sub_ports": [*trunk["sub_ports"], *wanted]})

    def _remove(self, trunk: Resource, port_ids: list[str]) -> None:
        carried = {one["port_id"] for one in trunk["sub_ports"]}
        for port_id in port_ids:
            if port_id not in carried:
                message = f"SubPort {port_id} on trunk {trunk['id']} could not be found."
                raise Refusal(404, "SubPortNotFound", message)
        for port_id in port_ids:
            port = self._store.resources["ports"][port_id]
            self._store.change("ports", port, {"device_owner": "", "status": "DOWN"})
        if port_ids:
            left = [one for one in trunk["sub_ports"] if one["port_id"] not in port_ids]
            self._store.change("trunks", trunk, {"sub_ports": left})


def _in_use(message: str) -> Refusal:
    return Refusal(409, "ParentPortInUse", message)
