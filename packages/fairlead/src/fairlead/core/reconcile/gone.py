"""Whether a container still has its attachment, by two witnesses: the host, and whoever runs containers on it.

The host's word: the sandbox's device is in no other namespace than the host's. It goes with a sandbox that ends, or is
brought back by the runtime; before a start has come so far it is here as well. So the runtime is asked whether it knows
the attachment; where it does not tell, the attachment has to be older than any start takes.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fairlead.core.reconcile.findings import Gone
from fairlead.model.attachment import AttachmentKey
from fairlead.model.network import IPAddress
from fairlead.ports.clock import Clock
from fairlead.ports.dataplane import Dataplane, Plugged
from fairlead.ports.runtime import Runtime

STARTING: Final = 20.0
"""Seconds that an attachment is left alone after it was prepared: its runtime may be about to write it down."""

UNTOLD: Final = 600.0
"""Seconds after which an attachment that is in no sandbox is gone where no runtime tells."""

_PAUSE: Final = 1.0
"""Seconds between two looks while somebody waits for the answer."""


@dataclass(frozen=True, slots=True)
class Attached:
    """An attachment as it is remembered. id: by which the data plane knows it. since: epoch seconds."""

    key: AttachmentKey
    id: str
    addresses: tuple[IPAddress, ...]
    since: float


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Tells attachments that are gone. runtime: None where there is none to ask."""

    dataplane: Dataplane
    clock: Clock
    runtime: Runtime | None = None

    async def gone(self, attached: Sequence[Attached], plugged: Sequence[Plugged]) -> list[Gone]:
        """Find those of the attachments that are gone, as of one look at the host."""
        away, now = {one.port_id for one in plugged if one.away}, self.clock.now()
        suspects: defaultdict[str, list[Attached]] = defaultdict(list)
        for one in attached:
            if one.id not in away and now - one.since >= STARTING:
                suspects[one.key.network].append(one)
        found = []
        for joined_id, its in suspects.items():
            known = await self.runtime.owners(joined_id) if self.runtime else None
            for one in its:
                if now - one.since >= UNTOLD if known is None else one.key.owner not in known:
                    found.append(Gone(one.key, one.addresses))
        return found

    async def is_gone(self, attached: Attached) -> bool:
        """Ask about one attachment, twice. Raises what Dataplane.plugged raises."""
        if not await self.gone([attached], await self.dataplane.plugged()):
            return False
        await self.clock.sleep(_PAUSE)
        return bool(await self.gone([attached], await self.dataplane.plugged()))
