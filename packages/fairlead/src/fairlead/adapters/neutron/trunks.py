"""Trunks and what they carry (extension trunk)."""

from collections.abc import Awaitable, Callable, Collection, Sequence

import msgspec

from fairlead.adapters.neutron import errors
from fairlead.adapters.neutron.client import NeutronClient
from fairlead.adapters.neutron.errors import AnswerError
from fairlead.adapters.neutron.resources import Resources, query, read_one, segment
from fairlead.model.errors import Conflict, NotFound, UnsupportedRequest
from fairlead.model.network import SubPort, Trunk

_EXTENSION = "trunk"
_SECONDS_A_SUB_PORT = 1.0
# How often a removal is sent again because somebody else took one of the sub-ports off meanwhile.
_ATTEMPTS = 5


class _SubPortWire(msgspec.Struct):
    """A sub-port as Neutron sends it, and as add_subports takes it."""

    port_id: str
    segmentation_id: int
    segmentation_type: str = "vlan"


class _PortOnlyWire(msgspec.Struct):
    """A sub-port as remove_subports takes it."""

    port_id: str


class _TrunkWire(msgspec.Struct):
    """A trunk as Neutron sends it."""

    id: str
    port_id: str
    sub_ports: list[_SubPortWire] = []

    def model(self) -> Trunk:
        """Convert it."""
        carried = tuple(SubPort(one.port_id, one.segmentation_id) for one in self.sub_ports)
        return Trunk(self.id, self.port_id, carried)


class Trunks:
    """Finds trunks and changes what they carry. extensions: tells the aliases of Neutron's API extensions."""

    def __init__(
        self, client: NeutronClient, resources: Resources, extensions: Callable[[], Awaitable[frozenset[str]]]
    ) -> None:
        self._client = client
        self._resources = resources
        self._extensions = extensions

    async def find(self, port_id: str, project_id: str) -> list[Trunk]:
        """List a project's trunks; port_id: those of this parent port, where it is not empty."""
        if _EXTENSION not in await self._extensions():
            raise UnsupportedRequest(
                f"this Neutron has no trunks (it lacks the extension {_EXTENSION})",
                remedy="ask the operator for the service plugin `trunk`, or choose another agent.mode",
            )
        found = await self._resources.find("trunks", _TrunkWire, query(port_id=port_id, project_id=project_id))
        return [trunk.model() for trunk in found]

    async def add(self, trunk_id: str, sub_ports: Sequence[SubPort]) -> None:
        """Let a trunk carry ports, in one request."""
        wanted = [_SubPortWire(one.port_id, one.vlan) for one in sub_ports]
        try:
            await self._change(trunk_id, "add_subports", wanted)
        except AnswerError as refusal:
            if refusal.kind == "PortInUse":
                raise Conflict(refusal.message, remedy="a sub-port may have no device_id: unset it") from refusal
            raise errors.translate(refusal) from refusal

    async def remove(self, trunk_id: str, port_ids: Collection[str]) -> None:
        """Take those of the ports off a trunk that are on it: Neutron refuses all where one is not."""
        for _ in range(_ATTEMPTS):
            try:
                body = await self._client.call("GET", f"/trunks/{segment(trunk_id)}")
            except NotFound:
                return
            carried = {one.port_id for one in read_one(body, "trunk", _TrunkWire).model().sub_ports}
            going = [_PortOnlyWire(each) for each in sorted(carried & set(port_ids))]
            if not going:
                return
            try:
                await self._change(trunk_id, "remove_subports", going)
            except AnswerError as refusal:
                if refusal.kind in {"SubPortNotFound", "TrunkNotFound"}:
                    continue
                raise errors.translate(refusal) from refusal
            return
        raise Conflict(f"the trunk {trunk_id} changes all the time", remedy="see who else changes it")

    async def _change(self, trunk_id: str, action: str, sub_ports: Sequence[msgspec.Struct]) -> None:
        await self._client.exchange(
            "PUT",
            f"/trunks/{segment(trunk_id)}/{action}",
            body=msgspec.json.encode({"sub_ports": sub_ports}),
            extra_time=len(sub_ports) * _SECONDS_A_SUB_PORT,
        )
