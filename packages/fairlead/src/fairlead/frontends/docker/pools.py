"""libnetwork's address pools: which range of which Neutron network one of Docker's networks will use.

Nothing is made in Neutron here: a pool that nobody joins is a row in the store and no more. Requests carry no network's
id, only the range, and CreateNetwork comes after them: pools that were requested tell what a network's ranges are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fairlead.core.attachments.contract import Networks
from fairlead.core.networks.ranges import first_address
from fairlead.core.networks.spared import given_out
from fairlead.core.networks.spec import RangeSpec
from fairlead.frontends.docker.records import AddressPool
from fairlead.model.errors import Conflict, InvalidInput, NotFound, OverlappingSubnet
from fairlead.model.network import IPAddress, IPNetwork, Network, Subnet
from fairlead.model.records import JoinedNetwork, NetworkReference, Origin, Step
from fairlead.model.tags import OWNED
from fairlead.ports.clock import Clock
from fairlead.ports.store import LeaseStore

FORGET = 3600.0
"""Seconds after which a pool that no network took is forgotten: dockerd gave up, and will not release it."""

_ANY = "*"
"""Stands in a pool's id for the reference that was not given."""


@dataclass(frozen=True, slots=True)
class AddressPools:
    """Request and release pools, their gateways and their auxiliary addresses."""

    store: LeaseStore
    networks: Networks
    clock: Clock

    async def request(
        self, cidr: IPNetwork | None, reference: NetworkReference, version: int, part: IPNetwork | None = None
    ) -> AddressPool:
        """Find the range for a network: the one asked for, or the only one that the named network has.

        version: 4 or 6. part: of the range, out of which alone addresses are picked. Raises InvalidInput, NotFound
        (network, or a subnet of it), OverlappingSubnet, Conflict (a subnet that exists picks out of more than part).
        """
        found = await self.networks.look_up(reference, cidr)
        network, subnets = (found.network, found.subnets) if found else (None, ())
        subnet = _choose(subnets, cidr, version, network)
        chosen = subnet.cidr if subnet else cidr
        if chosen is None:
            raise InvalidInput(
                f"no IPv{version} range was given",
                remedy="add --subnet CIDR, or --ipam-opt neutron.net.name=NETWORK to join a network that has one",
            )
        if cidr is None and await self.networks.is_on(chosen):
            # dockerd compares such an answer with its host's routes, and asks again for ever while it overlaps.
            raise InvalidInput(
                f"this node itself is on {chosen}, and Docker takes such a range only where it is named",
                remedy=f"add --subnet {chosen}",
            )
        if subnet is None and network and OWNED not in network.tags:
            ranges = ", ".join(str(one.cidr) for one in subnets) or "none"
            raise NotFound(
                f"network {network.name or network.id} has no subnet {cidr} (it has: {ranges})",
                remedy="make it with `openstack subnet create`, or name one that it has",
            )
        if part is not None:
            _refuse_part(part, chosen, subnet)
        pool = AddressPool(
            id=f"{reference}@{chosen}" if str(reference) else plain_pool_id(chosen),
            part=part,
            cidr=chosen,
            reference=reference,
            gateway=subnet.gateway if subnet else None,
            network_id=network.id if network else "",
            subnet_id=subnet.id if subnet else "",
            since=self.clock.now(),
        )
        self._refuse_overlap(pool)
        self._tidy()
        self.store.put(pool)
        return pool

    def gateway(self, pool_id: str, address: IPAddress | None) -> IPAddress | None:
        """Fix the pool's gateway: the address asked for, or the subnet's, or the first of the range.

        None where the subnet has none. Raises InvalidInput where the subnet has another.
        """
        pool = self.get(pool_id)
        if pool.subnet_id:
            if address is not None and address != pool.gateway:
                raise InvalidInput(
                    f"subnet {pool.cidr} exists with gateway {pool.gateway}, not {address}",
                    remedy="leave --gateway out, or give that one",
                )
            return pool.gateway
        gateway = address or pool.gateway or first_address(pool.cidr)
        if gateway not in pool.cidr:
            raise InvalidInput(f"gateway {gateway} is outside of {pool.cidr}", remedy="give one inside of it")
        self.store.put(replace(pool, gateway=gateway))
        return gateway

    async def reserve(self, pool_id: str, address: IPAddress) -> None:
        """Keep an address from being given out. Raises Conflict where the subnet exists and would give it out."""
        pool = self.get(pool_id)
        if address not in pool.cidr:
            raise InvalidInput(f"address {address} is outside of {pool.cidr}", remedy="give one inside of it")
        if pool.subnet_id:
            found = await self.networks.look_up(NetworkReference(pool.network_id), None)
            subnets = found.subnets if found else ()
            if any(address in free for one in subnets if one.id == pool.subnet_id for free in given_out(one)):
                raise Conflict(
                    f"subnet {pool.cidr} exists, and {address} is in its allocation pools",
                    remedy="take it out of them with `openstack subnet set`, or leave --aux-address out",
                )
        elif address not in pool.auxiliary:
            self.store.put(replace(pool, auxiliary=(*pool.auxiliary, address)))

    def release(self, pool_id: str) -> None:
        """Forget a pool that no network uses; one in use stays, so a failed second create can't take it away."""
        pool = self.store.get(AddressPool, pool_id)
        if pool and not self._is_used(pool):
            self.store.delete(AddressPool, pool_id)

    def find(self, pool_id: str) -> AddressPool | None:
        """Return a pool; one that a rebuilt memory lacks is known by its id, and by the network that has its range."""
        pool = self.store.get(AddressPool, pool_id)
        if self.store.get(Origin, Origin.ID) and (pool is None or self._is_orphan(pool)):
            return self._recognise(pool_id) or pool
        return pool

    def joined(self, pool: AddressPool) -> JoinedNetwork:
        """Return the network that uses a pool. Raises Conflict where none is joined."""
        joined = self.networks.find(pool.joined_id) if pool.joined_id else None
        if joined is None or joined.step is not Step.HELD:
            raise Conflict(f"address pool {pool.cidr} has no network yet", remedy="make the network again")
        return joined

    def take(self, joined_id: str, ranges: Sequence[IPNetwork], reference: NetworkReference) -> list[AddressPool]:
        """Find the pools that were requested for a network, the newest of each range. Raises InvalidInput."""
        found = []
        for cidr in ranges:
            pools = [
                pool
                for pool in self.store.all(AddressPool)
                if pool.cidr == cidr
                and (pool.joined_id == joined_id or not self._is_used(pool))
                and (not str(reference) or pool.reference in (reference, NetworkReference()))
            ]
            if not pools:
                raise InvalidInput(
                    f"no address pool {cidr} was requested of Fairlead"
                    + (f" for network {reference}" if str(reference) else ""),
                    remedy="give the same neutron.net.* option with -o and with --ipam-opt",
                )
            exact = [pool for pool in pools if pool.reference == reference]
            found.append((exact or pools)[-1])
        if not found:
            raise InvalidInput("a network needs an IPv4 or IPv6 range", remedy="add --subnet CIDR")
        return found

    def note(self, joined: JoinedNetwork, pools: Sequence[AddressPool]) -> None:
        """Write down that a joined network uses pools, and what they are by now."""
        for pool in pools:
            subnet = next((one for one in joined.subnets if one.cidr == pool.cidr), None)
            if subnet:
                self.store.put(
                    replace(
                        pool,
                        joined_id=joined.id,
                        network_id=joined.network_id,
                        subnet_id=subnet.subnet_id,
                        gateway=subnet.gateway,
                    )
                )

    def forget(self, joined_id: str) -> None:
        """Forget the pools of a network that has been left: dockerd releases them before it deletes the network."""
        for pool in self.store.all(AddressPool):
            if pool.joined_id == joined_id:
                self.store.delete(AddressPool, pool.id)
        self._tidy()

    def _tidy(self) -> None:
        """Forget what is nobody's: an orphan, which is found again where it is somebody's, and what was not taken."""
        for pool in self.store.all(AddressPool):
            untaken = not pool.joined_id and pool.since + FORGET < self.clock.now()
            if untaken or self._is_orphan(pool):
                self.store.delete(AddressPool, pool.id)

    def _used(self) -> list[AddressPool]:
        """List the pools that networks use, those too that a rebuilt memory lacks.

        Of a range without a subnet of its own a pool can be found unasked: no reference is in its id.
        """
        networks = self.store.all(JoinedNetwork)
        lost = [pool.id for pool in self.store.all(AddressPool) if self._is_orphan(pool)]
        lost += [plain_pool_id(one.cidr) for joined in networks for one in joined.subnets if not one.subnet_id]
        for pool_id in lost:
            self.find(pool_id)
        return [pool for pool in self.store.all(AddressPool) if self._is_used(pool)]

    def _is_used(self, pool: AddressPool) -> bool:
        joined = self.store.get(JoinedNetwork, pool.joined_id) if pool.joined_id else None
        return joined is not None and joined.step is not Step.LEAVING

    def _is_orphan(self, pool: AddressPool) -> bool:
        """Say whether a pool's network goes by another id: one that was rebuilt knew only the beginning of it."""
        return bool(pool.joined_id) and self.store.get(JoinedNetwork, pool.joined_id) is None

    def _recognise(self, pool_id: str) -> AddressPool | None:
        reference, _, cidr = pool_id.rpartition("@")
        known = {(pool.joined_id, pool.cidr) for pool in self.store.all(AddressPool) if pool.id != pool_id}
        for joined in self.store.all(JoinedNetwork):
            named = reference in (_ANY, joined.name, joined.network_id)
            subnet = next((one for one in joined.subnets if str(one.cidr) == cidr), None)
            if not named or subnet is None or joined.step is not Step.HELD or (joined.id, subnet.cidr) in known:
                continue
            pool = AddressPool(
                id=pool_id,
                cidr=subnet.cidr,
                reference=NetworkReference(
                    network_id=reference if reference == joined.network_id else "",
                    name=reference if reference == joined.name else "",
                ),
                gateway=subnet.gateway,
                network_id=joined.network_id,
                subnet_id=subnet.subnet_id,
                joined_id=joined.id,
                part=subnet.part,
            )
            self.store.put(pool)
            return pool
        return None

    def get(self, pool_id: str) -> AddressPool:
        """Return a pool. Raises NotFound."""
        pool = self.find(pool_id)
        if pool is None:
            raise NotFound(
                f"address pool {pool_id} is not known on this host",
                remedy="remove the network with `docker network rm` and make it again",
            )
        return pool

    def _refuse_overlap(self, pool: AddressPool) -> None:
        """Ranges may overlap on different Neutron networks, if the user says that they are different."""
        for other in self._used():
            if not pool.cidr.overlaps(other.cidr):
                continue
            same_network = pool.network_id and pool.network_id == other.network_id
            if same_network or other.id == pool.id or not (str(pool.reference) or str(other.reference)):
                raise OverlappingSubnet(
                    f"{pool.cidr} overlaps {other.cidr}, which network {other.joined_id[:12]} uses on this host",
                    remedy="remove that network first, choose another --subnet, or name another Neutron network with"
                    " -o neutron.net.name=NAME --ipam-opt neutron.net.name=NAME",
                )


