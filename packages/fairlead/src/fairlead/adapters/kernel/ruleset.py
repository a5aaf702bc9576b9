"""The guard's table, as nft reads it. docs/security.md tells in words what it lets through and what not.

Every chain asks by which device a packet came before it looks at addresses: whoever forges a packet chooses what is
written in it, and not where it comes in.

Sources: nft(8); iptables(8); Docker's "Packet filtering and firewalls"; RFC 3927, 7, on routers and link-local
addresses; RFC 4861 for what a host must hear of its neighbours.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fairlead.model.network import IPAddress, IPNetwork
from fairlead.ports.guard import GuardedNode

TABLE: Final = "inet fairlead"

_OWN: Final = '"flh*"'  # the host's ends of containers' pairs
_UNKNOWN: Final = ":"  # no device can have that name
_FAMILIES: Final = {4: "ip", 6: "ip6"}
_PING: Final = {4: "icmp type echo-request", 6: "icmpv6 type echo-request"}
_HINTS: Final = "100/second burst 100 packets"
_SOLICITATIONS: Final = "20/second burst 50 packets"  # of one container: each may cost the node a neighbour's entry


@dataclass(frozen=True, slots=True)
class Openings:
    """What an operator chose. hint_port: UDP, on which nodes hear each other's hints.

    host: containers reach the node's own services; metadata: and, as the node, link-local addresses.
    """

    hint_port: int
    host: bool = False
    metadata: bool = False


def ruleset(node: GuardedNode, openings: Openings) -> Iterator[str]:
    """Write the table: the old one goes and the new one comes in one transaction."""
    yield f"table {TABLE} {{}}"
    yield f"delete table {TABLE}"
    yield f"table {TABLE} {{"
    yield "set solicitors { type ifname; flags dynamic; timeout 1m; }"
    yield "chain prerouting { type filter hook prerouting priority raw; policy accept;"
    yield from _whose_it_is(node)
    yield "}"
    yield "chain within {"
    for range_ in (range_ for network in node.networks for range_ in network.ranges):
        yield f"{_is('saddr', range_)} {_is('daddr', range_)} accept"
    yield "}"
    yield "chain forward { type filter hook forward priority filter; policy accept;"
    yield from _through(node, openings)
    yield "}"
    yield "chain of_containers {"
    yield from _of_containers(node, openings)
    yield "}"
    yield "chain input { type filter hook input priority filter; policy accept;"
    yield f'iifname != "{_nic(node)}" udp dport {openings.hint_port} counter drop'
    yield f"udp dport {openings.hint_port} limit rate over {_HINTS} counter drop"
    yield f"iifname {_OWN} jump of_containers"
    yield "}"
    yield "chain postrouting { type nat hook postrouting priority srcnat; policy accept;"
    for range_ in (range_ for network in node.networks for range_ in network.ranges):
        yield f"{_is('saddr', range_)} {_FAMILIES[range_.version]} daddr != {range_} oifname != {_OWN} masquerade"
    yield "}"
    yield "}"


def _whose_it_is(node: GuardedNode) -> Iterator[str]:
    """Drop what has a source that is not the sender's."""
    yield f"iifname {_OWN} fib saddr . iif oif missing counter drop"
    others = f'iifname != "lo" iifname != {_OWN}'
    for source in _sets("saddr", _blocks(node)):
        yield f"{others} {source} counter drop"
    for source in _sets("saddr", _gateways(node)):
        yield f'iifname != "lo" {source} counter drop'
    for source in _sets("saddr", _ranges(node)):
        yield f'{others} iifname != "{_nic(node)}" {source} counter drop'


def _through(node: GuardedNode, openings: Openings) -> Iterator[str]:
    """Decide on what the node would pass on."""
    for target in _sets("daddr", node.peers):
        # Outside it would be the node's own, which the peer believes.
        yield f"{target} udp dport {openings.hint_port} counter drop"
    for target in _sets("daddr", _blocks(node)):
        # Nobody has the address: by the default route it would come back from the router, again and again.
        yield f"oifname != {_OWN} {target} counter drop"
    if not openings.metadata:
        yield f"iifname {_OWN} ip daddr 169.254.0.0/16 counter drop"
        yield f"iifname {_OWN} ip6 daddr fe80::/10 counter drop"
    yield "ct state established,related accept"
    yield f"iifname {_OWN} oifname {_OWN} jump within"
    yield f'iifname {_OWN} oifname "{_nic(node)}" jump within'
    yield f'iifname "{_nic(node)}" oifname {_OWN} jump within'
    yield f"oifname {_OWN} counter drop"
    for target in _sets("daddr", _ranges(node)):
        yield f"iifname {_OWN} {target} counter drop"
    for range_ in (range_ for network in node.networks if network.internal for range_ in network.ranges):
        yield f"iifname {_OWN} {_is('saddr', range_)} counter drop"


def _of_containers(node: GuardedNode, openings: Openings) -> Iterator[str]:
    """Decide on what containers send to the node itself.

    They find it by ARP, which does not come here, and neighbour discovery, and may see by a ping whether it is there.
    Neither a way nor a router is learnt from one, not even where the operator has the kernel accept that.
    """
    yield "icmp type redirect counter drop"
    yield "icmpv6 type { nd-redirect, nd-router-advert } counter drop"
    yield f"icmpv6 type nd-neighbor-solicit add @solicitors {{ iifname limit rate over {_SOLICITATIONS} }} counter drop"
    if openings.host:
        yield "accept"
        return
    yield "ct state established,related accept"
    yield "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"
    for network in node.networks:
        for range_ in network.ranges:
            for gateway in (one for one in network.gateways if one.version == range_.version):
                yield f"{_is('saddr', range_)} {_is('daddr', gateway)} {_PING[range_.version]} accept"
    yield "counter drop"


def _nic(node: GuardedNode) -> str:
    return node.nic or _UNKNOWN


def _ranges(node: GuardedNode) -> list[IPNetwork]:
    return [range_ for network in node.networks for range_ in network.ranges]


def _blocks(node: GuardedNode) -> list[IPNetwork]:
    return [block for network in node.networks for block in network.blocks]


def _gateways(node: GuardedNode) -> list[IPAddress]:
    return [gateway for network in node.networks for gateway in network.gateways]


def _is(end: str, one: IPAddress | IPNetwork) -> str:
    return f"{_FAMILIES[one.version]} {end} {one}"


def _sets(end: str, many: Iterable[IPAddress] | Sequence[IPNetwork]) -> Iterator[str]:
    """Match any of many addresses, a match for each family that there is."""
    for version, family in _FAMILIES.items():
        if found := sorted({str(one) for one in many if one.version == version}):
            yield f"{family} {end} {{ {', '.join(found)} }}"
