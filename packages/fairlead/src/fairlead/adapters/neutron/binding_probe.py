"""Whether the cloud's policy lets us bind ports to hosts, found out without making anything."""

import msgspec

from fairlead.adapters.neutron import errors, wire
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.adapters.neutron.errors import AnswerError
from fairlead.adapters.neutron.resources import read_several

_NIL = "00000000-0000-0000-0000-000000000000"
_ROLES_THAT_BIND = frozenset({"admin", "service"})


async def may_bind(client: NeutronClient, project_id: str) -> bool | None:
    """Ask for a port that can't be made; None where the answer does not tell.

    The request binds a port to a host and wants an address of a subnet that does not exist (the nil UUID). Neutron
    checks quota, then policy, then the subnet, and makes nothing. Measured on Neutron 29.0.0 with its default policy:
    a member gets 403 PolicyNotAuthorized, the roles service and admin get 404 SubnetNotFound, in 26 ms; whoever an
    operator's own `create_port:binding:host_id` lets pass gets as far as they do. The network must exist: for one
    that does not, members and service alike get 404 NetworkNotFound, because a rule before this one looks it up.
    Hence None in a project that sees no network yet; and where the port quota is used up, because quota comes first.
    """
    network_id = await _any_network(client, project_id)
    if not network_id:
        return None
    port = {
        "network_id": network_id,
        "fixed_ips": [{"subnet_id": _NIL}],
        "security_groups": [],
        "binding:host_id": "fairlead-probe",
    }
    try:
        await client.exchange("POST", "/ports", body=msgspec.json.encode({"port": port}))
    except AnswerError as answer:
        if answer.status == 403:
            return False
        return True if answer.kind in {"SubnetNotFound", "InvalidInput"} else None
    return None


def bind_by_default(roles: frozenset[str]) -> bool:
    """Say whether Neutron's own default policy lets one of these roles bind ports."""
    return not roles.isdisjoint(_ROLES_THAT_BIND)


async def _any_network(client: NeutronClient, project_id: str) -> str:
    for query in ([("project_id", project_id)], [("shared", "true")]):
        try:
            body = await client.exchange("GET", "/networks", query=[*query, ("fields", "id"), ("limit", "1")])
        except AnswerError as answer:
            raise errors.translate(answer) from answer
        networks = read_several(body, "networks", wire.NamedWire)
        if networks:
            return networks[0].id
    return ""
