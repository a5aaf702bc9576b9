"""What a Docker user does in one mode, command by command, and what may be left at each point of it: nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fairlead.frontends.docker.pools import FORGET
from fairlead.frontends.docker.records import AddressPool
from fairlead.model.records import KINDS, Allocation, Batch, JoinedNetwork, Origin, ReservedAddress, Step
from tests.unit.docker.dockerd import DriverError
from tests.unit.docker.instance import CIDR, CIDR6
from tests.unit.recovery.daemon import Daemon
from tests.unit.recovery.trouble import Failure, Point, Trouble
from tests.unit.recovery.world import make_world

AFTER = 30.0
"""Seconds of the background that count to a command: pools are filled, ports get their names."""

MENDED = 1200.0
"""Seconds after which nothing may be half done any more: the longest is the backoff's after failures, then a grace."""

MAC = "02:00:00:00:00:99"


@dataclass(frozen=True, slots=True)
class Command:
    """One command. again: what the user tries once more where it failed; None: its failure shows nowhere."""

    name: str
    act: Callable[[Daemon], Awaitable[None]]
    again: Callable[[Daemon], Awaitable[None]] | None = None


def _network(daemon: Daemon) -> dict[str, Any]:
    if daemon.world.mode == "ipvlan" and daemon.world.own:
        options = {"neutron.net.uuid": daemon.world.own.network_id}
        return {"subnet": CIDR, "subnet6": CIDR6, "options": options, "ipam_options": options}
    return {"subnet": "10.20.0.0/24", "subnet6": "fd00:20::/64", "aux": ("10.20.0.7",)}


def story(mode: str) -> list[Command]:
    """Give the commands of one user's day."""
    base = ("10.30.0", "fd00:30:") if mode == "ipvlan" else ("10.20.0", "fd00:20:")
    ip, ip6 = f"{base[0]}.50", f"{base[1]}:50"

    def up(daemon: Daemon) -> Awaitable[None]:
        return daemon.up("web", **_network(daemon))

    def run(name: str, **wanted: str) -> Command:
        async def act(daemon: Daemon) -> None:
            await daemon.start_container(name, "web", **wanted)

        return Command(f"run {name}", act, act)

    def rm(name: str) -> Command:
        return Command(f"rm {name}", lambda daemon: daemon.stop_container(name))

    async def cross(daemon: Daemon) -> None:
        await daemon.cross("left", "right", "web")

    async def cross_again(daemon: Daemon) -> None:
        for name in {"left", "right"} - daemon.running.keys():
            await daemon.start_container(name, "web")

    async def lose(daemon: Daemon) -> None:
        daemon.lose_container("any")
        await daemon.restart()

    own_mac = [] if mode == "ipvlan" else [run("mac", mac=MAC), rm("mac")]
    return [
        Command("create", up, up),
        run("any"),
        run("ip", ip=ip),
        rm("ip"),
        run("both", ip=ip, ip6=ip6),
        run("ip6", ip6=f"{ip6}1"),
        *own_mac,
        Command("crossed runs", cross, cross_again),
        *(rm(name) for name in ("left", "right", "both", "ip6")),
        Command("lose any", lose),
        Command("remove", lambda daemon: daemon.down("web")),
    ]


@dataclass(frozen=True, slots=True)
class Chapter:
    """A command, the daemon before it, and the points that it passes where nothing fails."""

    command: Command
    before: Daemon
    points: tuple[Point, ...]


async def read(mode: str) -> list[Chapter]:
    """Live the story once without any trouble, and note the points of each command."""
    daemon, chapters = Daemon(await make_world(mode), Trouble()), []
    for command in story(mode):
        before = daemon.on(daemon.world.kept(), Trouble())
        daemon = await _begin(before)
        await command.act(daemon)
        await daemon.behind(AFTER)
        chapters.append(Chapter(command, before, tuple(daemon.trouble.passed)))
        await daemon.agent.close()
    await daemon.behind(MENDED)
    found = [*strays(daemon), *rest(daemon)]
    assert not found, found
    return chapters


async def _begin(before: Daemon, at: int = -1, failure: Failure | None = None) -> Daemon:
    """Go on from there on a copy: with a new agent, which has the time to do what it does first."""
    daemon = before.on(before.world.alive(), trouble := Trouble())
    await daemon.behind(AFTER)
    trouble.begin(at, failure)
    return daemon


async def fail(chapter: Chapter, at: int, failure: Failure) -> list[str]:
    """Live on from before a command with a failure at one of its points; say what is lost, left over or doubled."""
    daemon = await _begin(chapter.before, at, failure)
    trouble = daemon.trouble
    try:
        failed = not await _succeeds(chapter.command.act, daemon)
        daemon.hear_again()
        if failed and chapter.command.again:
            failed = not await _succeeds(chapter.command.again, daemon)
        await daemon.behind(AFTER)
        assert trouble.struck, f"point {at} of {len(trouble.passed)} never came"
        trouble.over = True
        await daemon.behind(MENDED)
        found = list(strays(daemon))
        if UNKNOWN in found:
            return [UNKNOWN]
        if failed and chapter.command.again and STALE not in found:
            if not await _succeeds(chapter.command.again, daemon):
                found.append(f"it fails for ever: {daemon.last_error}")
            await daemon.behind(AFTER)
        for name in list(daemon.running):
            await daemon.stop_container(name)
        for name in list(daemon.networks):
            await daemon.down(name)
        await daemon.behind(MENDED)
        await _go_on(daemon)
        found += rest(daemon)
    finally:
        await daemon.agent.close()
    return found


