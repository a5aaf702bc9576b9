"""The options that users give with `-o` and `--ipam-opt`.

The `neutron.net.*` names are those that users of kuryr-libnetwork know.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.model.errors import InvalidInput
from fairlead.model.records import NetworkReference

GENERIC = "com.docker.network.generic"
INTERNAL = "com.docker.network.internal"
PORT_MAP = "com.docker.network.portmap"
REQUEST_TYPE = "RequestAddressType"
GATEWAY = "com.docker.network.gateway"
DOCKER_PREFIX = "com.docker."

NET_ID = "neutron.net.uuid"
NET_NAME = "neutron.net.name"
GROUPS = "neutron.security_groups"
IPAM_OPTIONS = (NET_ID, NET_NAME)
NETWORK_OPTIONS = (*IPAM_OPTIONS, GROUPS)


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """What `docker network create` was told, beside the ranges."""

    reference: NetworkReference
    groups: tuple[str, ...]
    internal: bool


def network_options(options: Mapping[str, Any] | None) -> NetworkOptions:
    """Read the options of CreateNetwork. Raises InvalidInput for one that Fairlead does not know."""
    options = options or {}
    generic = options.get(GENERIC) or {}
    if not isinstance(generic, Mapping):
        raise InvalidInput(f"{GENERIC} must be an object", remedy="report this with dockerd's version")
    given = _known(generic, NETWORK_OPTIONS, "-o")
    groups = tuple(name.strip() for name in given.get(GROUPS, "").split(",") if name.strip())
    return NetworkOptions(_reference(given), groups, options.get(INTERNAL) is True)


def pool_reference(options: Mapping[str, Any] | None) -> NetworkReference:
    """Read the options of RequestPool. Raises InvalidInput for one that Fairlead does not know."""
    return _reference(_known(options or {}, IPAM_OPTIONS, "--ipam-opt"))


def _known(options: Mapping[str, Any], known: tuple[str, ...], flag: str) -> dict[str, str]:
    for name, value in options.items():
        if name.startswith(DOCKER_PREFIX):
            continue
        if name not in known:
            raise InvalidInput(f"unknown option {flag} {name}", remedy=f"Fairlead knows {', '.join(known)}")
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput(f"option {flag} {name} needs a value", remedy=f"write {flag} {name}=VALUE")
    return {name: value.strip() for name, value in options.items() if name in known}


def _reference(given: Mapping[str, str]) -> NetworkReference:
    if NET_ID in given and NET_NAME in given:
        raise InvalidInput(f"{NET_ID} and {NET_NAME} name the network twice", remedy="give one of them")
    return NetworkReference(given.get(NET_ID, ""), given.get(NET_NAME, ""))
