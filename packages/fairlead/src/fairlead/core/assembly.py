"""The use cases of one node, put together: one core for each way in which containers get their addresses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import random as by_chance
from typing import Self

from fairlead.concurrency import KeyedLocks
from fairlead.core.attachments.by_block import BlockAddressing
from fairlead.core.attachments.by_port import PortAddressing
from fairlead.core.attachments.service import AttachmentService
from fairlead.core.background.attempts import Attempts
from fairlead.core.background.backoff import Backoff
from fairlead.core.background.evidence import Evidence
from fairlead.core.background.loops import Steps
from fairlead.core.background.setbacks import Setbacks
from fairlead.core.background.unawaited import Unawaited
from fairlead.core.background.wake_up import WakeUp
from fairlead.core.blocks.addresses import BlockAddresses
from fairlead.core.blocks.keeper import NetworkKeeper
from fairlead.core.blocks.networks import BlockMembership
from fairlead.core.blocks.node import RoutedNode
from fairlead.core.blocks.reconciler import Reconciler
from fairlead.core.blocks.upkeep import Upkeep
from fairlead.core.networks.memberships import Memberships
from fairlead.core.reconcile.addresses import AddressWorld
from fairlead.core.reconcile.from_blocks import BlockRecollection
from fairlead.core.reconcile.from_ports import PortRecollection
from fairlead.core.reconcile.gone import Witnesses
from fairlead.core.reconcile.ports import PortWorld
from fairlead.core.reconcile.rebuild import Rebuild
from fairlead.core.reconcile.reconciliation import Reconciliation
from fairlead.core.warm.devices import Devices
from fairlead.core.warm.keeper import Keeper
from fairlead.core.warm.networks import PortMembership
from fairlead.core.warm.node import Node
from fairlead.core.warm.pools import WarmPools
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.attachment import AttachmentKey
from fairlead.model.network import IPAddress
from fairlead.ports.dataplane import Dataplane
from fairlead.ports.guard import Guard
from fairlead.ports.runtime import Runtime
from fairlead.ports.sandbox import Sandboxes


@dataclass(frozen=True, slots=True)
class PortCore:
    """A port for each attachment (modes ovs, trunk, ipvlan).

    What doors call: networks, attachments. What runs beside: devices, keeper, reconciliation. unawaited: what use
    cases start and do not wait for; to be closed in the end.
    """

    node: Node
    networks: Memberships
    attachments: AttachmentService
    devices: Devices
    warm: WarmPools
    keeper: Keeper
    reconciliation: Reconciliation
    rebuild: Rebuild
    unawaited: Unawaited

    @classmethod
    def over(
        cls,
        node: Node,
        limits: PoolLimits,
        sandboxes: Sandboxes,
        *,
        runtime: Runtime | None = None,
        random: Callable[[], float] = by_chance,
        failed: Callable[[str], None] = lambda _task: None,
    ) -> Self:
        """Build the use cases over a node. runtime: whom to ask which attachments there are; None: nobody tells.

        random gives numbers from 0 up to 1. failed is called for unforeseen errors, with the name of what they ended.
        """
        wake_up, setbacks, unawaited = WakeUp(), Setbacks(Backoff(random)), Unawaited(failed)
        networks = Memberships(node.store, node.clock, KeyedLocks(), PortMembership(node))
        warm, devices = WarmPools(node, limits, setbacks, wake_up.wake, unawaited), Devices(node, random)
        witnesses = Witnesses(node.dataplane, node.clock, runtime)

        async def detach(key: AttachmentKey) -> None:
            await attachments.detach(key)

        world = PortWorld(node, networks, warm, devices, witnesses, detach)
        addressing = PortAddressing(node, warm, devices)
        attachments = AttachmentService(networks, addressing, node.dataplane, sandboxes, world.take_back)
        attempts = Attempts(node.clock, setbacks.backoff, failed=partial(failed, "reconciliation"))
        return cls(
            node=node,
            networks=networks,
            attachments=attachments,
            devices=devices,
            warm=warm,
            keeper=Keeper(node, networks, warm, wake_up=wake_up, setbacks=setbacks, random=random),
            reconciliation=Reconciliation(world, node.clock, setbacks.backoff, attempts, random=random),
            rebuild=Rebuild(node.store, PortRecollection(node, limits.cool_down, Evidence(node.clock)).recollect),
            unawaited=unawaited,
        )


@dataclass(frozen=True, slots=True)
class BlockCore:
    """Addresses of this node's blocks (mode routed).

    What doors call: networks, attachments. behind: what runs beside, each by itself, by its name. addressing tells
    which attachments there are.
    """

    node: RoutedNode
    networks: Memberships
    attachments: AttachmentService
    addressing: BlockAddressing
    blocks: BlockMembership
    keeper: NetworkKeeper
    reconciliation: Reconciliation
    rebuild: Rebuild
    behind: Mapping[str, Steps]

    @classmethod
    def over(
        cls,
        node: RoutedNode,
        reconciler: Reconciler,
        dataplane: Dataplane,
        guard: Guard,
        sandboxes: Sandboxes,
        *,
        name: str,
        runtime: Runtime | None = None,
        tell: Callable[[Sequence[IPAddress], bytes], None] = lambda _nodes, _hint: None,
        random: Callable[[], float] = by_chance,
        failed: Callable[[str], None] = lambda _task: None,
    ) -> Self:
        """Build the use cases over a node.

        name and tell: see BlockMembership. runtime, random, failed: see PortCore.
        """
        blocks = BlockMembership(node, reconciler, dataplane, guard, name=name, tell=tell)
        networks = Memberships(node.store, node.clock, blocks.locks, blocks)
        addresses = BlockAddresses(blocks, dataplane)
        addressing = BlockAddressing(addresses, node.store, node.clock, dataplane, blocks.guarding.ensure)
        keeper = NetworkKeeper(networks, blocks, addresses, random=random, failed=partial(failed, "networks"))
        upkeep = Upkeep(blocks, addresses, random=random, failed=partial(failed, "upkeep"))

        async def detach(key: AttachmentKey) -> None:
            await attachments.detach(key)

        async def plug(key: AttachmentKey) -> None:
            await attachments.attach(key)

        world = AddressWorld(blocks, dataplane, Witnesses(dataplane, node.clock, runtime), detach, plug)
        attachments = AttachmentService(networks, addressing, dataplane, sandboxes, world.take_back)
        attempts = Attempts(node.clock, keeper.backoff, failed=partial(failed, "reconciliation"))
        reconciliation = Reconciliation(world, node.clock, keeper.backoff, attempts, random=random)
        return cls(
            node=node,
            networks=networks,
            attachments=attachments,
            addressing=addressing,
            blocks=blocks,
            keeper=keeper,
            reconciliation=reconciliation,
            rebuild=Rebuild(node.store, BlockRecollection(blocks, dataplane, Evidence(node.clock)).recollect),
            behind={
                **reconciler.behind,
                "networks": keeper,
                "addresses": upkeep.addresses,
                "packet filter": upkeep.guard,
                "reconciliation": reconciliation,
            },
        )
