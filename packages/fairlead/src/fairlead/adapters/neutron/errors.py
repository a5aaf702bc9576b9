"""Neutron's refusals, and its silence, in the tree of errors."""

import ast
import re
from collections.abc import Mapping

import aiohttp
import msgspec

from fairlead.model.errors import (
    AddressInUse,
    AuthenticationFailed,
    CloudUnavailable,
    Conflict,
    Exhausted,
    FairleadError,
    InvalidInput,
    NoFreeAddress,
    NotFound,
    OverlappingSubnet,
    PermissionDenied,
    QuotaExceeded,
    StillInUse,
)


class AnswerError(Exception):
    """An answer of Neutron's other than 2xx: HTTP status, and type and message of its NeutronError.

    kind is empty where a proxy or the web server answered in Neutron's place. retry_after: seconds that the answer
    asks us to wait; None where it does not.
    """

    def __init__(self, status: int, kind: str, message: str, url: str, retry_after: float | None = None) -> None:
        super().__init__(f"HTTP {status} {kind} {message}")
        self.status = status
        self.kind = kind
        self.message = message
        self.url = url
        self.retry_after = retry_after

    @property
    def over_quota(self) -> bool:
        """Whether the project has as many as it may."""
        return self.kind in {"OverQuota", "SubnetPoolQuotaExceeded"}


class _NeutronError(msgspec.Struct):
    type: str = ""
    message: str = ""


class _ErrorBody(msgspec.Struct):
    """Some of Neutron's own answers carry a bare string instead of the three fields."""

    error: _NeutronError | str = msgspec.field(name="NeutronError", default="")


def read_answer(status: int, body: bytes, url: str, retry_after: float | None = None) -> AnswerError:
    """Take an error's body apart; whatever it is, there is an AnswerError in it."""
    try:
        error = msgspec.json.decode(body, type=_ErrorBody).error
    except msgspec.MsgspecError:
        error = ""
    if isinstance(error, str):
        error = _NeutronError(message=error)
    message = " ".join(error.message.split()).removeprefix("Invalid input for operation: ").rstrip(".")
    return AnswerError(status, error.type, message, url, retry_after)


# By NeutronError.type, as Neutron 2026.1 (29.0.0) raises them; the HTTP status alone is too coarse.
_BY_KIND: dict[str, tuple[type[FairleadError], str]] = {
    "IpAddressAlreadyAllocated": (AddressInUse, "choose another address, or leave it to Neutron"),
    "IpAddressInUse": (AddressInUse, "choose another address, or leave it to Neutron"),
    "MacAddressInUse": (AddressInUse, "choose another MAC address, or leave it to Neutron"),
    "IpAddressGenerationFailure": (NoFreeAddress, "remove ports that are not needed, or add a larger subnet"),
    "IpAddressGenerationFailureAllSubnets": (NoFreeAddress, "remove ports that are not needed, or add a larger subnet"),
    "IpAddressGenerationFailureNoMatchingSubnet": (NoFreeAddress, "add a subnet that serves this kind of port"),
    "NetworkInUse": (StillInUse, "remove what is on it first; see `openstack port list --network`"),
    "SubnetInUse": (StillInUse, "remove what has an address of it first; see `openstack port list`"),
    "PortInUse": (StillInUse, "detach the device from the port first"),
    "PortInUseAsSubPort": (StillInUse, "take it off its trunk first (`openstack network trunk unset --subport`)"),
    "PortInUseAsTrunkParent": (StillInUse, "delete its trunk first (`openstack network trunk delete`)"),
    "TrunkDisabled": (Conflict, "enable it with `openstack network trunk set --enable`"),
    "TrunkInErrorState": (Conflict, "see Neutron's log"),
    "ServicePortInUse": (StillInUse, "take it off the router or the service that has it"),
    "SecurityGroupInUse": (StillInUse, "take it off the ports first; see `openstack port list --security-group`"),
    "GatewayConflictWithAllocationPools": (InvalidInput, "leave the gateway out of the allocation pools"),
    "OverlappingAllocationPools": (InvalidInput, "give allocation pools that do not overlap"),
    "InvalidIpForNetwork": (InvalidInput, "choose an address of the subnet's range"),
    "InvalidIpForSubnet": (InvalidInput, "choose an address of the subnet's range"),
    "OutOfBoundsAllocationPool": (InvalidInput, "choose allocation pools within the subnet's range"),
    "NoNetworkAvailable": (Exhausted, "ask the operator for more segments (VLAN or tunnel ids)"),
    "HostMacAddressGenerationFailure": (Exhausted, "try again, or ask the operator about base_mac"),
    "AddressPairAndPortSecurityRequired": (Conflict, "a port without port security needs no address pairs"),
    "AllowedAddressPairExhausted": (
        QuotaExceeded,
        "remove pairs that are not needed, or ask the operator to raise max_allowed_address_pair in neutron.conf",
    ),
    "RevisionNumberConstraintFailed": (Conflict, "look at it again: someone has changed it"),
}

