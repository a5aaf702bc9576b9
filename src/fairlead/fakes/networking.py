"""Neutron's networks, subnets, ports and security groups, and the rules between them; no HTTP here.

Resources are dictionaries with the API's own attribute names (https://docs.openstack.org/api-ref/network/v2/).
Every operation is one step of the event loop, so it happens wholly or not at all.
"""

import random
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from fairlead.fakes import addresses
from fairlead.fakes.caller import Caller
from fairlead.fakes.refusal import Refusal, forbidden, invalid, missing
from fairlead.model.network import AddressRange, IPAddress, IPNetwork

Resource = dict[str, Any]

KINDS = {"networks": "Network", "subnets": "Subnet", "ports": "Port", "security_groups": "SecurityGroup"}
DEFAULT_QUOTAS = {"network": 100, "subnet": 100, "port": 500, "security_group": 10}
MTU = 1442
_MAX_TAGS = 50


class Networking:
    """All projects' resources. Identifiers, MAC addresses and the clock are the same in every run."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Resource]] = {collection: {} for collection in KINDS}
        self.quotas: dict[str, dict[str, int]] = {}
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self._random = random.Random(2026)  # noqa: S311 - identifiers, not secrets

    def advance(self, seconds: float) -> None:
        """Move the clock that created_at and updated_at are read from."""
        self.now += timedelta(seconds=seconds)

    def quota(self, project_id: str) -> dict[str, int]:
        """Give a project's limits; -1: none."""
        return DEFAULT_QUOTAS | self.quotas.get(project_id, {})

    # Reading

    def visible(self, collection: str, caller: Caller) -> list[Resource]:
        """List what the caller may see, oldest first."""
        if collection == "security_groups":
            self.default_group(caller.project_id)
        return [item for item in self.resources[collection].values() if self._sees(collection, item, caller)]

    def get(self, collection: str, resource_id: str, caller: Caller) -> Resource:
        """Give one resource that the caller may see."""
        item = self.resources[collection].get(resource_id)
        if item is None or not self._sees(collection, item, caller):
            raise missing(KINDS[collection], resource_id)
        return item

    def default_group(self, project_id: str) -> Resource:
        """Give a project's group `default`, made when it is first needed."""
        for group in self.resources["security_groups"].values():
            if group["project_id"] == project_id and group["name"] == "default":
                return group
        return self._keep("security_groups", project_id, {"name": "default", "description": "Default security group"})

    # Changing

    def create(self, collection: str, wanted: Resource, caller: Caller) -> Resource:
        """Make a resource: attributes, then quota, then policy, then the rules of its kind."""
        makers: dict[str, Callable[[Resource, Caller], Resource]] = {
            "networks": self._create_network,
            "subnets": self._create_subnet,
            "ports": self._create_port,
            "security_groups": self._create_group,
        }
        self._check_quota(collection, caller)
        if not caller.writes and not (collection == "ports" and caller.privileged):
            raise forbidden(f"rule:create_{collection[:-1]}")
        return makers[collection](wanted, caller)

    def update(
        self, collection: str, resource_id: str, change: Resource, caller: Caller, revision: int | None
    ) -> Resource:
        """Change a resource's attributes."""
        item = self._owned(collection, resource_id, caller, f"update_{collection[:-1]}")
        self._check_revision(item, revision)
        if collection == "ports":
            self._prepare_port_change(item, change, caller)
        changed = {key: value for key, value in change.items() if item.get(key) != value}
        if changed:
            item.update(changed)
            self._revise(item)
        return item

    def delete(self, collection: str, resource_id: str, caller: Caller, revision: int | None) -> None:
        """Delete a resource; a network goes with its subnets."""
        item = self._owned(collection, resource_id, caller, f"delete_{collection[:-1]}")
        self._check_revision(item, revision)
        if collection == "networks":
            self._empty_network(item)
        elif collection == "subnets":
            self._release_subnet(item)
        elif collection == "security_groups":
            self._check_group_unused(item, caller)
        del self.resources[collection][resource_id]

    def set_tags(self, collection: str, resource_id: str, tags: Iterable[str], caller: Caller) -> list[str]:
        """Replace all tags of a resource."""
        item = self._owned(collection, resource_id, caller, f"update_{collection[:-1]}:tags")
        replaced = sorted(set(tags))
        if len(replaced) > _MAX_TAGS:
            raise Refusal(400, "BadRequest", f"The number of tags exceed the per-resource limit of {_MAX_TAGS}.")
        if replaced != item["tags"]:
            item["tags"] = replaced
            self._revise(item)
        return replaced

    def remove_tag(self, collection: str, resource_id: str, tag: str, caller: Caller) -> None:
        """Take one tag off a resource."""
        item = self._owned(collection, resource_id, caller, f"delete_{collection[:-1]}:tags")
        if tag not in item["tags"]:
            raise Refusal(404, "TagNotFound", f"Tag {tag} could not be found.")
        item["tags"] = [other for other in item["tags"] if other != tag]
        self._revise(item)

    # Policy

    def _sees(self, collection: str, item: Resource, caller: Caller) -> bool:
        if caller.privileged or item["project_id"] == caller.project_id:
            return True
        if collection == "networks":
            return bool(item["shared"])
        if collection in {"subnets", "ports"}:
            network = self.resources["networks"][item["network_id"]]
            return network["project_id"] == caller.project_id or (collection == "subnets" and bool(network["shared"]))
        return False

    def _owned(self, collection: str, resource_id: str, caller: Caller, rule: str) -> Resource:
        item = self.get(collection, resource_id, caller)
        owns = caller.admin or (item["project_id"] == caller.project_id and caller.writes)
        if not owns and not (collection == "ports" and caller.privileged):
            raise forbidden(f"rule:{rule}")
        return item

    def _usable_network(self, network_id: str, caller: Caller) -> Resource:
        return self.get("networks", network_id, caller)

    def _check_quota(self, collection: str, caller: Caller) -> None:
        name = collection[:-1]
        limit = self.quota(caller.project_id)[name]
        used = sum(item["project_id"] == caller.project_id for item in self.resources[collection].values())
        if 0 <= limit <= used:
            raise Refusal(409, "OverQuota", f"Quota exceeded for resources: ['{name}'].")

    @staticmethod
    def _check_revision(item: Resource, revision: int | None) -> None:
        if revision is not None and revision != item["revision_number"]:
            raise Refusal(
                412,
                "RevisionNumberConstraintFailed",
                f"Constrained to {revision}, but current revision is {item['revision_number']}",
            )

    # Networks

    def _create_network(self, wanted: Resource, caller: Caller) -> Resource:
        if wanted.get("shared") and not caller.admin:
            raise forbidden("rule:create_network:shared")
        return self._keep(
            "networks",
            caller.project_id,
            {
                "name": wanted.get("name", ""),
                "description": wanted.get("description", ""),
                "mtu": wanted.get("mtu") or MTU,
                "subnets": [],
                "shared": bool(wanted.get("shared", False)),
                "admin_state_up": True,
                "status": "ACTIVE",
                "router:external": False,
                "port_security_enabled": True,
            },
        )

    def _empty_network(self, network: Resource) -> None:
        if any(port["network_id"] == network["id"] for port in self.resources["ports"].values()):
            raise Refusal(
                409,
                "NetworkInUse",
                f"Unable to complete operation on network {network['id']}. "
                "There are one or more ports still in use on the network.",
            )
        for subnet_id in network["subnets"]:
            del self.resources["subnets"][subnet_id]

    # Subnets

    def _create_subnet(self, wanted: Resource, caller: Caller) -> Resource:
        network = self._usable_network(wanted["network_id"], caller)
        if network["project_id"] != caller.project_id and not caller.admin:
            raise forbidden("rule:create_subnet")
        cidr = addresses.read_network(wanted["cidr"])
        if wanted.get("ip_version", cidr.version) != cidr.version:
            raise invalid(f"cidr '{cidr}' does not match the ip_version '{wanted['ip_version']}'")
        gateway = self._gateway(wanted, cidr)
        for other in self._subnets(network):
            range_ = ip_network(other["cidr"])
            if range_.version == cidr.version and cidr.overlaps(range_):
                raise invalid(
                    f"Requested subnet with cidr: {cidr} for network: {network['id']} overlaps with another subnet"
                )
        pools = wanted.get("allocation_pools")
        ranges = addresses.default_pools(cidr, gateway) if pools is None else addresses.read_pools(pools, cidr, gateway)
        subnet = self._keep(
            "subnets",
            caller.project_id,
            {
                "name": wanted.get("name", ""),
                "description": wanted.get("description", ""),
                "network_id": network["id"],
                "cidr": str(cidr),
                "ip_version": cidr.version,
                "gateway_ip": str(gateway) if gateway else None,
                "allocation_pools": [{"start": str(pool.first), "end": str(pool.last)} for pool in ranges],
                "host_routes": wanted.get("host_routes") or [],
                "dns_nameservers": wanted.get("dns_nameservers") or [],
                "enable_dhcp": wanted.get("enable_dhcp", True),
                "subnetpool_id": None,
            },
        )
        network["subnets"].append(subnet["id"])
        self._revise(network)
        return subnet

    @staticmethod
    def _gateway(wanted: Resource, cidr: IPNetwork) -> IPAddress | None:
        if "gateway_ip" not in wanted:
            return addresses.usable(cidr).first
        if wanted["gateway_ip"] is None:
            return None
        gateway = addresses.read_address(wanted["gateway_ip"], "gateway_ip")
        if gateway.version != cidr.version:
            raise invalid(f"gateway_ip '{gateway}' does not match the ip_version '{cidr.version}'")
        addresses.check_gateway(cidr, gateway)
        return gateway

    def _release_subnet(self, subnet: Resource) -> None:
        if any(
            fixed["subnet_id"] == subnet["id"]
            for port in self.resources["ports"].values()
            for fixed in port["fixed_ips"]
        ):
            raise Refusal(
                409,
                "SubnetInUse",
                f"Unable to complete operation on subnet {subnet['id']}: "
                "One or more ports have an IP allocation from this subnet.",
            )
        network = self.resources["networks"][subnet["network_id"]]
        network["subnets"].remove(subnet["id"])
        self._revise(network)

    def _subnets(self, network: Resource) -> list[Resource]:
        return [self.resources["subnets"][subnet_id] for subnet_id in network["subnets"]]

    # Ports

    def _create_port(self, wanted: Resource, caller: Caller) -> Resource:
        network = self._usable_network(wanted["network_id"], caller)
        self._check_port_policy(wanted, network, caller)
        mac = self._mac(wanted.get("mac_address"), network)
        fixed_ips = self._allocate(wanted.get("fixed_ips"), network, caller, own=())
        groups = self._port_groups(wanted.get("security_groups"), caller)
        host = wanted.get("binding:host_id") or ""
        return self._keep(
            "ports",
            caller.project_id,
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
                "security_groups": groups,
                "port_security_enabled": True,
                "binding:host_id": host,
                "binding:vif_type": "ovs" if host else "unbound",
                "binding:vnic_type": "normal",
                "tags": sorted(set(wanted.get("tags") or ())),
            },
        )

    @staticmethod
    def _check_port_policy(wanted: Resource, network: Resource, caller: Caller) -> None:
        if wanted.get("binding:host_id") and not caller.may_bind:
            raise forbidden("rule:create_port and rule:create_port:binding:host_id")
        if caller.privileged or network["project_id"] == caller.project_id:
            return
        if wanted.get("mac_address"):
            raise forbidden("rule:create_port and rule:create_port:mac_address")
        if any("ip_address" in fixed for fixed in wanted.get("fixed_ips") or ()):
            raise forbidden("rule:create_port and rule:create_port:fixed_ips:ip_address")

    def _mac(self, wanted: str | None, network: Resource) -> str:
        taken = {
            port["mac_address"] for port in self.resources["ports"].values() if port["network_id"] == network["id"]
        }
        if wanted:
            mac = wanted.lower()
            if mac in taken:
                raise Refusal(
                    409,
                    "MacAddressInUse",
                    f"Unable to complete operation for network {network['id']}. The mac address {mac} is in use.",
                )
            return mac
        while True:
            mac = "fa:16:3e:" + ":".join(f"{self._random.randrange(256):02x}" for _ in range(3))
            if mac not in taken:
                return mac

    def _allocate(
        self, wanted: list[dict[str, str]] | None, network: Resource, caller: Caller, own: Iterable[IPAddress]
    ) -> list[dict[str, str]]:
        """Choose addresses; own: those that the port has already and may keep."""
        subnets = self._subnets(network)
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
            if address in here or (address in self._taken(subnet) and address not in own):
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
            subnet = self.get("subnets", subnet_id, caller)
            if subnet["network_id"] != network["id"]:
                raise invalid(f"subnet {subnet_id} is not of network {network['id']}")
            if address is not None and not addresses.belongs(address, ip_network(subnet["cidr"])):
                raise Refusal(
                    400, "InvalidIpForSubnet", f"IP address {address} is not a valid IP for the specified subnet."
                )
            return subnet
        if address is None:
            raise invalid("IP allocation requires subnet_id or ip_address")
        for subnet in self._subnets(network):
            if addresses.belongs(address, ip_network(subnet["cidr"])):
                return subnet
        raise Refusal(
            400,
            "InvalidIpForNetwork",
            f"IP address {address} is not a valid IP for any of the subnets on the specified network.",
        )

    def _pick(self, subnets: list[Resource], besides: set[IPAddress], named: str) -> dict[str, str]:
        for subnet in subnets:
            pools = [
                AddressRange(ip_address(pool["start"]), ip_address(pool["end"])) for pool in subnet["allocation_pools"]
            ]
            for address in addresses.free_addresses(pools, self._taken(subnet) | besides):
                return {"subnet_id": subnet["id"], "ip_address": str(address)}
        if named:
            raise Refusal(409, "IpAddressGenerationFailure", f"No more IP addresses available for subnet {named}.")
        raise Refusal(409, "IpAddressGenerationFailureAllSubnets", "No more IP addresses available.")

    def _taken(self, subnet: Resource) -> set[IPAddress]:
        return {
            ip_address(fixed["ip_address"])
            for port in self.resources["ports"].values()
            for fixed in port["fixed_ips"]
            if fixed["subnet_id"] == subnet["id"]
        }

    def _prepare_port_change(self, port: Resource, change: Resource, caller: Caller) -> None:
        """Check a change of a port, and put allocated addresses in the place of wanted ones."""
        if "binding:host_id" in change and not caller.may_bind:
            raise forbidden("rule:update_port and rule:update_port:binding:host_id")
        if change.get("security_groups") is not None:
            change["security_groups"] = self._port_groups(change["security_groups"], caller)
        if change.get("fixed_ips") is not None:
            network = self.resources["networks"][port["network_id"]]
            own = {ip_address(fixed["ip_address"]) for fixed in port["fixed_ips"]}
            change["fixed_ips"] = self._allocate(change["fixed_ips"], network, caller, own)

    def _port_groups(self, wanted: list[str] | None, caller: Caller) -> list[str]:
        if wanted is None:
            return [self.default_group(caller.project_id)["id"]]
        known = self.resources["security_groups"]
        for group_id in wanted:
            if group_id not in known or not (caller.admin or known[group_id]["project_id"] == caller.project_id):
                raise Refusal(404, "SecurityGroupNotFound", f"Security group {group_id} does not exist")
        return list(wanted)

    # Security groups

    def _create_group(self, wanted: Resource, caller: Caller) -> Resource:
        self.default_group(caller.project_id)
        return self._keep(
            "security_groups",
            caller.project_id,
            {"name": wanted.get("name", ""), "description": wanted.get("description", ""), "stateful": True},
        )

    def _check_group_unused(self, group: Resource, caller: Caller) -> None:
        if group["name"] == "default" and not caller.admin:
            raise Refusal(
                409,
                "SecurityGroupCannotRemoveDefault",
                "Insufficient rights for removing default security group.",
            )
        if any(group["id"] in port["security_groups"] for port in self.resources["ports"].values()):
            raise Refusal(409, "SecurityGroupInUse", f"Security Group {group['id']} in use.")

    # Bookkeeping

    def _keep(self, collection: str, project_id: str, attributes: Resource) -> Resource:
        moment = self._moment()
        item: Resource = {
            "id": str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            "project_id": project_id,
            "tenant_id": project_id,
            "tags": [],
            "revision_number": 1,
            "created_at": moment,
            "updated_at": moment,
            **attributes,
        }
        self.resources[collection][item["id"]] = item
        return item

    def _revise(self, item: Resource) -> None:
        item["revision_number"] += 1
        item["updated_at"] = self._moment()

    def _moment(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
