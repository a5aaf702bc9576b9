"""Tags and names that Fairlead writes into Neutron, for operators to read and for itself to find again.

A tag is at most 60 characters (Networking API v2.0, standard attribute tag extension) and holds no comma, which
separates tags in a filter, and no slash where it is put into a path.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2s
from ipaddress import ip_address, ip_network

from fairlead.model.network import IPAddress, IPNetwork, Network, Port
from fairlead.model.records import JoinedNetwork, JoinedSubnet

OWNED = "fairlead"
"""On everything that Fairlead made; what lacks it is never changed or deleted."""

ASKED = "fairlead:asked-whether-it-lives"
"""On a port whose node somebody wants to retire: one that lives takes it off."""

PORT_OWNER = "fairlead:container"
"""device_owner of a container's port."""

_MEMBER = "fairlead:host="
_NODE = "fairlead:node="

_WAITING = "/waiting"
_MADE_BY = "Made by Fairlead"
_SERVES = "Container network "
_INTERNAL = "internal"
_SINGLE = "single use"
_BATCH = "batch "
_BY = "node "
_RANGE = "range "
_GATEWAY = "gateway "
_PART = "addresses of "
_ROUTED = "fairlead:routed="
_SPARES = "fairlead:spares="
_TAG_LIMIT = 60
SHORT_ID = 12
"""Characters of a door's id that its own listings show."""

NODE_ID = 12
"""Characters of a node's id."""


def member_tag(host: str, node_id: str, joined_id: str) -> str:
    """Tag an owned network with the node that joined it and its door's network: the last one out deletes it.

    The host's name is for people, and may change or be another node's as well.
    """
    return _fit(_MEMBER, host, f":{node_id}:{joined_id[:SHORT_ID]}")


def is_member_tag(tag: str) -> bool:
    """Say whether a tag is one of a node that has joined a network."""
    return tag.startswith(_MEMBER)


def member_id(tag: str, host: str, node_id: str) -> str:
    """Read the beginning of the door's network id out of a node's own member tag; empty where it is another's."""
    text, _, short_id = tag.rpartition(":")
    if not is_member_tag(tag) or not short_id:
        return ""
    # Up to 0.1 only the host's name told the node.
    return short_id if text.endswith(f":{node_id}") or tag == _fit(_MEMBER, f"{host}:{short_id}") else ""


def member_host(tag: str) -> str:
    """Read the host's name out of a member tag, as far as it fits; empty where it is none."""
    return tag.removeprefix(_MEMBER).split(":")[0] if is_member_tag(tag) else ""


def member_node(tag: str) -> str:
    """Read the node's id out of a member tag; empty where it has none."""
    words = tag.removeprefix(_MEMBER).split(":")
    return words[1] if is_member_tag(tag) and len(words) == len(("host", "node", "network")) else ""


def is_host(name: str, member: str) -> bool:
    """Say whether a member tag's host (`member_host`) is the one of this name."""
    return member in {name, member_host(member_tag(name, "0" * NODE_ID, "0" * SHORT_ID))}


def pool_tag(cidr: IPNetwork) -> str:
    """Tag an owned network that only its range names."""
    return f"fairlead:pool={cidr}"


def routed_tag(cidr: IPNetwork) -> str:
    """Tag an owned network of mode `routed` with its range, which is divided among the nodes."""
    return f"{_ROUTED}{cidr}"


def is_routed(network: Network) -> bool:
    """Say whether a network is of mode `routed`."""
    return any(tag.startswith(_ROUTED) for tag in network.tags)


def host_tag(host: str) -> str:
    """Tag a port with the host that made it."""
    return _fit("fairlead:at=", host)


def node_tag(node_id: str) -> str:
    """Tag a port with the node that made it, whatever its name."""
    return f"{_NODE}{node_id}"


def node_of(tags: Collection[str]) -> str:
    """Read the node's id out of a port's tags; empty where they name none."""
    return next((tag.removeprefix(_NODE) for tag in tags if tag.startswith(_NODE)), "")


def is_of_another_node(tags: Collection[str], node_id: str) -> bool:
    """Say whether the tags name a node, and not this one."""
    return node_of(tags) not in {"", node_id}


def spare_tag(least: IPAddress) -> str:
    """Tag a subnet whose allocation pools may grow downwards to an address, once they are used up."""
    return f"{_SPARES}{least}"


def spared_from(tags: Collection[str]) -> IPAddress | None:
    """Read out of a subnet's tags the address down to which its allocation pools may grow."""
    for tag in tags:
        if tag.startswith(_SPARES):
            with suppress(ValueError):
                return ip_address(tag.removeprefix(_SPARES))
    return None


