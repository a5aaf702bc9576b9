"""What makes a device or a row Fairlead's: the attachment's full id on it, and the name that follows from the id.

Both must agree. Names alone are cut short, and anybody may choose one; a mark alone may have been copied along.
"""

from collections.abc import Mapping
from typing import Final

from fairlead.model.vif import Vif

ATTACHMENT_KEY: Final = "fairlead-attachment"
NETWORK_KEY: Final = "fairlead-network"

_ALIAS = "fairlead:"


def host_device(attachment_id: str) -> str:
    """Name the host's end of an attachment of which only the id is known."""
    return Vif(attachment_id, port_id="", mac="", mtu=0).host_device


def sandbox_device(attachment_id: str) -> str:
    """Name the sandbox's end of an attachment of which only the id is known."""
    return Vif(attachment_id, port_id="", mac="", mtu=0).sandbox_device


def host_end_of(device: str) -> str:
    """Name the host's end of the pair that has this device as its sandbox's end."""
    return host_device(device.removeprefix(sandbox_device("")))


def alias(attachment_id: str) -> str:
    """Return the alias (`ip link … alias`) that the host's end carries, and the sandbox's once it is finished there."""
    return _ALIAS + attachment_id


def attachment_of_alias(alias: str) -> str:
    """Return the id of the attachment whose mark an alias is, empty where it is none.

    For devices that dockerd renames: theirs is no name that follows from the id.
    """
    return alias.removeprefix(_ALIAS) if alias.startswith(_ALIAS) else ""


def attachment_of_device(name: str, alias: str) -> str | None:
    """Return the id of the attachment whose host's end this is, None where it is not Fairlead's."""
    return _agreed(name, alias.removeprefix(_ALIAS)) if alias.startswith(_ALIAS) else None


def attachment_of_interface(name: str, external_ids: Mapping[str, str]) -> str | None:
    """Return the id of the attachment whose Interface row this is, None where it is not Fairlead's."""
    return _agreed(name, external_ids.get(ATTACHMENT_KEY, ""))


def _agreed(name: str, attachment_id: str) -> str | None:
    return attachment_id if attachment_id and name == host_device(attachment_id) else None
