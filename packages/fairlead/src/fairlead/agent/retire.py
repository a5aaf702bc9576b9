"""`fairlead agent retire`: what is left of a host that is dead for good, removed from any machine of the project."""

from collections.abc import Callable, Mapping

from fairlead.adapters.neutron.credentials import find_cloud
from fairlead.adapters.neutron.service import NeutronService
from fairlead.agent.clock import SystemClock
from fairlead.agent.settings import Settings
from fairlead.core.reconcile.retirement import ANSWER_WITHIN, Remains, Retirement
from fairlead.model.errors import Conflict, StillInUse


async def retire(
    settings: Settings,
    environ: Mapping[str, str],
    name: str,
    *,
    dry_run: bool,
    now: bool,
    waiting: Callable[[float], None],
) -> Remains | None:
    """Remove what is left of a host, or of the node of an id, and return what that was; None where there is nothing.

    dry_run: only find it. now: do not ask first whether it lives. waiting is told the seconds for which an answer is
    still waited for. Raises StillInUse where the node lives, Conflict where several nodes have the name or nothing of
    this one could answer, SettingsError, and what NetworkService raises.
    """
    config = find_cloud(settings.cloud.name, environ=environ)
    async with NeutronService(
        config, connect_timeout=settings.cloud.connect_timeout, total_timeout=settings.cloud.timeout
    ) as neutron:
        retirement = Retirement(neutron, SystemClock())
        found = await retirement.find(name)
        if not found:
            return None
        if len(found) > 1:
            ids = ", ".join(one.node or "one without an id" for one in found)
            raise Conflict(
                f"{len(found)} nodes have the name {name}: {ids}",
                remedy="say which one by its id; `fairlead agent --check` shows a node's own",
            )
        (remains,) = found
        if dry_run:
            return remains
        if not now:
            await _refuse_living(retirement, remains, waiting)
        await retirement.remove(remains)
        return remains


async def _refuse_living(retirement: Retirement, remains: Remains, waiting: Callable[[float], None]) -> None:
    match await retirement.lives(remains, waiting):
        case True:
            raise StillInUse(
                f"host {remains.host} lives (node {remains.node})",
                remedy="stop its agent for good first: `docker network rm` there, or `fairlead flannel leave`",
            )
        case None:
            raise Conflict(
                f"host {remains.host} has no port that could answer within {ANSWER_WITHIN:.0f} s whether it lives",
                remedy="if you know that it is off: `fairlead agent retire --now`",
            )
