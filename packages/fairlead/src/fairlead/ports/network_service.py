"""What the core needs of Neutron."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

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


class NetworkService(Protocol):
    """Networks, subnets, ports, security groups, routers and trunks of one project.

    Every call raises CloudUnavailable (no answer in bounded time, or 5xx), AuthenticationFailed or PermissionDenied;
    what it raises beyond these is said with it. Deletions are idempotent: what is not there is deleted.
    """

    async def view(self) -> CloudView:
        """Say who we are and what we may do; asked of the cloud once, then remembered."""
        ...

    async def find_networks(
        self,
        *,
        network_id: str = "",
        name: str = "",
        description: str = "",
        tags: Collection[str] = (),
        own: bool = False,
    ) -> list[Network]:
        """List the networks that match all that is given; own: of this project only, not shared ones."""
        ...

    async def get_network(self, network_id: str) -> Network | None:
        """Return one network by itself; None where there is none."""
        ...

    async def create_network(self, new: NewNetwork) -> Network:
        """Make a network; Neutron tags it in a second request, so for a moment it is there without its tags.

        Raises QuotaExceeded.
        """
        ...

    async def tag_network(self, network_id: str, tag: str) -> None:
        """Add one tag to a network, atomically. Raises NotFound."""
        ...

    async def untag_network(self, network_id: str, tag: str) -> None:
        """Take one tag off a network, atomically; fine where it is not there."""
        ...

    async def delete_network(self, network_id: str, *, revision: int | None = None) -> None:
        """Delete a network with its subnets.

        revision: only if it is still at this revision (RFC 9110 If-Match). Raises Conflict where it is not,
        StillInUse where ports are left.
        """
        ...

    async def find_subnets(self, network_id: str) -> list[Subnet]:
        """List the subnets of a network."""
        ...

    async def create_subnet(self, new: NewSubnet) -> Subnet:
        """Make a subnet. Raises OverlappingSubnet, QuotaExceeded, NotFound (its network), InvalidInput."""
        ...

    async def update_subnet(self, subnet_id: str, allocation_pools: Sequence[AddressRange]) -> Subnet:
        """Pick addresses out of other ranges from now on; ports keep theirs.

        Raises NotFound, InvalidInput (out of bounds, with the gateway, or overlapping each other).
        """
        ...

    async def delete_subnet(self, subnet_id: str) -> None:
        """Delete a subnet. Raises StillInUse."""
        ...

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
        """List the ports that match all that is given; security_group: the id of one that they have.

        brief: of each port only ids, MAC, addresses and tags are told, which costs Neutron and the network less.
        """
        ...

    async def get_port(self, port_id: str) -> Port | None:
        """Return one port by itself; None where there is none."""
        ...

    async def create_ports(self, new: Sequence[NewPort]) -> list[Port]:
        """Make ports in one request, all or none, and give them in the order they were asked for.

        Tagged in that request where the cloud can, else each in one of its own, which changes its revision once more.
        Where those fail the ports are deleted again; where that fails as well, CloudUnavailable is raised and they are
        there without tags. The call may take a second longer for each port beyond the first.
        No two may want the same MAC: Neutron 29 does not refuse that, it goes on trying.

        Raises AddressInUse (an address or MAC is taken), NoFreeAddress, QuotaExceeded, NotFound (network, group),
        InvalidInput (an address outside the subnet), for all of them together; where there is no answer in time, all
        or none are there.
        """
        ...

    async def headroom(self, network_id: str, subnets: Mapping[str, IPNetwork]) -> Headroom:
        """Say how many more ports there may be on these subnets of a network (range by subnet id).

        A network that is not there has room for an unknown number of addresses.
        """
        ...

    async def update_port(self, port_id: str, change: PortChange, *, revision: int | None = None) -> Port:
        """Change a port; revision: only if it is still at this revision (RFC 9110 If-Match).

        Raises NotFound (port, group), AddressInUse, InvalidInput, Conflict where it is not at this revision or has
        no port security to pair addresses with, QuotaExceeded for more address pairs than a port may have.

        Conflict is also raised where another change was under way at the same moment: this one may have been made all
        the same. Read the port and change it again, even where it looks right: the network may have been told the
        other's list only. Change address pairs alone: of pairs changed at the same moment each one's are kept, of
        those that came with another attribute the last one's.
        """
        ...

    async def tag_port(self, port_id: str, tag: str) -> None:
        """Add one tag to a port, atomically. Raises NotFound."""
        ...

    async def untag_port(self, port_id: str, tag: str) -> None:
        """Take one tag off a port, atomically; fine where it is not there."""
        ...

    async def delete_port(self, port_id: str) -> None:
        """Delete a port."""
        ...

    async def find_security_groups(self, names: Collection[str]) -> list[SecurityGroup]:
        """List the security groups whose name or id is among names."""
        ...

    async def find_owned_security_groups(self, *, name: str = "", tags: Collection[str] = ()) -> list[SecurityGroup]:
        """List this project's security groups that match all that is given, oldest first, with tags and ingress."""
        ...

    async def create_security_group(self, new: NewSecurityGroup) -> SecurityGroup:
        """Make a security group; what has its tags has its rules. Raises QuotaExceeded."""
        ...

    async def delete_security_group(self, group_id: str) -> None:
        """Delete a security group with its rules. Raises StillInUse where a port has it."""
        ...

    async def find_routers(self, subnet_ids: Collection[str]) -> list[Router]:
        """List this project's routers that have an interface on any of these subnets."""
        ...

    async def add_routes(self, router_id: str, routes: Collection[HostRoute]) -> Router:
        """Give a router routes beside those it has, atomically: all or none, and no others are touched.

        What it has already it keeps. The same destination by another next hop is added, not replaced: remove first.
        To add no routes is to have the network told again what the router has: where many change a router at once,
        Neutron's list and OVN's may differ until the next change.
        Raises NotFound (router), QuotaExceeded (more routes than a router may have), InvalidInput (a next hop that is
        on none of the router's subnets, or its own), UnsupportedRequest (Neutron before 2019's Train).
        """
        ...

    async def remove_routes(self, router_id: str, routes: Collection[HostRoute]) -> Router:
        """Take routes off a router, atomically; fine where they are not there. Raises as add_routes does."""
        ...

    async def find_trunks(self, port_id: str = "") -> list[Trunk]:
        """List the trunks that have this port as their parent: one, or none; empty: all of the project's.

        Raises UnsupportedRequest.
        """
        ...

    async def add_sub_ports(self, trunk_id: str, sub_ports: Sequence[SubPort]) -> None:
        """Let a trunk carry these ports too, all or none of them.

        Raises NotFound (trunk, port), Conflict (a VLAN id is taken, a port is in a trunk already or in use, or its
        network has a greater MTU than the parent's), InvalidInput (no VLAN id).
        """
        ...

    async def remove_sub_ports(self, trunk_id: str, port_ids: Collection[str]) -> None:
        """Take ports off a trunk; fine where they are not on it, or there is no such trunk. Raises Conflict."""
        ...