def range_of(pool: AddressPool) -> RangeSpec:
    """Return what a pool asks for, as the core reads it."""
    return RangeSpec(pool.cidr, pool.gateway, pool.part, pool.auxiliary)


def plain_pool_id(cidr: IPNetwork) -> str:
    """Return the id of the pool of a range for which no network was named."""
    return f"{_ANY}@{cidr}"


def _refuse_part(part: IPNetwork, cidr: IPNetwork, subnet: Subnet | None) -> None:
    if part.version != cidr.version or int(part[0]) < int(cidr[0]) or int(part[-1]) > int(cidr[-1]):
        raise InvalidInput(f"--ip-range {part} is outside of {cidr}", remedy="give one inside of it")
    pools = given_out(subnet) if subnet else ()
    wider = [one for one in pools if one.first not in part or one.last not in part]
    if wider:
        raise Conflict(
            f"subnet {cidr} exists and gives out {wider[0].first} to {wider[0].last}, not {part} alone",
            remedy="leave --ip-range out, or change it with `openstack subnet set --allocation-pool`",
        )


def _choose(subnets: Sequence[Subnet], cidr: IPNetwork | None, version: int, network: Network | None) -> Subnet | None:
    """Pick the subnet that was asked for, or the only one of its family."""
    family = [one for one in subnets if one.cidr.version == version]
    if cidr is not None:
        return next((one for one in family if one.cidr == cidr), None)
    if not family and network:
        raise NotFound(
            f"network {network.name or network.id} has no IPv{version} subnet",
            remedy="make one with `openstack subnet create`, or name another network",
        )
    if len(family) > 1:
        raise InvalidInput(
            f"the network has several IPv{version} subnets: {', '.join(str(one.cidr) for one in family)}",
            remedy="say which one with --subnet CIDR",
        )
    return family[0] if family else None
