"""A sandbox's device, finished by the data plane: seen by packets, with `ip`, and by its own words."""

import asyncio
import pickle
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from fairlead.adapters.sandbox.plan import PROTOCOL
from fairlead.adapters.sandbox.sandboxes import KernelSandboxes
from fairlead.adapters.vif.nic import IPVLAN, VLAN
from fairlead.model.errors import Conflict, DataplaneError, InvalidInput, NotFound
from fairlead.model.sandbox import SandboxRoute
from tests.functional import crashing_sandbox
from tests.functional.conftest import Host, SandboxMaker
from tests.functional.namespaces import Sandbox, fairlead_links, links, run
from tests.functional.rigs import MTU, NOBODY, WORLD, Rig, nic_rig, ovs_rig, routed_rig
from tests.functional.switch import until
from tests.functional.test_nic import STAND_IN
from tests.functional.test_packets import DATAGRAM, ECHO, ping, serving

pytestmark = pytest.mark.root

KINDS = {kind.name: kind for kind in (VLAN, IPVLAN, STAND_IN)}
MTUS = pytest.mark.parametrize("mtu", [MTU, 8942])


class Place:
    """A sandbox of the test's, and what configures it. exchanges: the messages of each exchange with the kernel."""

    def __init__(self, inside: Sandbox) -> None:
        self.inside = inside
        self.netns = f"/proc/{inside.pid}/ns/net"
        self.exchanges: list[int] = []
        self.sandboxes = KernelSandboxes(on_exchange=lambda count, _seconds: self.exchanges.append(count))

    async def configure(self, rig: Rig, name: str = "eth0") -> None:
        self.exchanges.clear()
        await self.sandboxes.configure(self.netns, name, rig.config)

    async def verify(self, rig: Rig, name: str = "eth0") -> list[str]:
        self.exchanges.clear()
        return await self.sandboxes.verify(self.netns, name, rig.config)

    def show(self) -> str:
        """All that could have been changed, as `ip` tells it."""
        asked = (("-d", "link"), ("address",), ("-4", "route"), ("-6", "route"))
        return "".join(self.inside.run("ip", "-o", *one) for one in asked)


@pytest.fixture
def place(namespace: None, sandbox: SandboxMaker) -> Place:
    return Place(sandbox())


@pytest.fixture
async def rig(place: Place) -> Rig:
    """A veth that waits, of mode `routed`: what is not about packets is the same in all modes."""
    rig = await routed_rig(MTU)
    await rig.wire()
    return rig


async def finished_and_heard(rig: Rig, place: Place, mtu: int) -> None:
    """Configure a sandbox, send packets that must arrive and others that must not, and leave nothing."""
    await rig.wire()
    await place.configure(rig)
    assert await place.verify(rig) == []
    until(lambda: all(ping(place.inside, address) for address in WORLD), "no packet passes")
    full = mtu - 28  # less the headers of IPv4 and UDP
    with serving(rig.world, ECHO):
        heard = [place.inside.run(sys.executable, "-c", DATAGRAM, WORLD[0], str(size)) for size in (full, full + 1)]
    assert heard == [f"{full}\n", "EMSGSIZE\n"]
    assert ping(place.inside, WORLD[1], "-s", str(mtu - 48))
    assert not any(ping(place.inside, address) for address in NOBODY)
    before = place.show()
    await place.configure(rig)
    assert place.show() == before
    await rig.remove()
    assert "eth0" not in place.inside.run("ip", "-o", "link")
    assert not [line for line in run("ip", "-o", "link").splitlines() if rig.vif.id[:11] in line]
    assert await place.verify(rig) == ["there is no device eth0"]


@MTUS
async def test_a_veth_of_mode_ovs_is_finished(host: Host, sandbox: SandboxMaker, place: Place, mtu: int) -> None:
    await finished_and_heard(await ovs_rig(host, sandbox, mtu), place, mtu)


@MTUS
async def test_a_veth_of_mode_routed_is_finished(place: Place, mtu: int) -> None:
    await finished_and_heard(await routed_rig(mtu), place, mtu)


@MTUS
@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_device_over_a_nic_is_finished(
    kind: str, place: Place, sandbox: SandboxMaker, tmp_path: Path, mtu: int
) -> None:
    (tmp_path / "cni").touch()
    run("mount", "--bind", place.netns, str(tmp_path / "cni"))
    try:
        await finished_and_heard(await nic_rig(KINDS[kind], sandbox, tmp_path, mtu), place, mtu)
    except DataplaneError as error:
        if "this kernel has no" not in str(error):
            raise
        pytest.skip(str(error))
    finally:
        run("umount", str(tmp_path / "cni"))


