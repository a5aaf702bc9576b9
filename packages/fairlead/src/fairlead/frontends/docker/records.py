"""What Docker's door remembers for itself."""

from dataclasses import dataclass, field

from fairlead.model.network import IPAddress, IPNetwork
from fairlead.model.records import NetworkReference


@dataclass(frozen=True, slots=True)
class AddressPool:
    """libnetwork's address pool: one range of one Neutron network.

    subnet_id is empty until there is such a subnet; joined_id until a network uses the pool. auxiliary: addresses that
    must not be given out (`--aux-address`). part: the part of the range out of which addresses are picked
    (`--ip-range`); None: all of it. since: epoch seconds of its request.
    """

    id: str
    cidr: IPNetwork
    reference: NetworkReference
    gateway: IPAddress | None = None
    auxiliary: tuple[IPAddress, ...] = ()
    network_id: str = ""
    subnet_id: str = ""
    joined_id: str = ""
    part: IPNetwork | None = None
    since: float = field(default=0.0, compare=False)


KINDS = (AddressPool,)
