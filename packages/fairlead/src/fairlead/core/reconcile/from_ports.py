"""A memory of ports made anew: from Neutron, and from the switch.

Neutron tells the ports that this node made (by tag; those that were never tagged, by name), which door's network each
one serves (by description), and the networks that the node has joined (by tag; of one without a port only the beginning
of the door's id, which the door's next request completes). The switch tells which port is in whose sandbox.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from fairlead.core.background.evidence import Evidence
from fairlead.core.nesting.nesting import Nested
from fairlead.core.warm.node import Node
from fairlead.core.warm.own_ports import own_ports, untagged_ports
from fairlead.model.errors import CloudUnavailable
from fairlead.model.network import Network, Port
from fairlead.model.records import Allocation, JoinedNetwork, JoinedSubnet, Step
from fairlead.model.tags import (
    OWNED,
    SHORT_ID,
    described_network,
    host_tag,
    is_of_another_node,
    member_id,
    port_name,
    unknown_owner,
)
from fairlead.ports.dataplane import Plugged

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PortRecollection:
    """Fills a store that knows nothing of its node. rest: seconds that a free port rests before it is given out.

    missing: that Neutron once did not know what the switch tells of.
    """

    node: Node
    rest: float
    missing: Evidence

    async def recollect(self) -> None:
        """Ask Neutron and the switch.

        Raises CloudUnavailable where Neutron does not know a port that is in a sandbox here, until a later look has
        confirmed it, and what NetworkService and Dataplane raise.
        """
        service, host = self.node.network_service, await self.node.host()
        plugged = await self.node.dataplane.plugged()
        ports = await self._own_ports(host, plugged)
        untagged = await untagged_ports(self.node)
        networks = {one.id: one for one in await service.find_networks(tags=(OWNED,), own=True)}
        served: defaultdict[str, list[Port]] = defaultdict(list)
        for port in ports:
            if described := described_network(port.description):
                served[described.joined_id].append(port)
        for joined_id, its_ports in served.items():
            if its_ports[0].network_id not in networks:
                found = await service.find_networks(network_id=its_ports[0].network_id)
                networks |= {one.id: one for one in found}
            if network := networks.get(its_ports[0].network_id):
                await self._join(joined_id, network, its_ports)
        for short_id, network in self._memberships(networks.values(), host):
            if not any(joined_id.startswith(short_id) for joined_id in served):
                await self._join(short_id, network, ())
        nested = await self.node.nesting.nested(ports) if ports else {}
        for port in (*ports, *untagged):
            self._hold(port, host, {one.port_id: one for one in plugged}, nested.get(port.id))
        if ports:
            attached = sum(bool(one.owner) for one in self.node.port_table)
            log.warning("rebuilt this node's memory", networks=len(served), ports=len(ports), attached=attached)

    async def _own_ports(self, host: str, plugged: Sequence[Plugged]) -> list[Port]:
        """List this node's ports: tagged with its id, or with its name and no id, as up to 0.1, or plugged here.

        What else has the host's name is another node's, or this one's from before its state folder was lost.
        """
        service = self.node.network_service
        own = {port.id: port for port in await own_ports(self.node)}
        here, others = {one.port_id for one in plugged}, 0
        for port in await service.find_ports(tags=(OWNED, host_tag(host))):
            if port.id in here or not is_of_another_node(port.tags, self.node.id):
                own[port.id] = port
            else:
                others += 1
        if others:
            log.warning(
                "left ports alone: another node has this host's name",
                ports=others,
                host=host,
                remedy=f"give the nodes different names; of one that is gone: `fairlead agent retire {host}`",
            )
        for port_id in here - own.keys():
            own |= {port.id: port for port in await service.find_ports(port_id=port_id) if OWNED in port.tags}
        self._doubt([one.port_id for one in plugged if one.away and one.port_id not in own])
        return list(own.values())

    def _doubt(self, lost: Sequence[str]) -> None:
        """Raise CloudUnavailable where containers have ports that Neutron does not tell of: they would be cut off."""
        if lost and not self.missing.missed(self.node.id):
            raise CloudUnavailable(
                f"Neutron does not tell of port {lost[0]}, which a container of this host has",
                remedy="it is asked again in a moment, and believed then",
            )
        self.missing.forget(self.node.id)

    async def _join(self, joined_id: str, network: Network, ports: Sequence[Port]) -> None:
        used = {fixed.subnet_id for port in ports for fixed in port.fixed_ips}
        subnets = await self.node.network_service.find_subnets(network.id)
        chosen = [one for one in subnets if one.id in used or not used]
        described = described_network(ports[0].description) if ports else None
        owned = OWNED in network.tags
        # The mark goes before the ports do: without it the network was being left.
        host, short_id = await self.node.host(), joined_id[:SHORT_ID]
        left = owned and all(member_id(tag, host, self.node.id) != short_id for tag in network.tags)
        self.node.store.put(
            JoinedNetwork(
                id=joined_id,
                step=Step.LEAVING if left else Step.HELD,
                since=self.node.clock.now(),
                network_id=network.id,
                name=network.name,
                mtu=network.mtu,
                owned=owned,
                internal=bool(described and described.internal),
                subnets=tuple(
                    JoinedSubnet(one.id, one.cidr, one.gateway, one.host_routes)
                    for one in sorted(chosen, key=lambda one: one.cidr.version)
                ),
                security_group_ids=ports[0].security_group_ids if ports else None,
            )
        )

    def _hold(self, port: Port, host: str, plugged: dict[str, Plugged], nested: Nested | None) -> None:
        described = described_network(port.description)
        if described is None:
            return
        now = self.node.clock.now()
        addresses = tuple(one.address for one in port.fixed_ips if one.address is not None)
        told = port.device_id if port.name == port_name(host, port.device_id) else ""
        found = plugged.get(port.id)
        owner = (told or unknown_owner(port.id)) if found and found.away else ""
        self.node.port_table.put(
            Allocation(
                id=port.id,
                joined_id=described.joined_id,
                since=now,
                mac=nested.mac if nested else port.mac,
                vlan=nested.vlan if nested else 0,
                addresses=addresses,
                reserved=frozenset(addresses) if owner else frozenset(),
                owner=owner,
                vif_type=port.vif_type,
                vif_details=port.vif_details,
                single_use=described.single_use,
                # Made just before a crash, and never brought to this node: it goes.
                leaving=nested is None or self.node.store.get(JoinedNetwork, described.joined_id) is None,
                rests_until=0.0 if owner else now + self.rest,
                # An unknown owner is no name to write.
                told=told or owner,
                dirty=found is not None and not owner,
            )
        )

    def _memberships(self, networks: Iterable[Network], host: str) -> Iterable[tuple[str, Network]]:
        for network in networks:
            for tag in network.tags:
                if short_id := member_id(tag, host, self.node.id):
                    yield short_id, network
