"""What is of nobody any more, found and removed as the reconciler does."""

from collections.abc import Container

from fairlead.ports.dataplane import Dataplane


async def sweep(dataplane: Dataplane, known: Container[str]) -> list[str]:
    """Remove all attachments but the known ids; return those removed, sorted."""
    orphans = sorted(one.attachment_id for one in await dataplane.plugged() if one.attachment_id not in known)
    for orphan in orphans:
        await dataplane.remove(orphan)
    return orphans
