"""How many more ports there may be, as far as these credentials can find out."""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from fairlead.adapters.neutron import errors, wire
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.adapters.neutron.errors import AnswerError
from fairlead.adapters.neutron.resources import Resources, read_one
from fairlead.model.network import FixedIP, Headroom, IPNetwork, Subnet

# Beyond it a range counts as endless: to count what is taken of it, all ports of its network are listed.
_MOST_TO_COUNT = 4096


class UsageWire(msgspec.Struct):
    """How much there is of a resource; limit -1: as much as is wanted. reserved: promised to requests under way."""

    limit: int
    used: int
    reserved: int = 0


class QuotaDetailsWire(msgspec.Struct):
    """What a project has and may have, as far as it is of interest."""

    port: UsageWire


class PoolUsageWire(msgspec.Struct):
    """How full the allocation pools of a subnet are (extension network-ip-availability-details)."""

    total: int = msgspec.field(name="total_ips_in_allocation_pool")
    used: int = msgspec.field(name="used_ips_in_allocation_pool")


class SubnetUsageWire(msgspec.Struct):
    """How full a subnet is: total_ips are those of the pools, used_ips count addresses outside them as well."""

    subnet_id: str
    total_ips: int
    used_ips: int
    pools: PoolUsageWire | None = msgspec.field(name="ip_availability_details", default=None)

    @property
    def free(self) -> int:
        """How many addresses Neutron can still pick, as far as it says."""
        return self.pools.total - self.pools.used if self.pools else self.total_ips - self.used_ips


class NetworkUsageWire(msgspec.Struct):
    """How full a network is."""

    subnets: list[SubnetUsageWire] = msgspec.field(name="subnet_ip_availability", default_factory=list)


class HeadroomGauge:
    """Reads the quota's use, and counts free addresses; what was refused once is not asked for again."""

    def __init__(self, client: NeutronClient, resources: Resources) -> None:
        self._client = client
        self._resources = resources
        self._quota_is_told = True
        self._usage_is_told = True

    async def read(self, network_id: str, subnets: Mapping[str, IPNetwork]) -> Headroom:
        """Say how many more ports there may be on these subnets of a network (range by subnet id).

        Two requests for whom Neutron tells how full its networks are (by default the roles admin and service), three
        for others, and once the one that is refused. What concurrent requests take meanwhile is not in it.
        """
        return Headroom(await self._ports(), await self._addresses(network_id, subnets))

    async def _ports(self) -> int | None:
        if not self._quota_is_told:
            return None
        project_id = (await self._client.token()).project_id
        try:
            body = await self._client.exchange("GET", f"/quotas/{project_id}/details.json")
        except AnswerError as answer:
            if answer.status not in {403, 404}:
                raise errors.translate(answer) from answer
            self._quota_is_told = False
            return None
        port = read_one(body, "quota", QuotaDetailsWire).port
        return max(0, port.limit - port.used - port.reserved) if port.limit >= 0 else None

    async def _addresses(self, network_id: str, subnets: Mapping[str, IPNetwork]) -> int | None:
        if self._usage_is_told:
            try:
                body = await self._client.exchange("GET", f"/network-ip-availabilities/{network_id}")
            except AnswerError as answer:
                # Policy hides it behind a 404, too: of another kind than that of a network that is gone.
                if answer.status not in {403, 404}:
                    raise errors.translate(answer) from answer
                self._usage_is_told = answer.kind == "NetworkNotFound"
            else:
                usage = read_one(body, "network_ip_availability", NetworkUsageWire)
                return min((max(0, each.free) for each in usage.subnets if each.subnet_id in subnets), default=None)
        return await self._count(network_id, {key for key, range_ in subnets.items() if _countable(range_)})

    async def _count(self, network_id: str, subnet_ids: Collection[str]) -> int | None:
        """Count by the ports that there are. None on networks that another project shares: we see our ports only."""
        if not subnet_ids:
            return None
        project_id = (await self._client.token()).project_id
        found = await self._resources.find("subnets", wire.SubnetWire, [("network_id", network_id)])
        subnets = [each.model() for each in found if each.id in subnet_ids and each.project_id == project_id]
        if not subnets:
            return None
        query = [("network_id", network_id), ("fields", "fixed_ips")]
        ports = await self._resources.find("ports", wire.AddressesWire, query)
        taken = [fixed.model() for port in ports for fixed in port.fixed_ips]
        return min(_free(subnet, taken) for subnet in subnets)


def _countable(range_: IPNetwork) -> bool:
    return range_.num_addresses <= _MOST_TO_COUNT


def _free(subnet: Subnet, taken: Iterable[FixedIP]) -> int:
    """Count what Neutron can still pick: what is left of the pools."""
    pools = subnet.allocation_pools
    used = sum(
        fixed.subnet_id == subnet.id and fixed.address is not None and any(fixed.address in pool for pool in pools)
        for fixed in taken
    )
    return sum(pool.size for pool in pools) - used
