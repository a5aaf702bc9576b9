"""Neutron as the core's NetworkService."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Self

from fairlead.adapters.neutron import binding_probe, wire
from fairlead.adapters.neutron.client import CONNECT_TIMEOUT, TOTAL_TIMEOUT, NeutronClient, OnCall, new_request_id
from fairlead.adapters.neutron.credentials import CloudConfig
from fairlead.adapters.neutron.groups import SecurityGroups
from fairlead.adapters.neutron.headroom import HeadroomGauge
from fairlead.adapters.neutron.resources import Resources, if_match, query, read_one, read_several, segment
from fairlead.adapters.neutron.routers import Routers
from fairlead.adapters.neutron.tags import Tags
from fairlead.adapters.neutron.trunks import Trunks
from fairlead.model.errors import CloudUnavailable, Conflict
from fairlead.model.network import (
    AddressRange,
    CloudView,
    Headroom,
    HostRoute,
    IPAddress,
    IPNetwork,
    Network,
    NewNetwork,
    NewPort,
    NewSecurityGroup,
    NewSubnet,
    Port,
    PortChange,
    Router,
    SecurityGroup,
    Subnet,
    SubPort,
    Trunk,
)

# A real Neutron takes a quarter to half a second for each port of a bulk.
_SECONDS_A_PORT = 1.0


class NeutronService:
    """One project's networks and what is on them (see ports.network_service.NetworkService).

    config: the cloud and the credentials. request_id: gives the id that each request carries in
    X-OpenStack-Request-ID. on_call: told of each HTTP exchange: method, path with ids replaced, status (0: none),
    seconds. connect_timeout, total_timeout: seconds, the latter for a whole call with its retries. create_patience:
    seconds more for ports being made: a busy Neutron makes them all the same, and who asks anew makes it busier.
    look: finds the credentials anew; raises SettingsError.

    Close it, or use it with `async with`; it belongs to the event loop it is first used in. Beside what the protocol
    says, every call raises SettingsError where credentials or catalogue can't be used at all.
    """

    def __init__(
        self,
        config: CloudConfig,
        *,
        request_id: Callable[[], str] = new_request_id,
        on_call: OnCall | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        total_timeout: float = TOTAL_TIMEOUT,
        create_patience: float = 0.0,
        look: Callable[[], CloudConfig] | None = None,
    ) -> None:
        self._create_patience = create_patience
        self._client = NeutronClient(
            config,
            request_id=request_id,
            on_call=on_call,
            connect_timeout=connect_timeout,
            total_timeout=total_timeout,
            look=look,
        )
        self._resources = Resources(self._client)
        self._headroom = HeadroomGauge(self._client, self._resources)
        self._groups = SecurityGroups(self._client, self._resources)
        self._routers = Routers(self._client, self._resources, self._known_extensions)
        self._tags = Tags(self._client, self._resources)
        self._trunks = Trunks(self._client, self._resources, self._known_extensions)
        self._view: CloudView | None = None
        self._view_lock = asyncio.Lock()
        self._extensions: frozenset[str] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def view(self) -> CloudView:
        """Say who we are and what we may do.

        may_bind is tried out (see binding_probe); until that tells, which takes one network in the project, it is
        what Neutron's default policy gives our roles, and is tried again at the next call.
        """
        async with self._view_lock:
            if self._view:
                return self._view
            token = await self._client.token()
            extensions = await self._known_extensions()
            tried = await binding_probe.may_bind(self._client, token.project_id)
            view = CloudView(
                user=token.user,
                project=token.project,
                project_id=token.project_id,
                roles=token.roles,
                may_bind=binding_probe.bind_by_default(token.roles) if tried is None else tried,
                extensions=extensions,
            )
            if tried is not None:
                self._view = view
            return view

    async def find_networks(
        self,
        *,
        network_id: str = "",
        name: str = "",
        description: str = "",
        tags: Collection[str] = (),
        own: bool = False,
    ) -> list[Network]:
        """List the networks that match all that is given; own: of this project only, not shared ones.

        The roles service and admin see other projects' networks too: those are left out.
        """
        project_id = (await self._client.token()).project_id
        filters = query(
            id=network_id,
            name=name,
            description=description,
            tags=tags,
            project_id=project_id if own else "",
        )
        found = await self._resources.find("networks", wire.NetworkWire, filters)
        return [item.model() for item in found if item.shared or item.project_id == project_id]

    async def get_network(self, network_id: str) -> Network | None:
        """Return one network by itself; None where there is none."""
        found = await self._resources.get("networks", network_id, "network", wire.NetworkWire)
        return found.model() if found else None

    async def create_network(self, new: NewNetwork) -> Network:
        """Make a network and tag it: nothing is left where the tagging fails."""
        body = await self._resources.create("/networks", wire.new_network_body(new))
        made = read_one(body, "network", wire.NetworkWire)
        if not new.tags:
            return made.model()
        try:
            await self._resources.put_tags("networks", made.id, new.tags)
            # The tags have changed the revision, and delete_network may want it.
            body = await self._client.call("GET", f"/networks/{made.id}")
        except BaseException:
            await self._resources.undo("networks", [made.id])
            raise
        return read_one(body, "network", wire.NetworkWire).model()

    async def tag_network(self, network_id: str, tag: str) -> None:
        """Add one tag to a network, atomically. Raises InvalidInput for a tag that a URL of Neutron's can't carry."""
        await self._tags.add("networks", network_id, tag)

    async def untag_network(self, network_id: str, tag: str) -> None:
        """Take one tag off a network, atomically; fine where it is not there. Raises InvalidInput as tag_network."""
        await self._tags.remove("networks", network_id, tag)

    async def delete_network(self, network_id: str, *, revision: int | None = None) -> None:
        """Delete a network with its subnets; revision: only if it is still at this one."""
        await self._resources.delete(f"/networks/{segment(network_id)}", revision=revision)

    async def find_subnets(self, network_id: str) -> list[Subnet]:
        """List the subnets of a network."""
        return [
            item.model()
            for item in await self._resources.find("subnets", wire.SubnetWire, [("network_id", network_id)])
        ]

    async def create_subnet(self, new: NewSubnet) -> Subnet:
        """Make a subnet and tag it: nothing is left where the tagging fails."""
        body = await self._resources.create("/subnets", wire.new_subnet_body(new))
        made = read_one(body, "subnet", wire.SubnetWire)
        if new.tags:
            try:
                await self._resources.put_tags("subnets", made.id, new.tags)
            except BaseException:
                await self._resources.undo("subnets", [made.id])
                raise
            made.tags = sorted(new.tags)
        return made.model()

    async def update_subnet(self, subnet_id: str, allocation_pools: Sequence[AddressRange]) -> Subnet:
        """Pick addresses out of other ranges from now on; ports keep theirs."""
        body = await self._client.call(
            "PUT", f"/subnets/{segment(subnet_id)}", body=wire.subnet_pools_body(allocation_pools)
        )
        return read_one(body, "subnet", wire.SubnetWire).model()

    async def delete_subnet(self, subnet_id: str) -> None:
        """Delete a subnet."""
        await self._resources.delete(f"/subnets/{segment(subnet_id)}")

    async def find_ports(
        self,
        *,
        port_id: str = "",
        name: str = "",
        network_id: str = "",
        device_id: str = "",
        mac: str = "",
        address: IPAddress | None = None,
        security_group: str = "",
        tags: Collection[str] = (),
        brief: bool = False,
    ) -> list[Port]:
        """List the ports that match all that is given, of this project unless a network is named.

        On a network of the project's own, other projects' ports show as well. brief: with ids, MAC, addresses and tags.
        """
        project_id = "" if network_id else (await self._client.token()).project_id
        filters = query(
            id=port_id,
            name=name,
            network_id=network_id,
            device_id=device_id,
            mac_address=mac,
            fixed_ips=f"ip_address={address}" if address else "",
            security_groups=security_group,
            tags=tags,
            project_id=project_id,
        )
        filters += [("fields", field) for field in (wire.PORT_IN_BRIEF if brief else ())]
        return [item.model() for item in await self._resources.find("ports", wire.PortWire, filters)]

    async def get_port(self, port_id: str) -> Port | None:
        """Return one port by itself; None where there is none."""
        found = await self._resources.get("ports", port_id, "port", wire.PortWire)
        return found.model() if found else None

    async def create_ports(self, new: Sequence[NewPort]) -> list[Port]:
        """Make several ports in one request, all or none, and give them in the order they were asked for.

        The API does not promise this order; Neutron makes the ports one after the other and answers so (2026.1).
        """
        if not new:
            return []
        extra_time = self._create_patience + (len(new) - 1) * _SECONDS_A_PORT
        body = await self._resources.create("/ports", wire.new_ports_body(new), extra_time=extra_time)
        made = read_several(body, "ports", wire.PortWire)
        await self._tag_ports(made, new)
        return [port.model() for port in made]

    async def _tag_ports(self, made: Sequence[wire.PortWire], new: Sequence[NewPort]) -> None:
        """Tag new ports that the POST left without; where that fails, none is left, or CloudUnavailable is raised.

        Ports keep the tags of the POST with the ML2 extension driver `tag_ports_during_bulk_creation`; without it they
        are dropped without a word. On OVN the list of extensions does not tell which, the answer does.
        """
        try:
            for port, wanted in zip(made, new, strict=False):
                if not wanted.tags.issubset(port.tags):
                    await self._resources.put_tags("ports", port.id, wanted.tags)
                    port.tags = sorted(wanted.tags)
        except BaseException as error:
            if not await self._resources.undo("ports", [port.id for port in made]):
                raise CloudUnavailable(
                    f"Neutron has made ports, and neither let them be tagged nor deleted: {error}",
                    remedy="they are deleted as soon as Neutron lets them be; see its log",
                ) from error
            raise

    async def headroom(self, network_id: str, subnets: Mapping[str, IPNetwork]) -> Headroom:
        """Say how many more ports there may be on these subnets of a network (range by subnet id).

        Free are the addresses of the allocation pools that no port has. Ranges of more than 4096 addresses count only
        for whom Neutron tells how full its networks are, by default the roles admin and service.
        """
        return await self._headroom.read(network_id, subnets)

    async def update_port(self, port_id: str, change: PortChange, *, revision: int | None = None) -> Port:
        """Change a port; revision: only if it is still at this one.

        Neutron 29 lets several requests at one revision pass while they are worked on at the same moment. Each answer
        then counts all changes before it, so every one but the first is told apart by its number and raises Conflict,
        although it was made. Sent twice after a broken connection a change may find itself: then too.
        """
        body = await self._client.call(
            "PUT", f"/ports/{segment(port_id)}", body=wire.port_change_body(change), headers=if_match(revision)
        )
        port = read_one(body, "port", wire.PortWire).model()
        if revision is not None and port.revision > revision + 1:
            raise Conflict(
                f"the port {port_id} was changed by someone else at the same moment",
                remedy="look at it again: both changes may have been made",
            )
        return port

    async def tag_port(self, port_id: str, tag: str) -> None:
        """Add one tag to a port, atomically. Raises InvalidInput as tag_network."""
        await self._tags.add("ports", port_id, tag)

    async def untag_port(self, port_id: str, tag: str) -> None:
        """Take one tag off a port, atomically; fine where it is not there. Raises InvalidInput as tag_network."""
        await self._tags.remove("ports", port_id, tag)

    async def delete_port(self, port_id: str) -> None:
        """Delete a port."""
        await self._resources.delete(f"/ports/{segment(port_id)}")

    async def find_security_groups(self, names: Collection[str]) -> list[SecurityGroup]:
        """List the security groups whose name or id is among names.

        Of groups with one name the project's own count; an administrator sees every project's.
        """
        return await self._groups.named(names)

    async def find_owned_security_groups(self, *, name: str = "", tags: Collection[str] = ()) -> list[SecurityGroup]:
        """List this project's security groups that match all that is given, oldest first, with tags and ingress."""
        return await self._groups.owned(name=name, tags=tags)

    async def create_security_group(self, new: NewSecurityGroup) -> SecurityGroup:
        """Make a security group, its rules and its tags, in this order: nothing is left where one of them fails."""
        return await self._groups.create(new)

    async def delete_security_group(self, group_id: str) -> None:
        """Delete a security group with its rules."""
        await self._groups.delete(group_id)

    async def find_routers(self, subnet_ids: Collection[str]) -> list[Router]:
        """List this project's routers that have an interface on any of these subnets."""
        return await self._routers.on(subnet_ids)

    async def add_routes(self, router_id: str, routes: Collection[HostRoute]) -> Router:
        """Give a router routes beside those it has, atomically."""
        return await self._routers.add(router_id, routes)

    async def remove_routes(self, router_id: str, routes: Collection[HostRoute]) -> Router:
        """Take routes off a router, atomically; fine where they are not there."""
        return await self._routers.remove(router_id, routes)

    async def find_trunks(self, port_id: str = "") -> list[Trunk]:
        """List the trunks that have this port as their parent; empty: all of the project's."""
        return await self._trunks.find(port_id, "" if port_id else (await self._client.token()).project_id)

    async def add_sub_ports(self, trunk_id: str, sub_ports: Sequence[SubPort]) -> None:
        """Let a trunk carry these ports too, all or none of them; a real Neutron takes 0.15 s for each."""
        await self._trunks.add(trunk_id, sub_ports)

    async def remove_sub_ports(self, trunk_id: str, port_ids: Collection[str]) -> None:
        """Take ports off a trunk; fine where they are not on it."""
        await self._trunks.remove(trunk_id, port_ids)

    async def _known_extensions(self) -> frozenset[str]:
        if self._extensions is None:
            found = await self._resources.find("extensions", wire.NamedWire, [("fields", "alias")])
            self._extensions = frozenset(extension.alias for extension in found)
        return self._extensions
