"""Structured logs, and the id that ties one RPC to what Neutron says of it."""

import logging
import sys
from uuid import uuid4

import structlog

from fairlead.agent.settings import LogSettings
from fairlead.model.text import printable

_REQUEST_ID = "request_id"
_LONGEST = 2000
"""Characters of a word of an event."""


def configure_logs(settings: LogSettings) -> None:
    """Send the log to standard error, one JSON object (or, as text, one line) for each event."""
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _one_line,
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _one_line(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Let nothing that came from outside end a line, or write to a terminal."""
    return {key: printable(value, limit=_LONGEST) if isinstance(value, str) else value for key, value in event.items()}


def new_request_id() -> str:
    """Make a request id in OpenStack's form, and bind it to this task and what it starts."""
    request_id = f"req-{uuid4()}"
    structlog.contextvars.bind_contextvars(**{_REQUEST_ID: request_id})
    return request_id


def current_request_id() -> str:
    """Return the id bound to this task, or a new one."""
    bound = structlog.contextvars.get_contextvars().get(_REQUEST_ID)
    return bound if isinstance(bound, str) else new_request_id()