_BY_STATUS: dict[int, tuple[type[FairleadError], str]] = {
    400: (InvalidInput, ""),
    401: (AuthenticationFailed, "check the credentials and Neutron's own in [keystone_authtoken]"),
    404: (NotFound, "check the name or id, and that the project may see it"),
    409: (Conflict, ""),
    412: (Conflict, "look at it again: someone has changed it"),
    413: (InvalidInput, ""),
}


def translate(answer: AnswerError) -> FairleadError:
    """Say what Neutron's refusal means to the operator."""
    if answer.over_quota:
        return over_quota(answer, {})
    if answer.kind == "InvalidInput" and "overlaps with another subnet" in answer.message:
        return OverlappingSubnet(answer.message, remedy="choose another range with --subnet")
    if answer.status == 403:
        return PermissionDenied(
            f"Neutron forbids it: {answer.message or 'HTTP 403'}", remedy="the operator grants a role that may do it"
        )
    if answer.kind in _BY_KIND:
        kind, remedy = _BY_KIND[answer.kind]
        return kind(answer.message, remedy=remedy)
    if answer.status in _BY_STATUS:
        kind, remedy = _BY_STATUS[answer.status]
        return kind(answer.message or f"Neutron at {answer.url} answers HTTP {answer.status}", remedy=remedy)
    text = f": {answer.message}" if answer.message else ""
    return CloudUnavailable(
        f"Neutron at {answer.url} answers HTTP {answer.status}{text}",
        remedy="the cloud limits the rate of requests: try again later"
        if answer.status == 429
        else "see Neutron's log",
        retry_after=answer.retry_after,
        # What other servers answer in Neutron's place is about all that is asked of it.
        answered=answer.status == 500,
    )


_OVERS = re.compile(r"resources: (\[.*\])")


def over_quota(answer: AnswerError, limits: Mapping[str, int]) -> QuotaExceeded:
    """Name what the project has as many of as it may; limits: by resource, as far as known."""
    found = _OVERS.search(answer.message)
    resources = ast.literal_eval(found.group(1)) if found else []
    what = " and ".join(f"{name}s ({limits[name]})" if name in limits else f"{name}s" for name in resources)
    return QuotaExceeded(
        f"the project's quota of {what or 'this resource'} is used up",
        remedy="remove what is not needed, or ask the operator for more; see `openstack quota show --network`",
    )


def silence(exc: aiohttp.ClientError, url: str, connect_timeout: float) -> CloudUnavailable:
    """Say why a request got no answer."""
    remedy = "check that it runs, and the network and firewalls in between"
    match exc:
        case aiohttp.ClientConnectorDNSError():
            message, remedy = f"the name in Neutron's URL {url} is unknown ({_reason(exc.os_error)})", "check DNS"
        case aiohttp.ClientConnectorCertificateError():
            message, remedy = f"the certificate of Neutron at {url} is not trusted", "set cacert"
        case aiohttp.ClientConnectorSSLError():
            message, remedy = f"Neutron at {url} does not speak TLS as expected", "check the URL"
        case aiohttp.ConnectionTimeoutError():
            message = f"Neutron at {url} can't be reached within {connect_timeout:g} s"
        case aiohttp.ClientConnectorError():
            message = f"Neutron at {url} can't be reached ({_reason(exc.os_error)})"
        case aiohttp.ClientOSError() | aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            message, remedy = f"Neutron at {url} closed the connection before it had answered", "try again"
        case _:
            message, remedy = f"Neutron at {url} does not answer as HTTP should ({exc})", "check the URL"
    unconnected = isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return CloudUnavailable(message, remedy=remedy, reached=not unconnected)


def unreadable(url: str) -> CloudUnavailable:
    """Say that an answer was 2xx and yet not Neutron's."""
    return CloudUnavailable(
        f"the answer from {url} is not Neutron's", remedy="check the URL, and proxies in front of Neutron"
    )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