def network_name(cidr: IPNetwork) -> str:
    """Name a network of which only the range is known."""
    return f"fairlead-{str(cidr).replace('/', '-')}"


def network_description(node_id: str, joined_id: str) -> str:
    """Describe a network that is being made.

    Neutron tags a network in a second request: until then this tells whose it is.
    """
    return f"{_MADE_BY} on node {node_id} for network {joined_id[:SHORT_ID]}"


def is_owned(network: Network) -> bool:
    """Say whether Fairlead made a network, tagged or just about to be."""
    return OWNED in network.tags or network.description.startswith(_MADE_BY)


def port_name(host: str, owner: str) -> str:
    """Name a port by its host and the attachment's owner; empty: it waits for one."""
    return f"{host}/{owner[:SHORT_ID]}" if owner else f"{host}{_WAITING}"


def is_waiting(port: Port) -> bool:
    """Say whether a port's name tells that it waits for an owner; it may be a minute behind."""
    return port.name.endswith(_WAITING)


def host_of(port: Port) -> str:
    """Read the host out of a port's name."""
    return port.name.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Described:
    """What a port's description tells: the door's network that it serves, how, and the request and node that made it.

    node_id is empty in one of before nodes had ids.
    """

    joined_id: str
    internal: bool
    single_use: bool
    batch_id: str = ""
    node_id: str = ""


@dataclass(frozen=True, slots=True)
class DescribedBlock:
    """What a block's description tells: the door's network that it serves, and the range that it is of."""

    joined_id: str
    internal: bool
    cidr: IPNetwork
    gateway: IPAddress | None
    part: IPNetwork | None


def unknown_owner(port_id: str) -> str:
    """Stand for the owner of a port that is in a container, where a rebuilt memory can't tell which."""
    return f"unknown {port_id}"


def port_description(joined: JoinedNetwork, node_id: str, batch_id: str, *, single_use: bool) -> str:
    """Describe a port, so that a node's memory can be rebuilt of what Neutron has.

    Unlike tags, a description is in the request that makes a port: with it the port is known for ours from its first
    moment.
    """
    words = (
        f"{_SERVES}{joined.id}",
        *((_INTERNAL,) if joined.internal else ()),
        *((_SINGLE,) if single_use else ()),
        f"{_BY}{node_id}",
        f"{_BATCH}{batch_id}",
    )
    return ", ".join(words)


def described_network(description: str) -> Described | None:
    """Read a port's description; None where it is not ours."""
    first, *words = description.split(", ")
    if not first.startswith(_SERVES):
        return None

    def after(word: str) -> str:
        return next((one.removeprefix(word) for one in words if one.startswith(word)), "")

    joined_id, batch_id, node_id = first.removeprefix(_SERVES), after(_BATCH), after(_BY)
    return Described(joined_id, _INTERNAL in words, _SINGLE in words, batch_id, node_id)


def block_description(joined: JoinedNetwork, subnet: JoinedSubnet) -> str:
    """Describe a node's block of a network in mode `routed`, for the same end."""
    words = [
        f"{_SERVES}{joined.id}",
        f"{_RANGE}{subnet.cidr}",
        *([_INTERNAL] if joined.internal else []),
        *([f"{_GATEWAY}{subnet.gateway}"] if subnet.gateway else []),
        *([f"{_PART}{subnet.part}"] if subnet.part else []),
    ]
    return ", ".join(words)


def is_block(description: str) -> bool:
    """Say whether a description is a block's: a subnet has that before it has its tag, which Neutron adds second."""
    words = description.split(", ")
    return all(any(one.startswith(kind) for one in words) for kind in (_SERVES, _RANGE))


def described_block(description: str) -> DescribedBlock | None:
    """Read a block's description; None where it is not ours, or somebody has changed it."""
    words = description.split(", ")

    def after(word: str) -> str:
        return next((one.removeprefix(word) for one in words if one.startswith(word)), "")

    if not is_block(description):
        return None
    try:
        return DescribedBlock(
            joined_id=after(_SERVES),
            internal=_INTERNAL in words,
            cidr=ip_network(after(_RANGE)),
            gateway=ip_address(after(_GATEWAY)) if after(_GATEWAY) else None,
            part=ip_network(after(_PART)) if after(_PART) else None,
        )
    except ValueError:
        return None


def _fit(prefix: str, text: str, ending: str = "") -> str:
    """Keep a tag within the limit: of a text that is too long the end gives way to a hash of the whole."""
    room = _TAG_LIMIT - len(prefix) - len(ending)
    if len(text) > room:
        digest = blake2s(text.encode(), digest_size=6).hexdigest()
        text = f"{text[: room - len(digest) - 1]}~{digest}"
    return f"{prefix}{text}{ending}"
