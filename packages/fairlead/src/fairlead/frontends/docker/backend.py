"""What libnetwork's drivers need of the engine, whatever the mode."""

from collections.abc import Mapping
from typing import Protocol

from fairlead.core.warm.networks import NetworkSpec
from fairlead.model.network import IPAddress
from fairlead.model.records import JoinedNetwork
from fairlead.model.vif import Vif


class Networks(Protocol):
    """Networks of the container engine's on this host."""

    async def join(self, spec: NetworkSpec) -> JoinedNetwork:
        """Create or adopt what stands for the network in Neutron."""
        ...

    async def leave(self, joined_id: str) -> None:
        """Let go of it."""
        ...


class Addresses(Protocol):
    """Addresses of pools."""

    async def allocate(self, pool_id: str, address: IPAddress | None) -> IPAddress:
        """Give out the address asked for, or any."""
        ...

    async def release(self, pool_id: str, address: IPAddress) -> None:
        """Take one back."""
        ...


class Endpoints(Protocol):
    """Containers' endpoints."""

    async def create(self, joined_id: str, endpoint_id: str, addresses: tuple[IPAddress, ...], mac: str) -> str:
        """Give an endpoint its addresses; return its MAC. mac empty: any."""
        ...

    async def attach(self, joined_id: str, endpoint_id: str) -> tuple[JoinedNetwork, Vif]:
        """Wire it."""
        ...

    async def delete(self, endpoint_id: str) -> None:
        """Unplug it."""
        ...

    async def describe(self, endpoint_id: str) -> Mapping[str, str]:
        """Tell what is worth telling of it, by the engine's names."""
        ...
