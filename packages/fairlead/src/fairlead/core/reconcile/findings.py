"""What is found where the world is not as remembered: one kind for each way to differ.

Each says what it is about, where it was seen, why it is one, and what is done about it. Equal findings of two looks are
the same one, seen again.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from fairlead.model.attachment import AttachmentKey
from fairlead.model.network import IPAddress, IPNetwork
from fairlead.model.tags import SHORT_ID


class Finding(Protocol):
    """A difference, and what is to be done. looks: how often it has to be seen, apart in time, before that is done."""

    where: ClassVar[str]
    why: ClassVar[str]
    act: ClassVar[str]
    looks: ClassVar[int]

    @property
    def what(self) -> str:
        """What it is about, for people."""
        ...


@dataclass(frozen=True, slots=True)
class HalfJoined:
    """A network that was being joined when the agent ended, or Neutron stopped answering."""

    joined_id: str
    where: ClassVar[str] = "memory"
    why: ClassVar[str] = "joining it was begun and never finished"
    act: ClassVar[str] = "undo the join"
    looks: ClassVar[int] = 1

    @property
    def what(self) -> str:
        """The network."""
        return f"network {self.joined_id[:SHORT_ID]}"


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """A port whose address was given to a door, and which no attachment has taken."""

    port_id: str
    addresses: tuple[IPAddress, ...]
    where: ClassVar[str] = "memory"
    why: ClassVar[str] = "its address was asked for, and no container took it"
    act: ClassVar[str] = "let it wait again"
    looks: ClassVar[int] = 1

    @property
    def what(self) -> str:
        """The port."""
        return _port(self.port_id, self.addresses)


@dataclass(frozen=True, slots=True)
class Orphan:
    """Devices, or a row of the switch, that carry Fairlead's mark and belong to nothing that is remembered."""

    attachment_id: str
    where: ClassVar[str] = "host"
    why: ClassVar[str] = "it carries Fairlead's mark, and no port or address is remembered for it"
    act: ClassVar[str] = "remove it"
    looks: ClassVar[int] = 1

    @property
    def what(self) -> str:
        """The attachment."""
        return f"device of {self.attachment_id}"


@dataclass(frozen=True, slots=True)
class Unplugged:
    """A port or an address in use, or waiting, of which a device, a row, a route or its flows are not there."""

    key: AttachmentKey | None
    attachment_id: str
    addresses: tuple[IPAddress, ...]
    where: ClassVar[str] = "host"
    why: ClassVar[str] = "somebody undid a part of what was plugged"
    act: ClassVar[str] = "plug it again"
    looks: ClassVar[int] = 1

    @property
    def what(self) -> str:
        """The attachment."""
        return _port(self.attachment_id, self.addresses)


@dataclass(frozen=True, slots=True)
class Gone:
    """An attachment whose container is no more, of which no runtime has told."""

    key: AttachmentKey
    addresses: tuple[IPAddress, ...]
    where: ClassVar[str] = "host"
    why: ClassVar[str] = "its container is gone: the device is in none, and its runtime does not know it"
    act: ClassVar[str] = "detach it"
    looks: ClassVar[int] = 2

    @property
    def what(self) -> str:
        """The attachment."""
        return _port(self.key.owner[:SHORT_ID], self.addresses, "container's attachment")


@dataclass(frozen=True, slots=True)
class Stray:
    """A port in Neutron with this node's tags that is not remembered, and not plugged here."""

    port_id: str
    addresses: tuple[IPAddress, ...]
    where: ClassVar[str] = "Neutron"
    why: ClassVar[str] = "it carries this node's tags, and is neither remembered nor plugged here"
    act: ClassVar[str] = "delete it"
    looks: ClassVar[int] = 2

    @property
    def what(self) -> str:
        """The port."""
        return _port(self.port_id, self.addresses)


@dataclass(frozen=True, slots=True)
class Asked:
    """A port by which somebody who wants to retire this node has asked whether it lives."""

    port_id: str
    where: ClassVar[str] = "Neutron"
    why: ClassVar[str] = "somebody asks by its tags whether this node lives"
    act: ClassVar[str] = "answer"
    looks: ClassVar[int] = 1

    @property
    def what(self) -> str:
        """The port."""
        return _port(self.port_id, ())


@dataclass(frozen=True, slots=True)
class Deleted:
    """A port that waits here and that Neutron does not have."""

    port_id: str
    addresses: tuple[IPAddress, ...]
    where: ClassVar[str] = "Neutron"
    why: ClassVar[str] = "it waits here for a container, and somebody deleted it"
    act: ClassVar[str] = "forget it"
    looks: ClassVar[int] = 2

    @property
    def what(self) -> str:
        """The port."""
        return _port(self.port_id, self.addresses)


@dataclass(frozen=True, slots=True)
class CutOff:
    """A container's port that Neutron does not have: its packets go nowhere."""

    port_id: str
    addresses: tuple[IPAddress, ...]
    where: ClassVar[str] = "Neutron"
    why: ClassVar[str] = "a container uses it, and somebody deleted it"
    act: ClassVar[str] = "nothing but this: start the container again"
    looks: ClassVar[int] = 2

    @property
    def what(self) -> str:
        """The port."""
        return _port(self.port_id, self.addresses)


@dataclass(frozen=True, slots=True)
class StrayBlock:
    """A block in Neutron that names this node's port, and that this node does not remember holding."""

    joined_id: str
    cidr: IPNetwork
    where: ClassVar[str] = "Neutron"
    why: ClassVar[str] = "it names this node as its holder, and is not remembered"
    act: ClassVar[str] = "give it back"
    looks: ClassVar[int] = 2

    @property
    def what(self) -> str:
        """The block."""
        return f"block {self.cidr} of network {self.joined_id[:SHORT_ID]}"


def _port(port_id: str, addresses: tuple[IPAddress, ...], called: str = "port") -> str:
    return f"{called} {port_id}" + (f" ({', '.join(map(str, addresses))})" if addresses else "")
