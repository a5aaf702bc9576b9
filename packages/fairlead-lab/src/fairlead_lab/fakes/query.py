"""Filters, fields and pages of Neutron's lists."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from fairlead_lab.fakes.refusal import Refusal

Resource = dict[str, Any]
Pairs = list[tuple[str, str]]

_COMMON = frozenset(
    {"id", "name", "description", "project_id", "tenant_id", "revision_number"}
    | {"tags", "tags-any", "not-tags", "not-tags-any"}
)
FILTERS = {
    "networks": _COMMON | {"shared", "status", "admin_state_up", "mtu", "router:external"},
    "subnets": _COMMON | {"network_id", "cidr", "ip_version", "gateway_ip", "enable_dhcp"},
    "ports": _COMMON
    | {"network_id", "device_id", "device_owner", "mac_address", "fixed_ips", "status", "admin_state_up"}
    | {"security_groups", "binding:host_id"},
    "security_groups": _COMMON | {"shared"},
    "security_group_rules": _COMMON | {"security_group_id", "direction", "ethertype", "remote_ip_prefix"},
    "routers": _COMMON | {"status", "admin_state_up"},
    "trunks": _COMMON | {"port_id", "status", "admin_state_up"},
}
_NOT_FILTERS = frozenset({"fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"})


def select(collection: str, items: Iterable[Resource], pairs: Pairs) -> list[Resource]:
    """Keep what matches every filter; values of one filter are alternatives, tags excepted."""
    filters: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in FILTERS[collection]:
            filters.setdefault(name, []).append(value)
        elif name not in _NOT_FILTERS:
            raise Refusal(400, "HTTPBadRequest", f"['{name}'] is invalid attribute for filtering")
    return [item for item in items if all(_matches(item, name, values) for name, values in filters.items())]


def only_fields(item: Resource, pairs: Pairs) -> Resource:
    """Keep the attributes that `fields` asks for; all where it asks for none."""
    wanted = {value for name, value in pairs if name == "fields"}
    return {key: value for key, value in item.items() if key in wanted} if wanted else item


def page(items: list[Resource], pairs: Pairs, most: int, url: str) -> tuple[list[Resource], list[dict[str, str]]]:
    """Cut one page out of a list: its items, and the link to the next. most: the operator's limit, 0: none."""
    given = dict(pairs)
    limits = [limit for limit in (int(given.get("limit", 0)), most) if limit > 0]
    if not limits:
        return items, []
    size = min(limits)
    if marker := given.get("marker"):
        ids = [item["id"] for item in items]
        if marker not in ids:
            raise Refusal(400, "BadRequest", f"Bad marker request: {marker}")
        items = items[ids.index(marker) + 1 :]
    shown = items[:size]
    if len(shown) < size:
        return shown, []
    following = [(name, value) for name, value in pairs if name not in {"marker", "limit"}]
    following += [("limit", str(size)), ("marker", shown[-1]["id"])]
    return shown, [{"rel": "next", "href": f"{url}?{urlencode(following)}"}]


def _matches(item: Resource, name: str, values: list[str]) -> bool:
    match name:
        case "tags" | "tags-any" | "not-tags" | "not-tags-any":
            return _tags_match(set(item["tags"]), name, {tag for value in values for tag in value.split(",")})
        case "fixed_ips":
            return _fixed_ips_match(item["fixed_ips"], values)
        case "tenant_id":
            return item["project_id"] in values
        case "mac_address":
            return item[name] in {value.lower() for value in values}
        case _:
            return _equal(item.get(name), values)


def _equal(actual: Any, values: list[str]) -> bool:
    if isinstance(actual, list):
        return not {str(one) for one in actual}.isdisjoint(values)
    if isinstance(actual, bool):
        return str(actual).lower() in {value.lower() for value in values}
    return str(actual) in values


def _tags_match(tags: set[str], name: str, wanted: set[str]) -> bool:
    found = tags >= wanted if not name.endswith("-any") else not tags.isdisjoint(wanted)
    return not found if name.startswith("not-") else found


def _fixed_ips_match(fixed_ips: list[dict[str, str]], values: list[str]) -> bool:
    """Match values such as ip_address=10.0.0.5 and subnet_id=…: each kind must be met by an address of the port."""
    wanted: dict[str, set[str]] = {}
    for value in values:
        kind, _, content = value.partition("=")
        wanted.setdefault(kind, set()).add(content)
    return all(any(fixed.get(kind) in contents for fixed in fixed_ips) for kind, contents in wanted.items())
