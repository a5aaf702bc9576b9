"""Which node this is, whatever its name: an id of its own, kept beside its memory and longer than that.

Two hosts may have one name, and a host may get another. A disk may be copied, with all that a node remembers: systemd
gives each machine an id of its own (machine-id(5)), which tells the copy.
"""

import os
import re
import secrets
from hashlib import blake2s
from pathlib import Path

import structlog

from fairlead.adapters.store.folder import open_folder
from fairlead.model.errors import StoreError
from fairlead.model.tags import NODE_ID

log = structlog.get_logger(__name__)

FILE = "node-id"
_MACHINE = Path("/etc/machine-id")
_WORDS = re.compile(rf"([0-9a-f]{{{NODE_ID}}}) ([0-9a-f]*)\n")


def node_identity(folder: Path, *, machine: Path = _MACHINE) -> str:
    """Return the id of the node whose state is in a folder; made where there is none.

    What another machine's node has left there, of which this one is a copy, is put aside. machine: systemd's file,
    which may be missing. Raises StoreError.
    """
    try:
        open_folder(folder)
        here = _digest(machine)
        if known := _read(folder):
            node_id, there = known
            if here == there or not here or not there:
                return node_id
            _put_aside(folder, node_id)
        return _make(folder, here)
    except OSError as error:
        raise StoreError(
            f"can't keep this node's id in {folder} ({error.strerror or error})",
            remedy="make it a folder that root may write in, or set agent.state_dir",
        ) from error


def known_identity(folder: Path) -> str:
    """Return the id that is kept in a folder, empty where there is none. Raises StoreError."""
    try:
        known = _read(folder)
    except OSError as error:
        raise StoreError(f"can't read {folder / FILE} ({error.strerror or error})", remedy="run as root") from error
    return known[0] if known else ""


def _digest(machine: Path) -> str:
    """Return what tells machines apart; the machine-id itself is to be kept secret. Empty: not known."""
    try:
        text = machine.read_text().strip()
    except FileNotFoundError:
        return ""
    return blake2s(text.encode(), key=b"fairlead", digest_size=8).hexdigest() if text else ""


def _read(folder: Path) -> tuple[str, str] | None:
    try:
        text = (folder / FILE).read_text(errors="replace")
    except FileNotFoundError:
        return None
    found = _WORDS.fullmatch(text)
    if found is None:
        log.warning("this node's id is damaged: it gets another", file=str(folder / FILE))
        return None
    return found[1], found[2]


def _make(folder: Path, machine: str) -> str:
    node_id, new = secrets.token_hex(NODE_ID // 2), folder / f"{FILE}.new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
        file.write(f"{node_id} {machine}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / FILE)
    return node_id


def _put_aside(folder: Path, node_id: str) -> None:
    aside = folder / f"copied-from-{node_id}"
    aside.mkdir(mode=0o700, exist_ok=True)
    for each in list(folder.iterdir()):
        if each.is_file():
            each.replace(aside / each.name)
    log.warning("this disk is a copy of another node's: began anew", node=node_id, aside=str(aside))
