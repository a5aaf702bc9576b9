"""Which Neutron network is meant."""

from fairlead.core.networks.cloud_node import CloudNode
from fairlead.model.errors import Conflict, NotFound
from fairlead.model.network import IPNetwork, Network
from fairlead.model.records import NetworkReference
from fairlead.model.tags import OWNED, is_owned, pool_tag
from fairlead.ports.network_service import NetworkService


async def find_network(node: CloudNode, reference: NetworkReference, cidr: IPNetwork | None) -> Network | None:
    """Find the Neutron network that a reference (or, without one, an owned network's range) names.

    A name is one of the project's own networks: anybody may share a network with it, of whatever name. None where it
    may still be made. Raises NotFound where it can't be, Conflict where a name is ambiguous.
    """
    service = node.network_service
    if reference.network_id:
        found = await service.find_networks(network_id=reference.network_id)
        if not found:
            raise NotFound(
                f"no Neutron network {reference.network_id} is visible to this project",
                remedy="check the id against `openstack network list`",
                code="network-id-unknown",
            )
        return found[0]
    if reference.name:
        found = await service.find_networks(name=reference.name, own=True)
        if not found and cidr is None:
            raise await _unknown(service, reference.name)
    elif cidr is not None:
        found = await service.find_networks(tags=(OWNED, pool_tag(cidr)), own=True)
    else:
        return None
    settled = [network for network in found if network.subnet_ids or not is_owned(network)]
    if len(settled) > 1:
        raise Conflict(
            f"{len(settled)} networks are named {str(reference) or cidr}",
            remedy="say which one by its id",
            code="network-ambiguous",
        )
    return settled[0] if settled else None


async def _unknown(service: NetworkService, name: str) -> NotFound:
    if shared := await service.find_networks(name=name):
        return NotFound(
            f"network {name!r} is another project's, which shares it",
            remedy=f"say by its id that it is meant: {shared[0].id}",
            code="network-shared",
            details={"network": shared[0].id},
        )
    return NotFound(
        f"this project has no Neutron network named {name!r}",
        remedy="check the name against `openstack network list`, or give a range to have it made",
        code="network-name-unknown",
    )
