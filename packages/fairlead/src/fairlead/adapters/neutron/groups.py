"""Security groups: those that are named to us, and those that are ours."""

import re
from collections.abc import Collection
from ipaddress import ip_network

import msgspec

from fairlead.adapters.neutron.client import NeutronClient, Query
from fairlead.adapters.neutron.resources import Resources, query, read_one, segment
from fairlead.model.network import IPNetwork, NewSecurityGroup, SecurityGroup

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_EVERYTHING = {"IPv4": ip_network("0.0.0.0/0"), "IPv6": ip_network("::/0")}


class _RuleWire(msgspec.Struct):
    """A rule as Neutron sends it, with all that can narrow it."""

    direction: str = ""
    ethertype: str = ""
    remote_ip_prefix: str | None = None
    protocol: str | None = None
    remote_group_id: str | None = None
    remote_address_group_id: str | None = None

    def __post_init__(self) -> None:
        _ = self.range

    @property
    def range(self) -> IPNetwork | None:
        """The range that everything may come in from; None where it is not such a rule."""
        if self.direction != "ingress" or self.protocol or self.remote_group_id or self.remote_address_group_id:
            return None
        if self.remote_ip_prefix is None:
            return _EVERYTHING.get(self.ethertype)
        return ip_network(self.remote_ip_prefix, strict=False)


class _GroupWire(msgspec.Struct):
    """A security group as Neutron sends it."""

    id: str
    name: str = ""
    project_id: str = ""
    description: str | None = None
    tags: list[str] = []
    created_at: str = ""
    security_group_rules: list[_RuleWire] = []

    def model(self) -> SecurityGroup:
        """Convert it."""
        ranges = (rule.range for rule in self.security_group_rules)
        return SecurityGroup(
            id=self.id,
            name=self.name,
            tags=frozenset(self.tags),
            ingress=frozenset(range_ for range_ in ranges if range_ is not None),
            description=self.description or "",
        )


class _NewGroupWire(msgspec.Struct):
    name: str
    description: str


class _NewRuleWire(msgspec.Struct):
    security_group_id: str
    ethertype: str
    remote_ip_prefix: str
    direction: str = "ingress"


class SecurityGroups:
    """Finds, makes and deletes security groups."""

    def __init__(self, client: NeutronClient, resources: Resources) -> None:
        self._client = client
        self._resources = resources

    async def named(self, names: Collection[str]) -> list[SecurityGroup]:
        """List the groups whose name or id is among names.

        Of groups with one name the project's own count; an administrator sees every project's.
        """
        if not names:
            return []
        token = await self._client.token()
        wanted = sorted(set(names))
        found = await self._find([("name", name) for name in wanted], "id", "name", "project_id")
        own_names = {group.name for group in found if group.project_id == token.project_id}
        chosen = {
            group.id: group for group in found if group.project_id == token.project_id or group.name not in own_names
        }
        if ids := [("id", name) for name in wanted if _UUID.fullmatch(name)]:
            chosen.update((group.id, group) for group in await self._find(ids, "id", "name", "project_id"))
        return [group.model() for group in chosen.values()]

    async def owned(self, *, name: str, tags: Collection[str]) -> list[SecurityGroup]:
        """List the project's own groups that match all that is given, oldest first: the same first for everyone."""
        project_id = (await self._client.token()).project_id
        found = await self._find(query(name=name, tags=tags, project_id=project_id))
        return [group.model() for group in sorted(found, key=lambda group: (group.created_at, group.id))]

    async def create(self, new: NewSecurityGroup) -> SecurityGroup:
        """Make a group, its rules and its tags, in this order: nothing is left where one of them fails.

        Neutron has no request for all three. The tags come last, so that whoever finds it by them finds it whole.
        """
        wanted = msgspec.json.encode({"security_group": _NewGroupWire(new.name, new.description)})
        body = await self._resources.create("/security-groups", wanted)
        made = read_one(body, "security_group", _GroupWire)
        ranges = sorted(set(new.ingress), key=str)
        try:
            if ranges:
                rules = [_NewRuleWire(made.id, f"IPv{range_.version}", str(range_)) for range_ in ranges]
                await self._resources.create(
                    "/security-group-rules", msgspec.json.encode({"security_group_rules": rules})
                )
            if new.tags:
                await self._resources.put_tags("security-groups", made.id, new.tags)
        except BaseException:
            await self._resources.undo("security-groups", [made.id])
            raise
        return SecurityGroup(
            id=made.id, name=made.name, tags=new.tags, ingress=frozenset(ranges), description=new.description
        )

    async def delete(self, group_id: str) -> None:
        """Delete a group; its rules go with it."""
        await self._resources.delete(f"/security-groups/{segment(group_id)}")

    async def _find(self, filters: Query, *fields: str) -> list[_GroupWire]:
        """List groups; fields: only these of them, all where none is named."""
        wanted = [*filters, *(("fields", field) for field in fields)]
        return await self._resources.find("security_groups", _GroupWire, wanted, path="/security-groups")
