"""Deleting a Neutron network that several hosts use, by whoever leaves it last."""

from collections.abc import Callable

import structlog

from fairlead.model.errors import Conflict, StillInUse
from fairlead.model.network import Network
from fairlead.ports.network_service import NetworkService

log = structlog.get_logger(__name__)

_ATTEMPTS = 5
"""How often a network that changes under our hands is looked at again."""


async def delete_unless_used(
    service: NetworkService, network_id: str, is_used: Callable[[Network], bool], *, keep: bool
) -> None:
    """Delete an owned network that nobody uses; its revision guards against one who comes to use it meanwhile.

    Asked for twice, by a listing and by itself, since what others have on it goes with it. keep: leave it where others
    have ports in it. Raises Conflict where it changes all the time, StillInUse, and what NetworkService raises.
    """
    for _ in range(_ATTEMPTS):
        listed = next(iter(await service.find_networks(network_id=network_id)), None)
        network = await service.get_network(network_id)
        if _state(listed) != _state(network):
            continue
        if network is None or is_used(network):
            return
        try:
            await service.delete_network(network_id, revision=network.revision)
        except StillInUse as error:
            if not keep:
                raise
            log.warning("kept a network: others have ports in it", network=network.name, error=str(error))
            return
        except Conflict:
            continue
        return
    raise Conflict(f"network {network_id} changes all the time", remedy="see who else changes it")


def _state(network: Network | None) -> object:
    return network and (network.revision, network.tags, frozenset(network.subnet_ids))
