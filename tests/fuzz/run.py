"""Runs the fuzz: `python -m tests.fuzz.run --cases 1000000`; prints what was sent and answered, and the first fault."""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlead.adapters.neutron import NeutronService
from fairlead.core.blocks.leases import Leases
from fairlead.frontends.docker import records as docker_records
from fairlead.frontends.docker.app import make_app as make_docker_app
from fairlead.frontends.docker.app import rpcs_over
from fairlead.frontends.flannel import wire as flannel_wire
from fairlead.frontends.flannel.app import Flannel
from fairlead.frontends.flannel.app import make_app as make_flannel_app
from fairlead.model.records import KINDS, JoinedNetwork
from fairlead_lab.fakes import FakeCloud
from tests.fuzz.bodies import Bodies
from tests.fuzz.target import Broken, Target
from tests.unit.blocks.conftest import Site
from tests.unit.blocks.nodes import Instance, nova_port
from tests.unit.docker.dockerd import DriverError, Host

Node = Host | Instance
MOST_NETWORKS = 6
"""Networks beyond which all are removed before more are made."""

FURNISH_EVERY = 100
"""Bodies after which there is a network more, with containers."""

BEHIND_EVERY = 50
"""Bodies after which the background has its turn."""

FLANNEL: dict[str, type] = {
    "/flannel/pre-startup": flannel_wire.Empty,
    "/flannel/post-startup": flannel_wire.Held,
    "/flannel/subnet-add": flannel_wire.Peer,
    "/flannel/subnet-remove": flannel_wire.Peer,
    "/flannel/leave": flannel_wire.Empty,
    "/flannel/status": flannel_wire.Empty,
}


@dataclass
class Door:
    """A door of a node: its RPCs by path, and what is known of it."""

    target: Target
    schemas: dict[str, type]
    bodies: Bodies

    async def one(self) -> None:
        """Send one body. Raises Broken."""
        path = self.bodies.chance.choice(list(self.schemas))
        body = self.bodies.make(self.schemas[path])
        if self.bodies.chance.random() < 0.01:
            path += self.bodies.chance.choice(("x", "\n", "/..", "\x1b[31m", "?a=b"))
        self._learn(body, await self.target.send(path, body))

    def _learn(self, body: bytes, answer: dict[str, Any]) -> None:
        """Remember what answers gave, and what was accepted."""
        sent = json.loads(body.strip().decode(errors="replace") or "{}") if answer else {}
        for name in ("PoolID", "Pool", "Address", "NetworkID", "EndpointID"):
            value = answer.get(name) or (sent.get(name) if isinstance(sent, dict) else None)
            if isinstance(value, str) and value:
                self.bodies.learn(name, value)


@asynccontextmanager
async def docker_on_ports(
    cloud: FakeCloud, folder: Path, chance: random.Random
) -> AsyncIterator[tuple[Node, list[Door]]]:
    """Docker's door in mode `ovs`."""
    host = Host("h1", cloud.credentials("member"), folder)
    await host.start()
    try:
        yield host, [_docker(cloud, host, chance)]
    finally:
        await host.stop()


@asynccontextmanager
async def both_on_blocks(
    cloud: FakeCloud, folder: Path, chance: random.Random
) -> AsyncIterator[tuple[Node, list[Door]]]:
    """Docker's and flannel's doors in mode `routed`."""
    async with NeutronService(cloud.credentials("member")) as owner:
        site = Site(cloud, owner)
        await site.build()
        network_id, subnet_ids = site.networks[0]
        (port,) = await owner.create_ports([nova_port(network_id, subnet_ids, ["10.30.0.11", "fd00:30::11"])])
        node = Instance(1, port, {4: 24, 6: 64}, cloud.credentials("member"), folder)
        await node.start()
        try:
            leases = Flannel(Leases(node.reconciler._node, node.reconciler.wake), node.reconciler)
            app = make_flannel_app(leases, new_request_id=lambda: "req-1")
            flannel = Door(Target(app, FLANNEL, _snapshot(cloud, node)), FLANNEL, Bodies(chance))
            yield node, [_docker(cloud, node, chance), flannel]
        finally:
            await node.stop()


def _docker(cloud: FakeCloud, node: Node, chance: random.Random) -> Door:
    rpcs = rpcs_over(node.store, node.core.networks, node.core.attachments, node.clock)
    app = make_docker_app(
        rpcs,
        prepare=node.core.rebuild.ensure,
        new_request_id=lambda: "req-1",
        observe=lambda _path, _status, _seconds: None,
    )
    return Door(
        Target(app, rpcs, _snapshot(cloud, node)), {path: rpc.body for path, rpc in rpcs.items()}, Bodies(chance)
    )


