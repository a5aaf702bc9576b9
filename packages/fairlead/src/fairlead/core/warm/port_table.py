"""This node's ports, indexed: every question that a start or a stop asks is answered without going through them all."""

from collections.abc import Iterator

from fairlead.model.network import IPAddress
from fairlead.model.records import Allocation, Use
from fairlead.ports.store import LeaseStore


class PortTable:
    """The allocations of a store, in memory; each change is in the store before it is here.

    Used by one event loop; the store is the port_table's alone as far as allocations go.
    """

    def __init__(self, store: LeaseStore) -> None:
        self._store = store
        self._all: dict[str, Allocation] = {}
        self._owners: dict[tuple[str, str], str] = {}
        self._addresses: dict[tuple[str, IPAddress], str] = {}
        # By network and use, in the order in which they came to it: the port that has rested longest is the first.
        self._uses: dict[tuple[str, Use], dict[str, None]] = {}
        self._untold: dict[str, None] = {}
        self._leaving: dict[str, None] = {}
        for allocation in sorted(store.all(Allocation), key=lambda one: one.since):
            self._enter(allocation)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Allocation]:
        return iter(tuple(self._all.values()))

    def get(self, port_id: str) -> Allocation | None:
        """Return one port's allocation."""
        return self._all.get(port_id)

    def of_owner(self, owner: str, interface: str = "") -> Allocation | None:
        """Return the allocation that an attachment has. A sandbox has no two interfaces of one name."""
        return self._all.get(self._owners.get((owner, interface), ""))

    def of_address(self, joined_id: str, address: IPAddress) -> Allocation | None:
        """Return the allocation that has an address of a network."""
        return self._all.get(self._addresses.get((joined_id, address), ""))

    def in_use(self, joined_id: str, *uses: Use) -> list[Allocation]:
        """List a network's allocations of these uses, in the order in which they came to them."""
        return [self._all[port_id] for use in uses for port_id in self._uses.get((joined_id, use), ())]

    def count(self, joined_id: str, use: Use) -> int:
        """Count a network's allocations of one use."""
        return len(self._uses.get((joined_id, use), ()))

    def first_free(self, joined_id: str, now: float) -> Allocation | None:
        """Return the port that may be given out next: one that has rested enough, else one that was never used."""
        returned = self._first(joined_id, Use.RETURNED)
        if returned and returned.rests_until <= now:
            return returned
        return self._first(joined_id, Use.FRESH)

    def longest_resting(self, joined_id: str) -> Allocation | None:
        """Return the port that has rested longest, be it not long enough."""
        return self._first(joined_id, Use.RETURNED)

    def leaving(self) -> list[Allocation]:
        """List the ports that are to be deleted, of whatever network, the longest first."""
        return [self._all[port_id] for port_id in self._leaving]

    def untold(self) -> list[Allocation]:
        """List the ports of which Neutron shows another owner than they have, the longest first."""
        return [self._all[port_id] for port_id in self._untold]

    def put(self, allocation: Allocation) -> Allocation:
        """Write an allocation, in the place of the one with its id, and return it. Raises StoreError."""
        self._store.put(allocation)
        self._drop(allocation.id)
        self._enter(allocation)
        return allocation

    def delete(self, port_id: str) -> None:
        """Forget an allocation; fine where there is none. Raises StoreError."""
        self._store.delete(Allocation, port_id)
        self._drop(port_id)

    def _first(self, joined_id: str, use: Use) -> Allocation | None:
        port_ids = self._uses.get((joined_id, use))
        return self._all[next(iter(port_ids))] if port_ids else None

    def _enter(self, allocation: Allocation) -> None:
        self._all[allocation.id] = allocation
        self._uses.setdefault((allocation.joined_id, allocation.use), {})[allocation.id] = None
        if allocation.owner:
            self._owners[allocation.owner, allocation.interface] = allocation.id
        for address in allocation.addresses:
            self._addresses[allocation.joined_id, address] = allocation.id
        if allocation.leaving:
            self._leaving[allocation.id] = None
        elif allocation.told != allocation.owner:
            self._untold[allocation.id] = None

    def _drop(self, port_id: str) -> None:
        allocation = self._all.pop(port_id, None)
        if allocation is None:
            return
        peers = self._uses[allocation.joined_id, allocation.use]
        del peers[port_id]
        if not peers:
            del self._uses[allocation.joined_id, allocation.use]
        self._owners.pop((allocation.owner, allocation.interface), None)
        for address in allocation.addresses:
            if self._addresses.get((allocation.joined_id, address)) == port_id:
                del self._addresses[allocation.joined_id, address]
        self._untold.pop(port_id, None)
        self._leaving.pop(port_id, None)
