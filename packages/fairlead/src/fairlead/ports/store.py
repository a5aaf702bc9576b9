"""What the core needs of the node's memory."""

from typing import Protocol, TypeVar


class Record(Protocol):
    """A frozen dataclass with an id, of a kind that the store was made for."""

    @property
    def id(self) -> str:
        """What tells it from others of its kind."""
        ...


R = TypeVar("R", bound=Record)


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
