"""Who asks, and what Neutron's default policy lets them do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a token. binds: the operator's policy lets this one set binding:host_id."""

    project_id: str
    project: str
    user: str
    roles: frozenset[str]
    binds: bool = False

    @property
    def admin(self) -> bool:
        """Whether everything is allowed."""
        return "admin" in self.roles

    @property
    def privileged(self) -> bool:
        """Whether other projects' things are visible: the roles admin and service."""
        return not self.roles.isdisjoint({"admin", "service"})

    @property
    def writes(self) -> bool:
        """Whether the role may change things in its own project."""
        return not self.roles.isdisjoint({"admin", "manager", "member"})

    @property
    def may_bind(self) -> bool:
        """Whether binding:host_id may be set."""
        return self.privileged or self.binds
