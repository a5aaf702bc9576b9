"""Endpoints: an allocation that the container engine has given a name, and its attachment to this host."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fairlead.core.attachments.allocations import change_address
from fairlead.core.networks.held import not_given_out
from fairlead.core.warm.devices import Devices
from fairlead.core.warm.networks import Memberships
from fairlead.core.warm.node import Node
from fairlead.core.warm.provisioning import delete_port, make_ports
from fairlead.model.errors import AddressInUse, NotFound, UnsupportedRequest, WiringTimeout
from fairlead.model.network import FixedIP, IPAddress
from fairlead.model.records import Allocation, JoinedNetwork, Use
from fairlead.model.vif import Vif


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Create, attach, detach and delete endpoints. Every call is idempotent by the endpoint's id."""

    node: Node
    memberships: Memberships
    devices: Devices

    async def create(self, joined_id: str, endpoint_id: str, addresses: tuple[IPAddress, ...], mac: str) -> str:
        """Give an endpoint the port that has its addresses; return its MAC. mac empty: the port's own.

        Raises NotFound (network, or an address that was not given out), AddressInUse, UnsupportedRequest (a MAC).
        """
        joined = self.memberships.get(joined_id)
        async with self.node.locks[f"addresses {joined.id}"]:
            first, *others = addresses
            allocation = self.node.port_table.of_address(joined.id, first)
            if allocation is None or allocation.use not in (Use.CLAIMED, Use.ATTACHED):
                raise not_given_out(first)
            if allocation.endpoint_id not in ("", endpoint_id):
                raise AddressInUse(
                    f"address {first} is used by endpoint {allocation.endpoint_id[:12]}", remedy="choose another --ip"
                )
            for address in others:
                if address not in allocation.addresses:
                    allocation = await self._move(joined, address, allocation)
            if mac and not allocation.mac:
                raise UnsupportedRequest(
                    "in this agent's mode a container has the MAC address of its node", remedy="leave --mac-address out"
                )
            if mac and mac.lower() != allocation.mac.lower():
                allocation = await self._replace(joined, allocation, mac)
            if allocation.endpoint_id != endpoint_id:
                allocation = self.node.port_table.put(
                    replace(
                        allocation,
                        endpoint_id=endpoint_id,
                        claimed=allocation.claimed | set(addresses),
                        since=self.node.clock.now(),
                    )
                )
            return allocation.mac

    async def attach(self, joined_id: str, endpoint_id: str) -> tuple[JoinedNetwork, Vif]:
        """Wire the endpoint on this host; returns when packets can flow.

        Raises NotFound, WiringTimeout, SwitchUnavailable, DataplaneError.
        """
        joined = self.memberships.get(joined_id)
        allocation = self.get(endpoint_id)
        try:
            attachment = await self.devices.wire(joined, allocation)
        except WiringTimeout:
            # Neutron may have lost the port: nobody else shall be given it.
            self.node.port_table.put(replace(self.get(endpoint_id), single_use=True))
            raise
        return joined, attachment

    async def delete(self, endpoint_id: str) -> None:
        """Let go of the endpoint's port, which rests when its addresses are released. Its devices go behind.

        dockerd has taken the sandbox's end out of the container by now: nothing can use it any more.
        """
        allocation = self.node.port_table.of_endpoint(endpoint_id)
        if allocation:
            self.node.port_table.put(replace(allocation, endpoint_id="", dirty=True, since=self.node.clock.now()))
            self.devices.wake_up.wake()

    async def describe(self, endpoint_id: str) -> Mapping[str, str]:
        """Say which port an endpoint is. Raises NotFound."""
        allocation = self.get(endpoint_id)
        return {"neutron.port.uuid": allocation.id, "com.docker.network.endpoint.macaddress": allocation.mac}

    def get(self, endpoint_id: str) -> Allocation:
        """Return an endpoint's allocation. Raises NotFound."""
        allocation = self.node.port_table.of_endpoint(endpoint_id)
        if allocation is None:
            raise NotFound(
                f"endpoint {endpoint_id[:12]} is not known to Fairlead on this host", remedy="start the container again"
            )
        return allocation

    async def _move(self, joined: JoinedNetwork, address: IPAddress, to: Allocation) -> Allocation:
        """Move an address to another port, whose own goes the other way.

        Two starts crossed, and each was told of the other's address; every port keeps one, claimed or not.
        """
        holder = self.node.port_table.of_address(joined.id, address)
        if holder is None:
            return await change_address(self.node, joined, to, address)
        if holder.endpoint_id:
            raise AddressInUse(
                f"address {address} is used by endpoint {holder.endpoint_id[:12]}", remedy="start the container again"
            )
        given_back = to.address(address.version)
        was_claimed = given_back in to.claimed
        holder = await change_address(self.node, joined, holder, None, version=address.version)
        to = await change_address(self.node, joined, to, address)
        if given_back:
            holder = await change_address(self.node, joined, holder, given_back)
            if was_claimed:
                self.node.port_table.put(replace(holder, claimed=holder.claimed | {given_back}))
        return to

    async def _replace(self, joined: JoinedNetwork, allocation: Allocation, mac: str) -> Allocation:
        """Make the port anew with the MAC that was asked for: members may set it only when a port is made."""
        fixed_ips = tuple(
            FixedIP(subnet.subnet_id, address)
            for subnet in joined.subnets
            for address in allocation.addresses
            if address in subnet.cidr
        )
        await delete_port(self.node, self.node.port_table.put(replace(allocation, leaving=True)))
        (made,) = await make_ports(self.node, joined, fixed_ips=fixed_ips, mac=mac, single_use=True)
        return made
