"""The reconciliation, asked for from outside: POST /reconcile at any of the agent's sockets."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from aiohttp import web

from fairlead.agent.logs import new_request_id
from fairlead.core.reconcile.reconciliation import Outcome, Reconciliation, Report
from fairlead.frontends.errors import status
from fairlead.model.errors import FairleadError

log = structlog.get_logger(__name__)

PATH = "/reconcile"


class Asked(msgspec.Struct):
    """The body. dry_run: only the plan is wanted."""

    dry_run: bool = False


def answer_in(app: web.Application, reconciliation: Reconciliation, prepare: Callable[[], Awaitable[None]]) -> None:
    """Let an application answer. prepare returns when the node's memory is whole."""

    async def reconcile(request: web.Request) -> web.Response:
        new_request_id()
        try:
            asked = msgspec.json.decode(await request.read() or b"{}", type=Asked)
            await prepare()
            report = await reconciliation.reconcile(dry_run=asked.dry_run)
        except msgspec.MsgspecError as error:
            return _answer({"error": f"malformed request: {error}"}, 400)
        except FairleadError as error:
            return _answer({"error": str(error)}, status(error))
        except Exception as error:  # the last line: the command must get an answer, and the log the traceback
            log.exception("unexpected error")
            return _answer({"error": f"Fairlead failed unexpectedly ({error}): see the agent's log"}, 500)
        return _answer(_shown(report), 200)

    app.router.add_post(PATH, reconcile)


def _answer(body: dict[str, Any], code: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=code, content_type="application/json")


def _shown(report: Report) -> dict[str, Any]:
    return {
        "findings": [_finding(one) for one in report.outcomes],
        "unseen": [{"where": where, "error": error} for where, error in report.unseen],
    }


def _finding(outcome: Outcome) -> dict[str, str]:
    finding = outcome.finding
    return {
        "kind": type(finding).__name__,
        "what": finding.what,
        "where": finding.where,
        "why": finding.why,
        "act": finding.act,
        "state": outcome.state,
        "error": outcome.error,
    }
