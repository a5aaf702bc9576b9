"""What the engine needs of the node's memory."""

from typing import Protocol, TypeVar

from fairlead.model.records import AddressPool, Allocation, Batch, Claim, JoinedNetwork, Lease, Origin, Record

R = TypeVar("R", AddressPool, JoinedNetwork, Batch, Allocation, Origin, Lease, Claim)


class LeaseStore(Protocol):
    """Records by kind and id; what `put` and `delete` returned from survives a crash. All raise StoreError."""

    def put(self, record: Record) -> None:
        """Write a record, in the place of the one with its id."""
        ...

    def get(self, kind: type[R], record_id: str) -> R | None:
        """Return one record."""
        ...

    def all(self, kind: type[R]) -> list[R]:
        """Return every record of a kind, oldest first."""
        ...

    def delete(self, kind: type[R], record_id: str) -> None:
        """Forget a record; fine where there is none."""
        ...
