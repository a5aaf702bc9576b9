"""Orders to a running qemu, by its monitor (QMP)."""

import json
import socket
import time
from types import TracebackType
from typing import Any, Self

from fairlead.model.errors import LabError

# Seconds for an answer; the longest is a machine's memory written down.
_PATIENCE = 120.0


class Monitor:
    """A connection to one qemu's monitor."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_PATIENCE)
        self._socket.connect(path)
        self._file = self._socket.makefile("rwb")
        self._line()  # its greeting
        self("qmp_capabilities")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._socket.close()

    def __call__(self, order: str, **arguments: Any) -> Any:
        """Give an order and return what comes of it; raises LabError."""
        words = {"execute": order, "arguments": arguments}
        self._file.write(json.dumps(words).encode() + b"\n")
        self._file.flush()
        while "return" not in (answer := self._line()):
            if "error" in answer:
                raise LabError(f"qemu refuses {order}: {answer['error']['desc']}", remedy="see its log")
        return answer["return"]

    def await_migration(self) -> None:
        """Wait until a machine's state has been written or read; raises LabError where that failed."""
        limit = time.monotonic() + _PATIENCE
        while (found := self("query-migrate")).get("status") != "completed":
            if found.get("status") == "failed" or time.monotonic() > limit:
                why = found.get("error-desc", found.get("status"))
                raise LabError(f"a virtual machine's state could not be moved: {why}", remedy="see qemu's log")
            time.sleep(0.01)

    def _line(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise LabError("qemu has ended", remedy="see its log")
        found: dict[str, Any] = json.loads(line)
        return found