async def _succeeds(act: Callable[[Daemon], Awaitable[None]], daemon: Daemon) -> bool:
    try:
        await act(daemon)
    except DriverError as error:
        daemon.last_error = str(error)
        return False
    return True


async def _go_on(daemon: Daemon) -> None:
    """Make another network an hour later, and remove it: what nobody asks for is tidied by who comes next."""
    await asyncio.sleep(FORGET)
    await daemon.up("next", **(_network(daemon) if daemon.world.mode == "ipvlan" else {"subnet": "10.99.0.0/24"}))
    await daemon.down("next")
    await daemon.behind(AFTER)


def strays(daemon: Daemon) -> Iterator[str]:
    """Say what does not agree while networks and containers are there."""
    world = daemon.world
    resources, records = world.cloud.store.resources, world.store.all
    endpoints = {one.endpoint_id for one in daemon.running.values()}
    networks = {one.id for one in daemon.networks.values()}
    for joined in records(JoinedNetwork):
        if joined.id not in networks or joined.step is not Step.HELD:
            yield UNKNOWN if joined.step is Step.HELD else f"a network that is {joined.step}"
        elif {pool.cidr for pool in records(AddressPool) if pool.joined_id == joined.id} != {
            subnet.cidr for subnet in joined.subnets
        }:
            yield "a network whose address pools do not tell of it"
    for network_id in networks - {one.id for one in records(JoinedNetwork)}:
        yield f"network {network_id[:6]} is forgotten"
    if records(Batch):
        yield "a batch that was never finished"
    owned = [one for one in resources["networks"].values() if "fairlead" in one["tags"]]
    wanted = 0 if world.mode == "ipvlan" else len(networks)
    if len(owned) != wanted:
        yield f"{len(owned)} networks in Neutron, {wanted} wanted"
    untagged = [
        one for one in resources["networks"].values() if one["name"].startswith("fairlead") and one not in owned
    ]
    if untagged:
        yield "a network without its tag"
    if world.mode == "routed":
        yield from _stray_addresses(daemon, endpoints)
    else:
        yield from _stray_ports(daemon, endpoints)


def _stray_ports(daemon: Daemon, endpoints: set[str]) -> Iterator[str]:
    world = daemon.world
    allocations = {one.id: one for one in world.store.all(Allocation)}
    own = world.own.id if world.own else ""
    ports = {key: one for key, one in world.cloud.store.resources["ports"].items() if key != own}
    for port_id in ports.keys() - allocations.keys():
        yield f"a port that nobody knows, tags {ports[port_id]['tags']}"
    for port_id in allocations.keys() - ports.keys():
        yield f"a port that Neutron does not have, {allocations[port_id].use}"
    for one in allocations.values():
        if one.owner and one.owner not in endpoints | daemon.lost:
            yield STALE
        elif not one.owner and (one.reserved or one.leaving):
            yield f"a port that is {one.use}"
        if one.id in ports and {str(each) for each in one.addresses} != {
            each["ip_address"] for each in ports[one.id]["fixed_ips"]
        }:
            yield LATE
    for endpoint_id in endpoints - {one.owner for one in allocations.values()}:
        yield f"container {endpoint_id[:6]} has lost its port"
    for container in daemon.running.values():
        held = next((one for one in allocations.values() if one.owner == container.endpoint_id), None)
        if held and {str(one) for one in held.addresses} != {
            container.address.split("/")[0],
            container.address6.split("/")[0],
        }:
            yield "a container whose port has other addresses"
    for device in world.board.attachments.keys() - allocations.keys():
        yield f"a device of no port {device[:6]}"
    if world.mode == "trunk":
        (trunk,) = world.cloud.store.resources["trunks"].values()
        if {one["port_id"] for one in trunk["sub_ports"]} != ports.keys():
            yield "sub-ports are other than ports"


def _stray_addresses(daemon: Daemon, endpoints: set[str]) -> Iterator[str]:
    world = daemon.world
    owners = {one.owner for one in world.store.all(ReservedAddress)}
    for owner in owners - endpoints - daemon.lost:
        yield STALE if owner else "an address that is reserved for nobody"
    for endpoint_id in endpoints - owners:
        yield f"container {endpoint_id[:6]} has lost its address"
    if world.board.attachments.keys() - owners:
        yield "a device of no container"


STALE = "an endpoint of whose end nobody has told"
UNKNOWN = "a network that dockerd does not know"
LATE = "a port whose addresses are others in Neutron"


def rest(daemon: Daemon) -> Iterator[str]:
    """Say what is left after all was removed."""
    world = daemon.world
    own = {world.own.network_id, world.own.id} if world.own else set()
    for kind in ("networks", "ports", "subnets", "security_groups"):
        for key, one in world.cloud.store.resources[kind].items():
            if key in own or (one.get("network_id") in own and kind == "subnets") or one["name"] == "default":
                continue
            yield f"left in Neutron: {kind} {one['name']} {one['tags']}"
    for trunk in world.cloud.store.resources["trunks"].values():
        if trunk["sub_ports"]:
            yield "left in Neutron: sub-ports"
    if world.own and world.cloud.store.resources["ports"][world.own.id]["allowed_address_pairs"]:
        yield "left in Neutron: address pairs"
    kinds: tuple[type[Any], ...] = (*KINDS, AddressPool)
    for kept in kinds:
        if kept is not Origin:
            for record in world.store.all(kept):
                yield f"left in the store: {kept.__name__} {getattr(record, 'step', '')}{getattr(record, 'use', '')}"
    if world.board.attachments:
        yield f"left on the host: {len(world.board.attachments)} devices"
    if world.rules.networks:
        yield "left on the host: a guard"
    if world.kernel and world.kernel.table:
        yield "left on the host: routes"