async def test_it_costs_as_many_messages_as_there_is_to_say_and_no_fork(rig: Rig, place: Place) -> None:
    started: list[str] = []
    watching = True

    def watch(event: str, _arguments: tuple[object, ...]) -> None:  # an audit hook stays for good
        if watching and event in ("os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "subprocess.Popen"):
            started.append(event)

    sys.addaudithook(watch)
    await place.configure(rig)
    # To look, on the host and in the sandbox; to mark and move; to find; two addresses and four routes.
    assert place.exchanges == [2, 2, 2, 1, 6]
    await place.configure(rig)
    assert place.exchanges == [2, 2, 1]
    assert await place.verify(rig) == []
    assert place.exchanges == [2, 1]
    watching = False
    assert started == []


async def test_a_device_that_has_its_mark_already_costs_one_less(
    place: Place, sandbox: SandboxMaker, tmp_path: Path
) -> None:
    rig = await nic_rig(STAND_IN, sandbox, tmp_path, MTU)
    await rig.wire()
    await place.configure(rig)
    assert place.exchanges == [2, 2, 1, 1, 4]


async def test_a_device_that_was_made_anew_while_the_sandbox_had_it_goes(
    place: Place, sandbox: SandboxMaker, tmp_path: Path
) -> None:
    rig = await nic_rig(STAND_IN, sandbox, tmp_path, MTU)
    await rig.wire()
    await place.configure(rig)
    before = place.show()
    await rig.wire()
    assert rig.config.device in links()
    await place.configure(rig)
    assert fairlead_links() == set()
    assert place.show() == before


async def test_what_is_made_is_marked_as_fairleads(rig: Rig, place: Place) -> None:
    await place.configure(rig)
    link = place.inside.run("ip", "-d", "-o", "link", "show", "eth0")
    assert f"alias fairlead:{rig.vif.id}" in link
    assert rig.vif.mac in link
    for family in ("-4", "-6"):
        assert "default via" in place.inside.run("ip", family, "route", "show", "proto", str(PROTOCOL))
    assert "tentative" not in place.inside.run("ip", "-6", "address", "show", "dev", "eth0", "scope", "global")
    assert "LOOPBACK,UP" not in place.inside.run("ip", "-o", "link", "show", "lo")


async def test_a_device_with_no_more_than_addresses_of_one_family_is_finished(rig: Rig, place: Place) -> None:
    only = replace(rig.config, addresses=rig.config.addresses[:1], routes=(), mtu=0, mac="")
    await place.configure(replace(rig, config=only))
    assert await place.verify(replace(rig, config=only)) == []
    assert place.inside.run("ip", "-6", "address", "show", "scope", "global") == ""


SPOILT = {
    "name": (["link", "set", "eth0", "name", "eth9"], "the device is called eth9, not eth0"),
    "state": (["link", "set", "eth0", "down"], "eth0 is down"),
    "MAC": (["link", "set", "eth0", "address", "02:00:00:00:00:09"], "has the MAC 02:00:00:00:00:09, not 02:42:00"),
    "MTU": (["link", "set", "eth0", "mtu", "1300"], "eth0 has an MTU of 1300, not 1442"),
    "IPv4 address": (["address", "delete", "10.60.7.2/32", "dev", "eth0"], "eth0 lacks the address 10.60.7.2/32"),
    "IPv6 address": (["address", "delete", "fd00:60::7:2/128", "dev", "eth0"], "lacks the address fd00:60::7:2/128"),
    "IPv4 route": (["route", "delete", "default"], "there is no route to 0.0.0.0/0 by 10.60.0.1"),
    "IPv6 route": (["-6", "route", "delete", "default"], "there is no route to ::/0 by fd00:60::1"),
    "next hop": (["route", "replace", "default", "via", "10.60.0.1", "onlink", "dev", "eth0", "metric", "7"], ""),
    "IPv4 way": (["route", "replace", "default", "dev", "eth0"], "there is no route to 0.0.0.0/0 by 10.60.0.1"),
    "IPv6 way": (["-6", "route", "replace", "fd00:60::1", "via", "fe80::1", "dev", "eth0", "metric", "512"],
                 "there is no route to fd00:60::1/128 on the link"),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILT)
async def test_what_was_changed_by_hand_is_told_and_mended(rig: Rig, place: Place, what: str) -> None:
    await place.configure(rig)
    command, told = SPOILT[what]
    place.inside.run("ip", *command)
    said = await place.verify(rig)
    assert told in "; ".join(said)
    # A device that is down loses routes and IPv6 addresses with it, and an address what leads by it.
    assert len(said) == (1 if told else 0) or what in ("state", "IPv4 address", "IPv6 address")
    await place.configure(rig)
    assert await place.verify(rig) == []
    until(lambda: all(ping(place.inside, address) for address in WORLD), "no packet passes")
    assert not ping(place.inside, NOBODY[0])


async def test_what_the_config_no_longer_has_goes_and_what_others_made_stays(rig: Rig, place: Place) -> None:
    before = replace(
        rig.config,
        addresses=(*rig.config.addresses, ip_interface("10.60.7.9/24"), ip_interface("fd00:60::7:9/64")),
        routes=(*rig.config.routes, SandboxRoute(ip_network("198.51.100.0/24"), ip_address("10.60.0.1"))),
    )
    await place.configure(replace(rig, config=before))
    place.inside.run("ip", "address", "add", "203.0.113.7/24", "dev", "eth0")
    place.inside.run("ip", "route", "add", "203.0.114.0/24", "dev", "eth0")
    await place.configure(rig)
    shown = place.show()
    for gone in ("10.60.7.9", "fd00:60::7:9", "198.51.100.0"):
        assert gone not in shown
    for kept in ("203.0.113.7/24", "203.0.114.0/24", "10.60.7.2/32", "fd00:60::7:2/128"):
        assert kept in shown
    assert await place.verify(rig) == []


async def test_an_address_that_was_the_first_of_its_subnet_takes_no_other_with_it(rig: Rig, place: Place) -> None:
    first, second = ip_interface("10.99.0.9/24"), ip_interface("10.99.0.5/24")
    await place.configure(replace(rig, config=replace(rig.config, addresses=(first, second), routes=())))
    after = replace(rig, config=replace(rig.config, addresses=(second,), routes=()))
    await place.configure(after)
    assert await place.verify(after) == []
    assert "10.99.0.9" not in place.show()


async def test_an_address_with_another_prefix_length_is_replaced(rig: Rig, place: Place) -> None:
    wrong = tuple(ip_interface(f"{one.ip}/{24 if one.version == 4 else 64}") for one in rig.config.addresses)
    await place.configure(replace(rig, config=replace(rig.config, addresses=wrong)))
    await place.configure(rig)
    assert await place.verify(rig) == []
    assert "10.60.7.2/24" not in place.show()


def other_device(place: Place, name: str) -> None:
    place.inside.run("ip", "link", "add", name, "type", "veth", "peer", "name", "far")
    place.inside.run("ip", "link", "set", name, "up")


async def test_a_name_in_use_is_a_conflict_and_changes_nothing(rig: Rig, place: Place) -> None:
    other_device(place, "eth0")
    before, waiting = place.show(), links()[rig.config.device]
    with pytest.raises(Conflict, match="another device eth0"):
        await place.configure(rig)
    assert (place.show(), links()[rig.config.device]) == (before, waiting)
    assert await place.verify(rig) == ["eth0 is another device than Fairlead's"]
    await place.configure(rig, "net1")
    assert await place.verify(rig, "net1") == []
    with pytest.raises(Conflict, match="another device eth0"):
        await place.configure(rig, "eth0")


@pytest.mark.parametrize("family", ["-4", "-6"])
async def test_a_route_that_is_another_devices_is_a_conflict_by_that_devices_name(
    rig: Rig, place: Place, family: str
) -> None:
    other_device(place, "net0")
    place.inside.run("ip", family, "route", "add", "default", "dev", "net0")
    before, waiting = place.show(), links()[rig.config.device]
    with pytest.raises(Conflict, match=r"a route to (0.0.0.0/0|::/0) already, by net0"):
        await place.configure(rig)
    assert (place.show(), links()[rig.config.device]) == (before, waiting)
    place.inside.run("ip", "link", "delete", "net0")
    await place.configure(rig)
    assert await place.verify(rig) == []


async def test_what_a_router_announces_is_no_conflict_and_is_not_preferred(rig: Rig, place: Place) -> None:
    other_device(place, "net0")
    learnt = ("-6", "route", "append", "default", "via", "fe80::1", "proto", "ra", "metric")
    place.inside.run("ip", *learnt, "1024", "dev", "net0")
    await place.configure(rig)
    place.inside.run("ip", *learnt, "1025", "dev", "eth0")
    await place.configure(rig)
    assert place.inside.run("ip", "-6", "route", "show", "default").count("proto ra") == 2
    assert "via fd00:60::1 dev eth0" in place.inside.run("ip", "-6", "route", "get", WORLD[1])


async def test_ipv6_is_allowed_where_the_sandbox_forbids_it_by_default(rig: Rig, place: Place) -> None:
    forbid = "for each in default all; do echo 1 >/proc/sys/net/ipv6/conf/$each/disable_ipv6; done"
    place.inside.run("sh", "-c", forbid)
    await place.configure(rig)
    assert await place.verify(rig) == []
    until(lambda: ping(place.inside, WORLD[1]), "no packet passes")


async def test_a_foreign_device_of_the_name_is_left_on_the_host(rig: Rig, place: Place) -> None:
    await rig.remove()
    run("ip", "link", "add", rig.config.device, "type", "veth", "peer", "name", "peer")
    before = links()
    with pytest.raises(DataplaneError, match="not Fairlead's"):
        await place.configure(rig)
    assert links() == before


async def test_a_device_that_is_nowhere_is_told(rig: Rig, place: Place) -> None:
    await rig.remove()
    with pytest.raises(NotFound, match=f"no device {rig.config.device}"):
        await place.configure(rig)


async def test_a_sandbox_that_is_gone_is_told_and_is_a_difference(rig: Rig, place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for netns in (f"{tmp_path}/none", f"{tmp_path}/file", f"{tmp_path}/file/none"):
        with pytest.raises(NotFound, match=f"no network namespace at {netns}"):
            await place.sandboxes.configure(netns, "eth0", rig.config)
        assert await place.sandboxes.verify(netns, "eth0", rig.config) == [f"there is no network namespace at {netns}"]
    assert rig.config.device in links()


async def test_the_hosts_own_namespace_is_refused(rig: Rig, place: Place) -> None:
    before = links()
    for call in (place.sandboxes.configure, place.sandboxes.verify):
        with pytest.raises(InvalidInput, match="host's own"):
            await call("/proc/thread-self/ns/net", "eth0", rig.config)
    assert links() == before


async def test_a_device_of_which_the_kernel_refuses_a_part_is_found_again(rig: Rig, place: Place) -> None:
    """The move has been made by then, and the name has not been given."""
    with pytest.raises(DataplaneError, match="does not set up eth0"):
        await place.configure(replace(rig, config=replace(rig.config, mac="01:00:5e:00:00:01")))
    assert rig.config.device not in links()
    assert await place.verify(rig) != []
    await place.configure(rig)
    assert await place.verify(rig) == []


async def test_an_address_that_the_kernel_refuses_is_told_by_its_words(rig: Rig, place: Place) -> None:
    unreachable = SandboxRoute(ip_network("198.51.100.0/24"), ip_address("10.99.0.1"))
    with pytest.raises(DataplaneError, match=r"route 198\.51\.100\.0/24 by 10\.99\.0\.1.*[Nn]exthop"):
        await place.configure(replace(rig, config=replace(rig.config, routes=(*rig.config.routes, unreachable))))


async def crash(place: Place, rig: Rig, steps: int) -> int:
    program = [sys.executable, crashing_sandbox.__file__, str(steps), place.netns, "eth0"]
    done = await asyncio.to_thread(
        subprocess.run, [*program, pickle.dumps(rig.config).hex()], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode


FRESH, MENDING = 5, 8
"""Exchanges of a device that comes in, and of one that is renamed, addressed and routed anew."""


def spoil(place: Place) -> None:
    """Change all that a device can have changed; down, it also loses routes and IPv6 addresses."""
    place.inside.run("ip", "link", "set", "eth0", "name", "eth9", "mtu", "1300", "down")


@pytest.mark.parametrize("steps", range(1, FRESH + 1))
async def test_a_crash_while_the_device_comes_in_is_made_good(rig: Rig, place: Place, steps: int) -> None:
    assert await crash(place, rig, steps) == crashing_sandbox.CRASHED
    await place.configure(rig)
    assert await place.verify(rig) == []
    assert rig.config.device not in fairlead_links()
    until(lambda: all(ping(place.inside, address) for address in WORLD), "no packet passes")
    await rig.remove()
    assert fairlead_links() == set()


@pytest.mark.parametrize("steps", range(1, MENDING + 1))
async def test_a_crash_while_the_device_is_mended_is_made_good(rig: Rig, place: Place, steps: int) -> None:
    await place.configure(rig)
    spoil(place)
    assert await crash(place, rig, steps) == crashing_sandbox.CRASHED
    await place.configure(rig)
    assert await place.verify(rig) == []
    assert "eth9" not in place.inside.run("ip", "-o", "link")


async def test_no_crash_is_left_out_above(rig: Rig, place: Place) -> None:
    assert await crash(place, rig, FRESH + 1) == 0
    assert await place.verify(rig) == []
    spoil(place)
    assert await crash(place, rig, MENDING + 1) == 0
    assert await place.verify(rig) == []


async def test_calls_on_one_device_take_turns(rig: Rig, place: Place) -> None:
    await asyncio.gather(*(place.sandboxes.configure(place.netns, "eth0", rig.config) for _ in range(5)))
    assert await place.verify(rig) == []


async def test_a_caller_that_gives_up_leaves_what_can_be_finished(rig: Rig, place: Place) -> None:
    configuring = asyncio.create_task(place.sandboxes.configure(place.netns, "eth0", rig.config))
    await asyncio.sleep(0)
    configuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await configuring
    await place.configure(rig)
    assert await place.verify(rig) == []
