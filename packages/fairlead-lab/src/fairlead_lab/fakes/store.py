"""What the fake Neutron keeps, who sees it, and the books on it: identifiers, revisions, moments, tags, quotas."""

import random
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from fairlead_lab.fakes.books import Books
from fairlead_lab.fakes.caller import Caller
from fairlead_lab.fakes.refusal import Refusal, forbidden, missing

Resource = dict[str, Any]

KINDS = {
    "networks": "Network",
    "subnets": "Subnet",
    "ports": "Port",
    "security_groups": "SecurityGroup",
    "security_group_rules": "SecurityGroupRule",
    "routers": "Router",
    "trunks": "Trunk",
}
# router_route is for each router, and never counts as used.
DEFAULT_QUOTAS = {
    "network": 100,
    "subnet": 100,
    "port": 500,
    "security_group": 10,
    "security_group_rule": 100,
    "router": 10,
    "router_route": 30,
}
_MAX_TAGS = 50


class Store:
    """All projects' resources. Identifiers, MAC addresses and the clock are the same in every run."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, Resource]] = {collection: {} for collection in KINDS}
        self.books = Books()
        self.quotas: dict[str, dict[str, int]] = {}
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self._random = random.Random(2026)  # noqa: S311 - identifiers, not secrets

    def advance(self, seconds: float) -> None:
        """Move the clock that created_at and updated_at are read from."""
        self.now += timedelta(seconds=seconds)

    def quota(self, project_id: str) -> dict[str, int]:
        """Give a project's limits; -1: none."""
        return DEFAULT_QUOTAS | self.quotas.get(project_id, {})

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
        group = self.keep_group(project_id, "default", "Default security group")
        for ethertype in ("IPv4", "IPv6"):
            self.keep_rule(group, {"direction": "ingress", "ethertype": ethertype, "remote_group_id": group["id"]})
        return group

    def keep_group(self, project_id: str, name: str, description: str) -> Resource:
        """Add a security group with the rules that every new one has: everything may go out."""
        attributes = {"name": name, "description": description, "stateful": True, "security_group_rules": []}
        group = self.keep("security_groups", project_id, attributes)
        for ethertype in ("IPv4", "IPv6"):
            self.keep_rule(group, {"direction": "egress", "ethertype": ethertype})
        return group

    def keep_rule(self, group: Resource, attributes: Resource) -> Resource:
        """Add a rule to a security group."""
        open_ = {"remote_ip_prefix": None, "remote_group_id": None, "remote_address_group_id": None, "protocol": None}
        ranges = {"port_range_min": None, "port_range_max": None, "description": ""}
        rule = self.keep(
            "security_group_rules",
            group["project_id"],
            {**open_, **ranges, **attributes, "security_group_id": group["id"]},
        )
        group["security_group_rules"].append(rule)
        return rule

    def set_tags(self, collection: str, resource_id: str, tags: Iterable[str], caller: Caller) -> list[str]:
        """Replace all tags of a resource."""
        item = self.owned(collection, resource_id, caller, f"update_{collection[:-1]}:tags")
        replaced = sorted(set(tags))
        if len(replaced) > _MAX_TAGS:
            raise Refusal(400, "BadRequest", f"The number of tags exceed the per-resource limit of {_MAX_TAGS}.")
        if replaced != item["tags"]:
            item["tags"] = replaced
            self.revise(item)
        return replaced

    def remove_tag(self, collection: str, resource_id: str, tag: str, caller: Caller) -> None:
        """Take one tag off a resource."""
        item = self.owned(collection, resource_id, caller, f"delete_{collection[:-1]}:tags")
        if tag not in item["tags"]:
            raise Refusal(404, "TagNotFound", f"Tag {tag} could not be found.")
        item["tags"] = [other for other in item["tags"] if other != tag]
        self.revise(item)

    def _sees(self, collection: str, item: Resource, caller: Caller) -> bool:
        sees_all = caller.admin if collection in {"routers", "trunks"} else caller.privileged
        if sees_all or item["project_id"] == caller.project_id:
            return True
        if collection == "networks":
            return bool(item["shared"])
        if collection in {"subnets", "ports"}:
            network = self.resources["networks"][item["network_id"]]
            return network["project_id"] == caller.project_id or (collection == "subnets" and bool(network["shared"]))
        return False

    def owned(self, collection: str, resource_id: str, caller: Caller, rule: str) -> Resource:
        """Give one resource that the caller may change; rule: the policy that a refusal names."""
        item = self.get(collection, resource_id, caller)
        owns = caller.admin or (item["project_id"] == caller.project_id and caller.writes)
        if not owns and not (collection == "ports" and caller.privileged):
            raise forbidden(f"rule:{rule}")
        return item

    def quota_details(self, project_id: str) -> dict[str, dict[str, int]]:
        """Give a project's limits beside what it uses of them."""
        return {
            name: {"limit": limit, "used": self.books.number(f"{name}s", project_id), "reserved": 0}
            for name, limit in self.quota(project_id).items()
        }

    def check_quota(self, collection: str, more: int, caller: Caller) -> None:
        """Refuse where the project would have more than it may."""
        name = collection[:-1]
        limit = self.quota(caller.project_id).get(name, -1)
        if limit >= 0 and self.books.number(collection, caller.project_id) + more > limit:
            raise Refusal(409, "OverQuota", f"Quota exceeded for resources: ['{name}'].")

    @staticmethod
    def check_revision(item: Resource, revision: int | None) -> None:
        """Refuse where If-Match named another revision."""
        if revision is not None and revision != item["revision_number"]:
            raise Refusal(
                412,
                "RevisionNumberConstraintFailed",
                f"Constrained to {revision}, but current revision is {item['revision_number']}",
            )

    def subnets_of(self, network: Resource) -> list[Resource]:
        """List a network's subnets."""
        return [self.resources["subnets"][subnet_id] for subnet_id in network["subnets"]]

    def new_mac(self) -> str:
        """Draw a MAC address of Neutron's default range."""
        return "fa:16:3e:" + ":".join(f"{self._random.randrange(256):02x}" for _ in range(3))

    def keep(self, collection: str, project_id: str, attributes: Resource) -> Resource:
        """Add a resource, with what every resource has."""
        moment = self._moment()
        item: Resource = {
            "id": str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            "project_id": project_id,
            "tenant_id": project_id,
            "tags": [],
            "revision_number": 0 if collection == "subnets" else 1,
            "created_at": moment,
            "updated_at": moment,
            **attributes,
        }
        self.resources[collection][item["id"]] = item
        self.books.enter(collection, item)
        return item

    def drop(self, collection: str, resource_id: str) -> None:
        """Take a resource away."""
        self.books.strike(collection, self.resources[collection].pop(resource_id))

    def change(self, collection: str, item: Resource, changed: Resource) -> None:
        """Give a resource's attributes other values."""
        self.books.strike(collection, item)
        item.update(changed)
        self.books.enter(collection, item)
        self.revise(item)

    def revise(self, item: Resource) -> None:
        """Count a change of a resource."""
        item["revision_number"] += 1
        item["updated_at"] = self._moment()

    def _moment(self) -> str:
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
