"""What ovn-controller does for the adapter: it marks the Interfaces it has put flows in place for."""

import asyncio
import json
from typing import Any

_INSTALLED = ["map", [["ovn-installed", "true"]]]


class Controller:
    """A stand-in for ovn-controller, speaking OVSDB's protocol (RFC 7047) by itself.

    delay: seconds before an Interface is marked. awake: whether it marks any.
    """

    def __init__(self, remote: str) -> None:
        self.delay = 0.0
        self.awake = True
        self._path = remote.removeprefix("unix:")

    async def run(self) -> None:
        """Work until cancelled, connecting again whenever the database goes away."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path, limit=1 << 22)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            try:
                await self._serve(reader, writer)
            finally:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        columns = {"columns": ["external_ids"], "select": {"modify": False, "delete": False}}
        _send(writer, "monitor", ["Open_vSwitch", None, {"Interface": columns}])
        decoder, buffer = json.JSONDecoder(), ""
        async with asyncio.TaskGroup() as marking:
            while chunk := await _read(reader):
                buffer += chunk.decode()
                while buffer:
                    try:
                        message, end = decoder.raw_decode(buffer)
                    except ValueError:
                        break
                    buffer = buffer[end:].lstrip()
                    for row in _new_ports(message):
                        marking.create_task(self._mark(writer, row))
                    if message.get("method") == "echo":
                        writer.write(json.dumps({"id": "echo", "result": message["params"], "error": None}).encode())

    async def _mark(self, writer: asyncio.StreamWriter, row: str) -> None:
        await asyncio.sleep(self.delay)
        if self.awake:
            change = ["external_ids", "insert", _INSTALLED]
            where = ["_uuid", "==", ["uuid", row]]
            operation = {"op": "mutate", "table": "Interface", "where": [where], "mutations": [change]}
            _send(writer, "transact", ["Open_vSwitch", operation])


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Read what there is; nothing where the database has gone, however abruptly."""
    try:
        return await reader.read(1 << 16)
    except ConnectionError:
        return b""


def _new_ports(message: dict[str, Any]) -> list[str]:
    updates = message["params"][1] if message.get("method") == "update" else message.get("result")
    if not isinstance(updates, dict):
        return []
    rows = updates.get("Interface", {})
    return [row for row, update in rows.items() if "iface-id" in dict(update["new"]["external_ids"][1])]


def _send(writer: asyncio.StreamWriter, method: str, params: list[Any]) -> None:
    writer.write(json.dumps({"id": method, "method": method, "params": params}).encode())
