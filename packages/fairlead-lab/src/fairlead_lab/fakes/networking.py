"""Neutron's operations on networks and what is on them, and the rules between them; no HTTP here.

Resources are dictionaries with the API's own attribute names (https://docs.openstack.org/api-ref/network/v2/).
Every operation is one step of the event loop, so it happens wholly or not at all.
"""

from collections.abc import Callable

from fairlead_lab.fakes.caller import Caller
from fairlead_lab.fakes.groups import Groups
from fairlead_lab.fakes.ports import Ports
from fairlead_lab.fakes.refusal import Refusal, forbidden
from fairlead_lab.fakes.routers import Routers
from fairlead_lab.fakes.store import Resource, Store
from fairlead_lab.fakes.subnets import Subnets
from fairlead_lab.fakes.trunks import Trunks

MTU = 1442


class Networking:
    """Changes what a store holds, by Neutron's rules and its default policy."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._subnets = Subnets(store)
        self._ports = Ports(store)
        self._groups = Groups(store)
        self.routers = Routers(store, self._ports)
        self.trunks = Trunks(store)

    def create(self, collection: str, wanted: list[Resource], caller: Caller) -> list[Resource]:
        """Make all of these resources or none: attributes, then quota, then policy, then the rules of their kind."""
        makers: dict[str, Callable[[Resource, Caller], Resource]] = {
            "networks": self._create_network,
            "subnets": self._subnets.create,
            "ports": self._ports.create,
            "security_groups": self._groups.create,
            "security_group_rules": self._groups.create_rule,
            "routers": self.routers.create,
            "trunks": self.trunks.create,
        }
        self._store.check_quota(collection, len(wanted), caller)
        if not caller.writes and not (collection == "ports" and caller.privileged):
            raise forbidden(f"rule:create_{collection[:-1]}")
        made: list[Resource] = []
        try:
            for one in wanted:
                made.append(makers[collection](one, caller))
        except Refusal:
            for item in made:
                if collection == "security_group_rules":
                    self._groups.release_rule(item)
                self._store.drop(collection, item["id"])
            raise
        return made

    def update(
        self, collection: str, resource_id: str, change: Resource, caller: Caller, revision: int | None
    ) -> Resource:
        """Change a resource's attributes."""
        item = self._store.owned(collection, resource_id, caller, f"update_{collection[:-1]}")
        self._store.check_revision(item, revision)
        if collection == "ports":
            self._ports.prepare_change(item, change, caller)
        elif collection == "subnets":
            self._subnets.prepare_change(item, change)
        elif collection == "routers" and "routes" in change:
            self.routers.check_routes(item, change["routes"])
        changed = {key: value for key, value in change.items() if item.get(key) != value}
        if changed:
            self._store.change(collection, item, changed)
        return item

    def delete(self, collection: str, resource_id: str, caller: Caller, revision: int | None) -> None:
        """Delete a resource; a network goes with its subnets."""
        item = self._store.owned(collection, resource_id, caller, f"delete_{collection[:-1]}")
        self._store.check_revision(item, revision)
        if collection == "networks":
            self._empty_network(item)
        elif collection == "subnets":
            self._subnets.release(item)
        elif collection == "ports":
            self._ports.release(item, caller)
            self.trunks.check_unused(item)
        elif collection == "security_groups":
            self._groups.release(item, caller)
        elif collection == "security_group_rules":
            self._groups.release_rule(item)
        elif collection == "routers":
            self.routers.release(item)
        elif collection == "trunks":
            self.trunks.release(item)
        self._store.drop(collection, resource_id)

    def usage(self, network_id: str, caller: Caller) -> Resource:
        """Say how full a network is, to administrators and services; others are told that there is no such thing."""
        network = self._store.get("networks", network_id, caller)
        if not caller.privileged:
            raise Refusal(404, "HTTPNotFound", "The resource could not be found.")
        return self._subnets.usage(network)

    def _create_network(self, wanted: Resource, caller: Caller) -> Resource:
        if wanted.get("shared") and not caller.admin:
            raise forbidden("rule:create_network:shared")
        return self._store.keep(
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
        if self._store.books.ports_on(network["id"]):
            raise Refusal(
                409,
                "NetworkInUse",
                f"Unable to complete operation on network {network['id']}. "
                "There are one or more ports still in use on the network.",
            )
        for subnet_id in network["subnets"]:
            self._store.drop("subnets", subnet_id)
