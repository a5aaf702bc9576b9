"""The rules of allowed address pairs, and of the port security that they are exceptions from."""

from ipaddress import ip_interface
from typing import Any

from fairlead_lab.fakes.refusal import Refusal
from fairlead_lab.fakes.store import Resource

_MOST = 10


def read_pairs(wanted: list[dict[str, str]], mac: str) -> list[dict[str, str]]:
    """Read a request's pairs for the port with this MAC address; ranges stay as they are written."""
    if len(wanted) > _MOST:
        message = f"The number of allowed address pair exceeds the maximum {_MOST}."
        raise Refusal(400, "AllowedAddressPairExhausted", message)
    pairs: list[dict[str, str]] = []
    for item in wanted:
        if "ip_address" not in item:
            raise Refusal(400, "AllowedAddressPairsMissingIP", "AllowedAddressPair must contain ip_address.")
        _check_range(item["ip_address"])
        pair = {"mac_address": item.get("mac_address", mac), "ip_address": item["ip_address"]}
        if pair in pairs:
            raise Refusal(400, "DuplicateAddressPairInRequest", f"Request contains duplicate address pair: {pair}.")
        pairs.append(pair)
    return pairs


def check_security(port: Resource, change: Resource) -> None:
    """Refuse pairs and groups on a port that has no port security, once the change is made."""
    after = port | change
    if after["port_security_enabled"]:
        return
    if after["allowed_address_pairs"]:
        message = "Port Security must be enabled in order to have allowed address pairs on a port."
        raise Refusal(409, "AddressPairAndPortSecurityRequired", message)
    if after["security_groups"]:
        message = "Port security must be enabled and port must have an IP address in order to use security groups."
        raise Refusal(400, "PortSecurityAndIPRequiredForSecurityGroups", message)


def _check_range(text: Any) -> None:
    """Refuse what is no address and no range; host bits are fine."""
    try:
        range_ = ip_interface(text)
    except ValueError:
        raise Refusal(400, "HTTPBadRequest", f"'{text}' is not a valid IP subnet.") from None
    if range_.network.is_multicast:
        raise Refusal(400, "HTTPBadRequest", f"'{text}' is a multicast range.")
