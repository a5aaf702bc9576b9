"""The one tree of errors.

    FairleadError
    ├── InvalidInput            what was asked for can't be: malformed, contradictory, unknown option
    │   └── UnsupportedRequest  well-formed, but Fairlead does not do it
    ├── NotFound                a named network, subnet, port, attachment … does not exist
    │   └── PortGone            a port that was there is no more
    ├── Conflict                it collides with something that exists
    │   ├── AddressInUse
    │   ├── OverlappingSubnet
    │   └── StillInUse
    ├── Exhausted               nothing is left of it
    │   ├── NoFreeAddress
    │   └── QuotaExceeded
    ├── Denied                  the cloud refuses these credentials
    │   ├── AuthenticationFailed
    │   └── PermissionDenied
    ├── Unavailable             something that is needed does not answer; trying again may help
    │   ├── CloudUnavailable    Keystone or Neutron
    │   ├── SwitchUnavailable   OVSDB or the switch
    │   ├── AgentUnavailable    Fairlead's own agent, to its commands
    │   └── WiringTimeout       the port was plugged and never became ready
    ├── DataplaneError          the kernel refused a device
    ├── StoreError              the node's own file
    ├── TaskFailed              something that the agent must do all the time fails again and again
    ├── SettingsError           fairlead.toml, clouds.yaml, the environment
    └── LabError                the lab

Adapters translate foreign exceptions into these, chained; front ends translate these into their protocol's, and say
what to do in their users' words.
"""

from collections.abc import Mapping
from typing import Final

from fairlead.model.text import printable

_LONGEST: Final = 400
"""Characters of what went wrong, and of what to do about it."""


class FairleadError(Exception):
    """Base of all: what went wrong, and what to do about it, in one line.

    message: one sentence without a full stop, naming the cause. remedy: what the reader can do; may be empty.
    code: names what went wrong where a door has a remedy of its own for it; details: what that remedy may mention.
    """

    def __init__(
        self, message: str, *, remedy: str = "", code: str = "", details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy
        self.code = code
        self.details = details or {}

    def __str__(self) -> str:
        # What users and clouds have written is in it: it stays one line, and leaves room for the remedy.
        message, remedy = (printable(" ".join(text.split()), limit=_LONGEST) for text in (self.message, self.remedy))
        return f"{message}: {remedy}" if remedy else message


class InvalidInput(FairleadError):
    """What was asked for can't be: malformed, contradictory or unknown."""


class UnsupportedRequest(InvalidInput):
    """Well-formed, but not something Fairlead does."""


class NotFound(FairleadError):
    """Something named does not exist, or is not visible to these credentials."""


class PortGone(NotFound):
    """Neutron has no such port any more: somebody deleted it."""


class Conflict(FairleadError):
    """It collides with something that exists."""


class AddressInUse(Conflict):
    """The address belongs to another port."""


class OverlappingSubnet(Conflict):
    """The range overlaps one that is in use."""


class StillInUse(Conflict):
    """It can't be deleted while others use it."""


class Exhausted(FairleadError):
    """Nothing is left of it."""


class NoFreeAddress(Exhausted):
    """Every address of the subnet is taken."""


class QuotaExceeded(Exhausted):
    """The project's quota is used up."""


class Denied(FairleadError):
    """The cloud refuses these credentials."""


class AuthenticationFailed(Denied):
    """Keystone does not accept the credentials (HTTP 401)."""


class PermissionDenied(Denied):
    """The role does not allow it (HTTP 403)."""


class Unavailable(FairleadError):
    """Something that is needed does not answer; trying again may help.

    retry_after: seconds that it asked to be left alone for; None where it did not say. reached: the request may have
    arrived, so what it asked for may yet be done. answered: with an error that may be about this request alone.
    """

    retry_after: float | None = None
    reached: bool = True
    answered: bool = False


class CloudUnavailable(Unavailable):
    """Keystone or Neutron does not answer, or answers 5xx or 429."""

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        retry_after: float | None = None,
        reached: bool = True,
        answered: bool = False,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after
        self.reached = reached
        self.answered = answered


class SwitchUnavailable(Unavailable):
    """OVSDB or the switch does not answer."""


class AgentUnavailable(Unavailable):
    """This host's agent does not answer."""


class WiringTimeout(Unavailable):
    """The port was plugged and OVN never said that its flows are in place."""


class DataplaneError(FairleadError):
    """The kernel refused a device."""


class StoreError(FairleadError):
    """The node's own file can't be read or written."""


class TaskFailed(FairleadError):
    """Something that the agent must do all the time fails again and again."""


class SettingsError(FairleadError):
    """fairlead.toml, clouds.yaml or the environment is wrong."""


class LabError(FairleadError):
    """The lab can't do what was asked."""
