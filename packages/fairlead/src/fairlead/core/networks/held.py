"""What is said of networks and addresses that this node does not have, or has still in use; alike in every mode."""

from fairlead.model.errors import NotFound, StillInUse
from fairlead.model.network import IPAddress
from fairlead.model.records import JoinedNetwork, Step


def require_held(record: JoinedNetwork | None, joined_id: str) -> JoinedNetwork:
    """Return the record of a network that is joined. Raises NotFound for any other."""
    if record is None or record.step is not Step.HELD:
        raise NotFound(
            f"network {joined_id[:12]} is not known to Fairlead on this host",
            remedy="remove it and make it again",
            code="network-not-joined",
        )
    return record


def still_attached(joined_id: str) -> StillInUse:
    """Return what refuses to leave a network that containers are on."""
    return StillInUse(
        f"network {joined_id[:12]} has attachments",
        remedy="remove their containers first",
        code="network-has-attachments",
        details={"network": joined_id[:12]},
    )


def not_reserved(address: IPAddress) -> NotFound:
    """Return what refuses an attachment with an address that nobody here was given."""
    return NotFound(
        f"address {address} was not given out by Fairlead on this host",
        remedy="start the container again",
        code="address-not-reserved",
    )
