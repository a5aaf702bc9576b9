"""Guard by nftables: one table of Fairlead's own, replaced whole, and two rules in iptables' FORWARD.

A table of nftables can forbid what others let through but not let through what they forbid, and Docker sets the policy
of FORWARD to DROP. So what goes to and from Fairlead's devices is accepted there, and decided upon by `ruleset`.
"""

import asyncio
from typing import Final

from fairlead.adapters.kernel.ruleset import TABLE, Openings, ruleset
from fairlead.model.errors import DataplaneError
from fairlead.ports.guard import GuardedNode

_FORWARD: Final = tuple(("FORWARD", direction, "flh+", "-j", "ACCEPT") for direction in ("-i", "-o"))


class NftGuard:
    """The Guard of a host with `nft` and `iptables`. openings: what an operator lets containers do beyond it."""

    def __init__(self, openings: Openings) -> None:
        self._openings = openings
        self._shown = ""
        self._put: GuardedNode | None = None
        self._lock = asyncio.Lock()

    async def put(self, node: GuardedNode) -> None:
        """Bring the host's rules to the node's networks. Raises DataplaneError."""
        async with self._lock:
            if not node.networks:
                await self._clear()
            elif node != self._put or await self._show() != self._shown:
                await _run("nft", "-f", "-", text="\n".join(ruleset(node, self._openings)))
                self._shown, self._put = await self._show(), node
            if node.networks:
                await _accept()

    async def _clear(self) -> None:
        if self._put == GuardedNode():
            return
        await _run("nft", "-f", "-", text=f"table {TABLE} {{}}\ndelete table {TABLE}\n")
        for command in ("iptables", "ip6tables"):
            for rule in _FORWARD:
                while await _succeeds(command, "-w", "-C", *rule):
                    await _run(command, "-w", "-D", *rule)
        self._put = GuardedNode()

    @staticmethod
    async def _show() -> str:
        """Print the table without what packets change in it."""
        _, text = await _call("nft", "-s", "-t", "list", "table", *TABLE.split())
        return text


async def _accept() -> None:
    for command in ("iptables", "ip6tables"):
        for rule in _FORWARD:
            if not await _succeeds(command, "-w", "-C", *rule):
                await _run(command, "-w", "-A", *rule)


async def _succeeds(*command: str) -> bool:
    code, _ = await _call(*command)
    return code == 0


async def _run(*command: str, text: str = "") -> None:
    code, said = await _call(*command, text=text)
    if code:
        raise DataplaneError(f"`{' '.join(command)}` failed: {said.strip()}", remedy="see `nft list ruleset`")


async def _call(*command: str, text: str = "") -> tuple[int, str]:
    """Run a program; return its exit status, and what it printed on either stream. Raises DataplaneError."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError as error:
        raise DataplaneError(
            f"can't run {command[0]}: {error.strerror}", remedy="install nftables and iptables"
        ) from error
    printed, _ = await process.communicate(text.encode())
    return process.returncode or 0, printed.decode(errors="replace")
