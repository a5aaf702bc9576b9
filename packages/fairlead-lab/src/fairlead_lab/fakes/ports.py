"""The rules of ports: addresses and MACs that nobody else has, groups that exist, bindings for whom policy lets."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from fairlead.model.network import IPAddress
from fairlead_lab.fakes import addresses, pairs
from fairlead_lab.fakes.caller import Caller
from fairlead_lab.fakes.refusal import Refusal, forbidden, invalid
from fairlead_lab.fakes.store import Resource, Store

ROUTER_INTERFACE = "network:router_interface"
NOWHERE = "nowhere"
"""A host that no chassis has: a port can't be bound to it."""


class Ports:
    """Makes and changes ports in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, wanted: Resource, caller: Caller) -> Resource:
        """Make a port on a network."""
        network = self._store.get("networks", wanted["network_id"], caller)
        self._check_port_policy(wanted, network, caller)
        return self.make(wanted, network, caller, caller.project_id)

    def make(self, wanted: Resource, network: Resource, caller: Caller, project_id: str) -> Resource:
        """Make a port for a project, without a look at policy."""
        mac = self._mac(wanted.get("mac_address"), network)
        fixed_ips = self._allocate(wanted.get("fixed_ips"), network, caller, own=())
        # Neutron trusts its own devices.
        trusted = wanted.get("device_owner", "").startswith("network:")
        secure = not trusted and wanted.get("port_security_enabled", network["port_security_enabled"])
        groups = wanted.get("security_groups")
        security = {
            "port_security_enabled": secure,
            "security_groups": self._port_groups(groups, caller) if secure or groups else [],
            "allowed_address_pairs": pairs.read_pairs(wanted.get("allowed_address_pairs") or [], mac),
        }
        pairs.check_security(security, {})
        return self._store.keep(
            "ports",
            project_id,
            {
                "name": wanted.get("name", ""),
                "description": wanted.get("description", ""),
                "network_id": network["id"],
                "mac_address": mac,
                "fixed_ips": fixed_ips,
                "device_id": wanted.get("device_id", ""),
                "device_owner": wanted.get("device_owner", ""),
                "admin_state_up": True,
                "status": "DOWN",
                **security,
                **_binding(wanted.get("binding:host_id") or ""),
                "tags": sorted(set(wanted.get("tags") or ())),
            },
        )

    @staticmethod
    def _check_port_policy(wanted: Resource, network: Resource, caller: Caller) -> None:
        if wanted.get("binding:host_id") and not caller.may_bind:
            raise forbidden("rule:create_port and rule:create_port:binding:host_id")
        if caller.privileged or network["project_id"] == caller.project_id:
            return
        if wanted.get("allowed_address_pairs"):
            raise forbidden("rule:create_port and rule:create_port:allowed_address_pairs")
        if wanted.get("mac_address"):
            raise forbidden("rule:create_port and rule:create_port:mac_address")
        if any("ip_address" in fixed for fixed in wanted.get("fixed_ips") or ()):
            raise forbidden("rule:create_port and rule:create_port:fixed_ips:ip_address")

    def _mac(self, wanted: str | None, network: Resource) -> str:
        books = self._store.books
        if wanted:
            mac = wanted.lower()
            if books.has_mac(network["id"], mac):
                raise Refusal(
                    409,
                    "MacAddressInUse",
                    f"Unable to complete operation for network {network['id']}. The mac address {mac} is in use.",
                )
            return mac
        while True:
            if not books.has_mac(network["id"], mac := self._store.new_mac()):
                return mac

    def _allocate(
        self, wanted: list[dict[str, str]] | None, network: Resource, caller: Caller, own: Iterable[IPAddress]
    ) -> list[dict[str, str]]:
        """Choose addresses; own: those that the port has already and may keep."""
        subnets = self._store.subnets_of(network)
        if wanted is None:
            families = [[s for s in subnets if s["ip_version"] == version] for version in (4, 6)]
            return [self._pick(family, set(), "") for family in families if family]
        chosen: list[dict[str, str]] = []
        for fixed in wanted:
            subnet = self._subnet_of(fixed, network, caller)
            here = {ip_address(other["ip_address"]) for other in chosen if other["subnet_id"] == subnet["id"]}
            if "ip_address" not in fixed:
                chosen.append(self._pick([subnet], here, subnet["id"]))
                continue
            address = ip_address(fixed["ip_address"])
            if address in here or (self._store.books.has_address(subnet["id"], address) and address not in own):
                raise Refusal(
                    409,
                    "IpAddressAlreadyAllocated",
                    f"IP address {address} already allocated in subnet {subnet['id']}",
                )
            chosen.append({"subnet_id": subnet["id"], "ip_address": str(address)})
        return chosen

    def _subnet_of(self, fixed: dict[str, str], network: Resource, caller: Caller) -> Resource:
        if not network["subnets"]:
            raise invalid("IP allocation requires subnets for network")
        address = addresses.read_address(fixed["ip_address"], "fixed_ips") if "ip_address" in fixed else None
        if subnet_id := fixed.get("subnet_id"):
            subnet = self._store.get("subnets", subnet_id, caller)
            if subnet["network_id"] != network["id"]:
                raise invalid(f"subnet {subnet_id} is not of network {network['id']}")
            if address is not None and not addresses.belongs(address, ip_network(subnet["cidr"])):
                raise Refusal(
                    400, "InvalidIpForSubnet", f"IP address {address} is not a valid IP for the specified subnet."
                )
            return subnet
        if address is None:
            raise invalid("IP allocation requires subnet_id or ip_address")
        for subnet in self._store.subnets_of(network):
            if addresses.belongs(address, ip_network(subnet["cidr"])):
                return subnet
        raise Refusal(
            400,
            "InvalidIpForNetwork",
            f"IP address {address} is not a valid IP for any of the subnets on the specified network.",
        )

    def _pick(self, subnets: list[Resource], besides: set[IPAddress], named: str) -> dict[str, str]:
        for subnet in subnets:
            address = self._store.books.free_address(subnet["id"], addresses.pools_of(subnet), besides)
            if address is not None:
                return {"subnet_id": subnet["id"], "ip_address": str(address)}
        if named:
            raise Refusal(409, "IpAddressGenerationFailure", f"No more IP addresses available for subnet {named}.")
        raise Refusal(409, "IpAddressGenerationFailureAllSubnets", "No more IP addresses available.")

    def prepare_change(self, port: Resource, change: Resource, caller: Caller) -> None:
        """Check a change of a port, and put allocated addresses in the place of wanted ones."""
        if "binding:host_id" in change and not caller.may_bind:
            raise forbidden("rule:update_port and rule:update_port:binding:host_id")
        network = self._store.resources["networks"][port["network_id"]]
        if change.get("allowed_address_pairs") is not None:
            if not caller.privileged and network["project_id"] != caller.project_id:
                raise forbidden("rule:update_port and rule:update_port:allowed_address_pairs")
            change["allowed_address_pairs"] = pairs.read_pairs(change["allowed_address_pairs"], port["mac_address"])
        if change.get("security_groups") is not None:
            change["security_groups"] = self._port_groups(change["security_groups"], caller)
        if change.get("fixed_ips") is not None:
            own = {ip_address(fixed["ip_address"]) for fixed in port["fixed_ips"]}
            change["fixed_ips"] = self._allocate(change["fixed_ips"], network, caller, own)
        pairs.check_security(port, change)

    @staticmethod
    def release(port: Resource, caller: Caller) -> None:
        """Let a port go, unless it is a router's, or an instance's and the caller no more than a member."""
        if port["device_owner"].startswith("compute:") and not caller.privileged:
            raise forbidden("rule:delete_port")
        if port["device_owner"] == ROUTER_INTERFACE:
            raise Refusal(
                409,
                "ServicePortInUse",
                f"Port {port['id']} cannot be deleted directly via the port API: "
                f"has device owner {port['device_owner']}.",
            )

    def _port_groups(self, wanted: list[str] | None, caller: Caller) -> list[str]:
        if wanted is None:
            return [self._store.default_group(caller.project_id)["id"]]
        known = self._store.resources["security_groups"]
        for group_id in wanted:
            if group_id not in known or not (caller.admin or known[group_id]["project_id"] == caller.project_id):
                raise Refusal(404, "SecurityGroupNotFound", f"Security group {group_id} does not exist")
        return list(wanted)


def _binding(host: str) -> Resource:
    vif_type = "unbound" if not host else "binding_failed" if host == NOWHERE else "ovs"
    details = {"port_filter": True, "bridge_name": "br-int", "datapath_type": "system"}
    return {
        "binding:host_id": host,
        "binding:vif_type": vif_type,
        "binding:vif_details": details if vif_type == "ovs" else {},
        "binding:vnic_type": "normal",
    }
