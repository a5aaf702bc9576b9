"""Guard by nftables: one table of Fairlead's own, replaced whole, and two rules in iptables' FORWARD.

A table of nftables can forbid what others let through but not let through what they forbid, and Docker sets the policy
of FORWARD to DROP. So what goes to and from Fairlead's devices is accepted there, and decided upon here.

Sources: nft(8); iptables(8); Docker's "Packet filtering and firewalls".
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from fairlead.model.errors import DataplaneError
from fairlead.model.network import IPNetwork
from fairlead.ports.guard import GuardedNetwork

TABLE: Final = "inet fairlead"
_DEVICES: Final = "flh*"
_FAMILIES: Final = {4: "ip", 6: "ip6"}
_FORWARD: Final = tuple(("FORWARD", direction, "flh+", "-j", "ACCEPT") for direction in ("-i", "-o"))


class NftGuard:
    """The Guard of a host with `nft` and `iptables`."""

    def __init__(self) -> None:
        self._shown = ""
        self._networks: tuple[GuardedNetwork, ...] | None = None
        self._lock = asyncio.Lock()

    async def put(self, networks: Sequence[GuardedNetwork]) -> None:
        """Bring the host's rules to the networks. Raises DataplaneError."""
        async with self._lock:
            if not networks:
                await self._clear()
            elif tuple(networks) != self._networks or await self._show() != self._shown:
                await _run("nft", "-f", "-", text="\n".join(ruleset(networks)))
                self._shown, self._networks = await self._show(), tuple(networks)
            if networks:
                await _accept()

    async def _clear(self) -> None:
        if self._networks == ():
            return
        await _run("nft", "-f", "-", text=f"table {TABLE} {{}}\ndelete table {TABLE}\n")
        for command in ("iptables", "ip6tables"):
            for rule in _FORWARD:
                while await _succeeds(command, "-w", "-C", *rule):
                    await _run(command, "-w", "-D", *rule)
        self._networks = ()

    @staticmethod
    async def _show() -> str:
        _, text = await _call("nft", "-s", "list", "table", *TABLE.split())
        return text


def ruleset(networks: Sequence[GuardedNetwork]) -> Iterator[str]:
    """Write the table as nft reads it: the old one goes and the new one comes in one transaction."""
    blocks = [block for network in networks for block in network.blocks]
    ranges = [range_ for network in networks for range_ in network.ranges]
    yield f"table {TABLE} {{}}"
    yield f"delete table {TABLE}"
    yield f"table {TABLE} {{"
    yield "chain prerouting { type filter hook prerouting priority raw; policy accept;"
    yield f'iifname "{_DEVICES}" fib saddr . iif oif missing counter drop'
    for family, own in _by_family(blocks):
        yield f'iifname != "lo" iifname != "{_DEVICES}" {family} saddr {{ {own} }} counter drop'
    yield "}"
    yield "chain forward { type filter hook forward priority filter; policy accept;"
    for family, own in _by_family(blocks):
        # Nobody has the address: by the default route it would come back from the router, again and again.
        yield f'oifname != "{_DEVICES}" {family} daddr {{ {own} }} counter drop'
    yield "ct state established,related accept"
    for network in networks:
        for range_ in network.ranges:
            family = _FAMILIES[range_.version]
            yield f"{family} saddr {range_} {family} daddr {range_} accept"
    yield f'oifname "{_DEVICES}" counter drop'
    for family, all_ranges in _by_family(ranges):
        yield f'iifname "{_DEVICES}" {family} daddr {{ {all_ranges} }} counter drop'
    for range_ in (range_ for network in networks if network.internal for range_ in network.ranges):
        yield f'iifname "{_DEVICES}" {_FAMILIES[range_.version]} saddr {range_} counter drop'
    yield "}"
    yield "chain postrouting { type nat hook postrouting priority srcnat; policy accept;"
    for network in networks:
        for range_ in network.ranges:
            family = _FAMILIES[range_.version]
            yield f'{family} saddr {range_} {family} daddr != {range_} oifname != "{_DEVICES}" masquerade'
    yield "}"
    yield "}"


def _by_family(networks: Sequence[IPNetwork]) -> Iterator[tuple[str, str]]:
    for version, family in _FAMILIES.items():
        if found := [str(one) for one in networks if one.version == version]:
            yield family, ", ".join(found)


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
