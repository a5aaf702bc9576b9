"""Tags and names that Fairlead writes into Neutron, for operators to read and for itself to find again.

A tag is at most 60 characters (Networking API v2.0, standard attribute tag extension) and holds no comma, which
separates tags in a filter, and no slash where it is put into a path.
"""

from dataclasses import dataclass
from hashlib import blake2s
from ipaddress import ip_address, ip_network

from fairlead.model.network import IPAddress, IPNetwork, Network
from fairlead.model.records import JoinedNetwork, JoinedSubnet

OWNED = "fairlead"
"""On everything that Fairlead made; what lacks it is never changed or deleted."""

PORT_OWNER = "fairlead:container"
"""device_owner of a container's port."""

MEMBER_PREFIX = "fairlead:host="
"""Begins the tag of a host that has joined a network."""

_MADE_BY = "Made by Fairlead"
_SERVES = "Container network "
_INTERNAL = "internal"
_SINGLE = "single use"
_BATCH = "batch "
_RANGE = "range "
_GATEWAY = "gateway "
_PART = "addresses of "
_ROUTED = "fairlead:routed="
_TAG_LIMIT = 60
SHORT_ID = 12
"""Characters of a door's id that its own listings show."""


def member_tag(host: str, joined_id: str) -> str:
    """Tag an owned network with the host that joined it and its door's network: the last one out deletes it."""
    return _fit(MEMBER_PREFIX, f"{host}:{joined_id[:SHORT_ID]}")


def member_id(tag: str, host: str) -> str:
    """Read the beginning of the door's network id out of a host's member tag; empty where it is another's."""
    short_id = tag.rpartition(":")[2]
    return short_id if short_id and tag == member_tag(host, short_id) else ""


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


def network_name(cidr: IPNetwork) -> str:
    """Name a network of which only the range is known."""
    return f"fairlead-{str(cidr).replace('/', '-')}"


def network_description(host: str, joined_id: str) -> str:
    """Describe a network that is being made.

    Neutron tags a network in a second request: until then this tells whose it is.
    """
    return f"{_MADE_BY} on {host} for network {joined_id[:SHORT_ID]}"


def is_owned(network: Network) -> bool:
    """Say whether Fairlead made a network, tagged or just about to be."""
    return OWNED in network.tags or network.description.startswith(_MADE_BY)


def port_name(host: str, owner: str) -> str:
    """Name a port by its host and the attachment's owner; empty: it waits for one."""
    return f"{host}/{owner[:SHORT_ID]}" if owner else f"{host}/waiting"


@dataclass(frozen=True, slots=True)
class Described:
    """What a port's description tells: the door's network that it serves, how, and the request that made it."""

    joined_id: str
    internal: bool
    single_use: bool
    batch_id: str = ""


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


def port_description(joined: JoinedNetwork, *, single_use: bool, batch_id: str) -> str:
    """Describe a port, so that a node's memory can be rebuilt of what Neutron has.

    Unlike tags, a description is in the request that makes a port: with it the port is known for ours from its first
    moment.
    """
    words = (
        f"{_SERVES}{joined.id}",
        *((_INTERNAL,) if joined.internal else ()),
        *((_SINGLE,) if single_use else ()),
        f"{_BATCH}{batch_id}",
    )
    return ", ".join(words)


def described_network(description: str) -> Described | None:
    """Read a port's description; None where it is not ours."""
    first, *words = description.split(", ")
    if not first.startswith(_SERVES):
        return None
    batch_id = next((word.removeprefix(_BATCH) for word in words if word.startswith(_BATCH)), "")
    return Described(first.removeprefix(_SERVES), _INTERNAL in words, _SINGLE in words, batch_id)


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


def described_block(description: str) -> DescribedBlock | None:
    """Read a block's description; None where it is not ours."""
    words = description.split(", ")

    def after(word: str) -> str:
        return next((one.removeprefix(word) for one in words if one.startswith(word)), "")

    if not after(_SERVES) or not after(_RANGE):
        return None
    return DescribedBlock(
        joined_id=after(_SERVES),
        internal=_INTERNAL in words,
        cidr=ip_network(after(_RANGE)),
        gateway=ip_address(after(_GATEWAY)) if after(_GATEWAY) else None,
        part=ip_network(after(_PART)) if after(_PART) else None,
    )


def _fit(prefix: str, text: str) -> str:
    """Keep a tag within the limit: a long one ends in a hash of the whole."""
    if len(prefix) + len(text) <= _TAG_LIMIT:
        return prefix + text
    digest = blake2s(text.encode(), digest_size=6).hexdigest()
    return f"{prefix}{text[: _TAG_LIMIT - len(prefix) - len(digest) - 1]}~{digest}"
