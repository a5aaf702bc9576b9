"""Keystone v3, as far as clients need it: discovery, tokens for passwords and application credentials, the catalogue.

https://docs.openstack.org/api-ref/identity/v3/
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fairlead_lab.fakes.caller import Caller
from fairlead_lab.fakes.refusal import Refusal

DOMAIN = {"id": "default", "name": "Default"}
PASSWORD = "secret"  # noqa: S105 - the fake's own, worth nothing


@dataclass(frozen=True, slots=True)
class User:
    """A user with one set of roles in one project, and an application credential there."""

    id: str
    name: str
    project_id: str
    project: str
    roles: frozenset[str]
    credential_id: str


@dataclass(slots=True)
class Identity:
    """Users and tokens. lifetime: of a token. ahead: how far its clock is. catalogue: service type to URL."""

    catalogue: dict[str, str] = field(default_factory=dict)
    lifetime: timedelta = timedelta(hours=1)
    ahead: timedelta = timedelta()
    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, Caller] = field(default_factory=dict)
    members_bind: bool = False
    _issued: int = 0

    def add(self, user: User) -> None:
        """Make a user known."""
        self.users[user.name] = user

    def expire_tokens(self) -> None:
        """Stop accepting every token given so far."""
        self.tokens.clear()

    def issue(self, request: Any) -> tuple[str, dict[str, Any]]:
        """Answer POST /v3/auth/tokens: the token's id and the body."""
        auth = request.get("auth") if isinstance(request, dict) else None
        if not isinstance(auth, dict):
            raise Refusal(400, "Bad Request", "Expecting to find auth in request body.")
        identity = auth.get("identity", {})
        user = self._who(identity)
        by_credential = "application_credential" in identity.get("methods", [])
        scoped = by_credential or self._scoped(user, auth.get("scope"))
        self._issued += 1
        token_id = f"token-{self._issued}"
        now = datetime.now(UTC) + self.ahead
        token: dict[str, Any] = {
            "methods": identity["methods"],
            "user": {"id": user.id, "name": user.name, "domain": DOMAIN, "password_expires_at": None},
            "audit_ids": [f"audit-{self._issued}"],
            "issued_at": _timestamp(now),
            "expires_at": _timestamp(now + self.lifetime),
        }
        if scoped:
            token["project"] = {"id": user.project_id, "name": user.project, "domain": DOMAIN}
            token["roles"] = [{"id": f"role-{name}", "name": name} for name in sorted(user.roles)]
            token["catalog"] = self._catalogue()
            self.tokens[token_id] = Caller(
                user.project_id, user.project, user.name, user.roles, self.members_bind and "member" in user.roles
            )
        return token_id, {"token": token}

    def _who(self, identity: dict[str, Any]) -> User:
        method = next(iter(identity.get("methods", [])), "")
        given = identity.get(method, {})
        if method == "password":
            claimed = given.get("user", {})
            for user in self._named(claimed):
                if claimed.get("password") == PASSWORD:
                    return user
        if method == "application_credential" and given.get("secret") == PASSWORD:
            for user in self.users.values():
                if given.get("id") == user.credential_id:
                    return user
        raise unauthorized()

    def _named(self, claimed: dict[str, Any]) -> Iterable[User]:
        in_domain = claimed.get("domain", {})
        for user in self.users.values():
            by_name = claimed.get("name") == user.name and DOMAIN.items() & in_domain.items()
            if by_name or claimed.get("id") == user.id:
                yield user

    @staticmethod
    def _scoped(user: User, scope: Any) -> bool:
        if not scope:
            return False
        project = scope.get("project", {})
        by_id = project.get("id") == user.project_id
        by_name = project.get("name") == user.project and DOMAIN.items() & project.get("domain", {}).items()
        if not by_id and not by_name:
            raise unauthorized()
        return True

    def _catalogue(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"service-{kind}",
                "type": kind,
                "name": kind,
                "endpoints": [
                    {
                        "id": f"endpoint-{kind}-{interface}",
                        "interface": interface,
                        "region": "RegionOne",
                        "region_id": "RegionOne",
                        "url": url,
                    }
                    for interface in ("admin", "internal", "public")
                ],
            }
            for kind, url in self.catalogue.items()
        ]


def unauthorized() -> Refusal:
    """Make Keystone's refusal, which never says what was wrong."""
    return Refusal(401, "Unauthorized", "The request you have made requires authentication.")


def _timestamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
