"""What a node says to another when a network has changed: who says it, and a proof of being on that network.

The proof is a keyed hash under the network's id, which only the project's members can read in Neutron. So a node that
has just joined is believed before the others know it, and nobody else ever is. Nothing but a look follows from a hint,
and each node can have others look only so often: a hint that somebody repeats gains nothing.
"""

from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

_PROOF: Final = 16  # bytes

BURST: Final = 3
"""Looks that one node may ask for at once."""

REST: Final = 12.0
"""Seconds until it may ask for one more; hardly less than nodes at rest take."""


def make_hint(network_id: str, port_id: str) -> bytes:
    """Write a hint; port_id: the sender's."""
    sender = port_id.encode()
    return sender + _proof(network_id, sender)


def sender_of(hint: bytes, network_id: str) -> str:
    """Return who says that this network has changed, by its port; empty where the hint does not prove it."""
    sender, proof = hint[:-_PROOF], hint[-_PROOF:]
    return sender.decode(errors="replace") if sender and compare_digest(proof, _proof(network_id, sender)) else ""


def _proof(network_id: str, sender: bytes) -> bytes:
    return blake2b(sender, key=network_id.encode(), digest_size=_PROOF).digest()


@dataclass(slots=True)
class _Account:
    """Of one node, in epoch seconds. looks_at: of the last look granted; used_until: when all are to be had again."""

    looks_at: float
    used_until: float


class Allowance:
    """When a node's next look is due. Remembers those who asked of late."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    def grant(self, sender: str, now: float) -> float:
        """Return when to look for a node that asks now. A look that is due is for all that it asks until then."""
        account = self._accounts.get(sender)
        if account is None:
            self._accounts = {name: one for name, one in self._accounts.items() if one.used_until > now}
            account = self._accounts[sender] = _Account(0.0, now)
        if account.looks_at <= now:
            used_until = max(account.used_until, now)
            account.looks_at = max(now, used_until - (BURST - 1) * REST)
            account.used_until = used_until + REST
        return account.looks_at
