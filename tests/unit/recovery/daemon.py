"""dockerd and its user on a world whose agent fails: calls are sent again, given up, rolled back; the user goes on."""

import asyncio
from contextlib import suppress
from copy import copy
from typing import Any

import msgspec

from tests.unit.docker.dockerd import Dockerd, DriverError, Endpoints, Network, Running
from tests.unit.recovery.line import cut
from tests.unit.recovery.trouble import Killed, Trouble
from tests.unit.recovery.world import Agent, World, start

SENT = 3
"""How often dockerd sends a call whose connection breaks: for half a minute, with longer and longer waits."""


LONGEST_STEP = 240.0
"""Seconds between two looks of the background, at most: a look that finds nothing to do costs a test more than time."""


class Daemon(Dockerd):
    """Docker on one host. networks and running: as its user sees them, by name."""

    def __init__(self, world: World, trouble: Trouble) -> None:
        self.world, self.trouble = world, trouble
        self.dataplane = world.board
        self.networks: dict[str, Network] = {}
        self.running: dict[str, Running] = {}
        self.lost: set[str] = set()
        self.last_error = ""
        self._given_up = False
        self.endpoints = Endpoints()
        self.agent: Agent = start(world, trouble, self.endpoints)

    def on(self, world: World, trouble: Trouble) -> "Daemon":
        """Give a copy on a copy of its world."""
        daemon = Daemon(world, trouble)
        daemon.networks, daemon.running, daemon.lost = copy(self.networks), copy(self.running), copy(self.lost)
        daemon.endpoints.known.update((network, copy(known)) for network, known in self.endpoints.known.items())
        return daemon

    async def rpc(self, name: str, body: dict[str, Any] | bytes | None = None) -> dict[str, Any]:
        assert not isinstance(body, bytes)
        for _ in range(SENT):
            if self._given_up:
                break
            try:
                status, answer = await self.agent.answer(f"/{name}", msgspec.json.encode(body or {}))
            except Killed:
                await self.restart()
                self._hear_nothing()
                continue
            except type(cut()):
                self._hear_nothing()
                continue
            if status == 200:
                return dict(answer)
            assert "unexpectedly" not in answer["Err"], answer["Err"]
            raise DriverError(answer["Err"])
        raise DriverError("no answer")

    def _hear_nothing(self) -> None:
        if self.trouble.failure and self.trouble.failure.gives_up:
            self._given_up = True

    async def restart(self) -> None:
        """Start a new agent in the place of one that died."""
        await self.agent.close()
        self.agent = start(self.world, self.trouble, self.endpoints)

    async def behind(self, seconds: float = 0.0) -> None:
        """Let time pass in steps that become longer, and the agent work."""
        end, step = self.world.clock.now() + seconds, 2.0
        while True:
            try:
                await self.agent.turn()
            except Killed:
                await self.restart()
                continue
            left = end - self.world.clock.now()
            if left <= 0:
                return
            await asyncio.sleep(min(step, left))
            step = min(step * 2, LONGEST_STEP)

    def hear_again(self) -> None:
        """Have the agent again, for the next command."""
        self._given_up = False

    async def up(self, name: str, **wanted: Any) -> None:
        """Run `docker network create`."""
        self.networks[name] = await self.network_create(**wanted)

    async def start_container(self, name: str, network: str, **wanted: Any) -> None:
        """Run `docker run`."""
        running = await self.run(self.networks[network], **wanted)
        self.running[name] = running
        device = running.join["InterfaceName"]["SrcName"]
        assert self._ports(device) <= self.dataplane.away
        assert self._ports(device), f"Join named {device}, which is not there"

    async def cross(self, first: str, second: str, network: str) -> None:
        """Start two containers at once, each of which is told the IPv6 address of the other's port."""
        joined = self.networks[network]
        (four, _, _), (six, _, _) = joined.pools

        async def address(pool: str) -> str:
            answer = await self.rpc("IpamDriver.RequestAddress", {"PoolID": pool, "Address": "", "Options": {}})
            return str(answer["Address"])

        a4, b4 = await address(four), await address(four)
        b6, a6 = await address(six), await address(six)
        failed: list[DriverError] = []
        for name, ip, ip6 in ((first, a4, a6), (second, b4, b6)):
            try:
                self.running[name] = await self.connect(joined, [(four, ip, False), (six, ip6, True)])
            except DriverError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    async def stop_container(self, name: str) -> None:
        """Run `docker rm -f`: whatever is answered, the container is gone."""
        with suppress(DriverError):
            await self.rm(self.running.pop(name), behind=False)

    def lose_container(self, name: str) -> None:
        """Run `docker rm -f` while there is no agent: nobody is ever told."""
        gone = self.running.pop(name)
        self.dataplane.away -= self._ports(gone.join["InterfaceName"]["SrcName"])
        self._forget(gone.network.id, gone.endpoint_id)
        self.lost.add(gone.endpoint_id)

    async def down(self, name: str) -> None:
        """Run `docker network rm`: whatever is answered, the network is gone."""
        network = self.networks.pop(name)
        with suppress(DriverError):
            await self.network_rm(network)
