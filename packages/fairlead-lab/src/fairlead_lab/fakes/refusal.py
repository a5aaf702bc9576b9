"""A refusal of the fake's, with the status and the names that the real service gives it."""


class Refusal(Exception):
    """An answer other than 2xx: HTTP status, NeutronError.type and NeutronError.message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(f"HTTP {status} {kind}: {message}")
        self.status = status
        self.kind = kind
        self.message = message


def invalid(message: str) -> Refusal:
    """Make a refusal of input that can't be."""
    return Refusal(400, "InvalidInput", f"Invalid input for operation: {message}.")


def missing(kind: str, resource_id: str) -> Refusal:
    """Make a refusal for something that is not there: kind is Network, Subnet, Port …"""
    return Refusal(404, f"{kind}NotFound", f"{kind} {resource_id} could not be found.")


def forbidden(rule: str) -> Refusal:
    """Make a policy's refusal."""
    return Refusal(403, "PolicyNotAuthorized", f"{rule} is disallowed by policy")