def _snapshot(cloud: FakeCloud, node: Node) -> Callable[[], Any]:
    kinds = (*KINDS, *docker_records.KINDS)
    made = ("networks", "subnets", "ports", "security_groups")

    def take() -> Any:
        records = [frozenset(map(repr, node.store.all(kind))) for kind in kinds]
        return records, [set(cloud.store.resources[one]) for one in made], set(node.dataplane.attachments)

    return take


Start = Callable[[FakeCloud, Path, random.Random], AbstractAsyncContextManager[tuple[Node, list[Door]]]]
MODES: dict[str, Start] = {"ovs": docker_on_ports, "routed": both_on_blocks}


async def fuzz(mode: str, cases: int, seed: int, *, tell: Callable[[int], None] = lambda _done: None) -> Counter[str]:
    """Send so many bodies to the doors of a node; return how many were answered how.

    Raises Broken, and whatever a step of the background raises.
    """
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        async with FakeCloud() as cloud, MODES[mode](cloud, Path(folder), chance) as (node, doors):
            await node.core.rebuild.ensure()
            for number in range(1, cases + 1):
                if number % FURNISH_EVERY == 1:
                    await _furnish(node, doors[0])
                await chance.choice(doors).one()
                if number % BEHIND_EVERY == 0:
                    await node.behind(20.0)
                    if len(node.store.all(JoinedNetwork)) > MOST_NETWORKS:
                        await _remove_all(node, doors)
                    tell(number)
                    cloud.calls.clear()
            await _remove_all(node, doors)
            left = [*node.store.all(JoinedNetwork), *node.dataplane.attachments]
            if left:
                raise Broken(f"after all that is left: {left}")
    counted: Counter[str] = Counter()
    for door in doors:
        counted += door.target.answered
    return counted


async def _furnish(node: Node, door: Door) -> None:
    """Make something that bodies can be about: a network, and containers that bodies have not made yet."""
    subnet, learn = f"10.{door.bodies.chance.randrange(40, 200)}.0.0/24", door.bodies.learn
    with suppress(DriverError):
        network = await node.network_create(subnet, subnet6=door.bodies.chance.choice(("", "fd00:99::/64")))
        learn("NetworkID", network.id)
        for pool_id, cidr, _ in network.pools:
            learn("PoolID", pool_id)
            learn("Pool", cidr)
        for _ in range(3):
            container = await node.run(network)
            learn("EndpointID", container.endpoint_id)
            learn("Address", container.address)
            for pool_id, _, v6 in network.pools:
                given = await node.rpc("IpamDriver.RequestAddress", {"PoolID": pool_id, "Address": "", "Options": {}})
                learn("AddressIPv6" if v6 else "Address", given["Address"])


async def _remove_all(node: Node, doors: Sequence[Door]) -> None:
    """Remove every network, as an operator would: of what was attached nobody has told."""
    node.dataplane.away.clear()
    for joined in node.store.all(JoinedNetwork):
        await node.rpc("NetworkDriver.DeleteNetwork", {"NetworkID": joined.id})
    for _ in range(5):
        await node.behind(60.0)
    for door in doors:
        door.bodies.known.clear()


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000, help="bodies to send, in all [default: %(default)s]")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of an earlier run, to repeat it")
    options = parser.parse_args()
    for mode in MODES:
        began, cases = time.monotonic(), options.cases // len(MODES)

        def tell(done: int, mode: str = mode, began: float = began, cases: int = cases) -> None:
            if sys.stderr.isatty() or done % 10_000 == 0:
                rate = done / (time.monotonic() - began)
                print(f"\r{mode}: {done} of {cases} bodies, {rate:.0f} a second", end="", file=sys.stderr, flush=True)

        print(f"{mode}: seed {options.seed}")
        try:
            counted = asyncio.run(fuzz(mode, cases, options.seed, tell=tell))
        except Broken as broken:
            sys.exit(f"\n{broken}\n  again: python -m tests.fuzz.run --cases {options.cases} --seed {options.seed}")
        print(file=sys.stderr)
        for what, times in sorted(counted.items()):
            print(f"  {what:<40} {times:>8}")


if __name__ == "__main__":
    main()
