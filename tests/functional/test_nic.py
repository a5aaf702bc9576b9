"""Devices over a NIC, on the real kernel: made, found wherever dockerd has moved them, and deleted.

The kernel must know the kind of device. Where it lacks 8021q or ipvlan, macvlan stands in for the life of a device; the
virtual machine's kernel has all of them.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fairlead.adapters.kernel import netlink
from fairlead.adapters.vif.nic import IPVLAN, VLAN, Kind, NicDataplane
from fairlead.adapters.wired.nothing import NothingToWaitFor
from fairlead.model.errors import DataplaneError
from fairlead.model.network import IPAddress, IPNetwork
from fairlead.model.vif import Vif
from fairlead.ports.dataplane import Plugged
from fairlead.ports.routing import Nic
from tests.functional.namespaces import Sandbox, fairlead_links, links, new_namespace, run
from tests.functional.sweeping import sweep

pytestmark = pytest.mark.root

STAND_IN = Kind("macvlan", own_mac=True, data=lambda _: b"")
KINDS = {kind.name: kind for kind in (VLAN, IPVLAN, STAND_IN)}


class OneNic:
    """Routing that knows the test's NIC, and no routes."""

    async def nic(self) -> Nic:
        return Nic("nic0", "fa:16:3e:00:00:01", 1442, ())

    async def routes(self) -> dict[IPNetwork, IPAddress]:
        return {}

    async def put(self, destination: IPNetwork, nexthop: IPAddress) -> None: ...

    async def remove(self, destination: IPNetwork) -> None: ...


@pytest.fixture
def node() -> Iterator[None]:
    """A namespace with a NIC."""
    with new_namespace():
        run("ip", "link", "add", "nic0", "mtu", "1442", "type", "veth", "peer", "name", "wire0")
        run("ip", "link", "set", "nic0", "up")
        yield


@pytest.fixture(params=sorted(KINDS))
async def kind(request: pytest.FixtureRequest, node: None) -> Kind:
    kind = KINDS[request.param]
    try:
        await NicDataplane(kind, OneNic(), NothingToWaitFor()).check()
    except DataplaneError as error:
        pytest.skip(str(error))
    return kind


class Dockerd:
    """What keeps sandboxes in a folder, and moves devices into them and back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sandboxes: list[Sandbox] = []

    def start(self, attachment: Vif) -> Sandbox:
        """Move a device into a container of its own."""
        sandbox = Sandbox()
        self.sandboxes.append(sandbox)
        file = self.folder / f"sandbox{len(self.sandboxes)}"
        file.touch()
        run("mount", "--bind", f"/proc/{sandbox.pid}/ns/net", str(file))
        sandbox.take(attachment.sandbox_device)
        return sandbox

    def close(self) -> None:
        for file in self.folder.iterdir():
            run("umount", str(file))
        for sandbox in self.sandboxes:
            sandbox.close()


@pytest.fixture
def dockerd(tmp_path: Path, node: None) -> Iterator[Dockerd]:
    dockerd = Dockerd(tmp_path)
    # dockerd has a file of the host's own namespace as well.
    (tmp_path / "default").touch()
    run("mount", "--bind", "/proc/thread-self/ns/net", str(tmp_path / "default"))
    yield dockerd
    dockerd.close()


@pytest.fixture
def dataplane(kind: Kind, dockerd: Dockerd) -> NicDataplane:
    return NicDataplane(kind, OneNic(), NothingToWaitFor(), folders=[dockerd.folder])


def attachment(number: int = 1, *, kind: Kind, mtu: int = 1400) -> Vif:
    return Vif(
        id=f"{number:08x}-0000-4000-8000-000000000000",
        port_id=f"{number:08x}-0000-4000-8000-000000000000",
        mac=f"fa:16:3e:00:01:{number:02x}" if kind.own_mac else "",
        mtu=mtu,
        vlan=100 + number if kind is VLAN else 0,
    )


async def test_a_device_waits_down_and_without_address(kind: Kind, dataplane: NicDataplane) -> None:
    wanted = attachment(kind=kind)
    await dataplane.apply(wanted)
    link = links()[wanted.sandbox_device]
    assert link["linkinfo"]["info_kind"] == kind.name
    assert link["link"] == "nic0"
    assert link["mtu"] == 1400
    assert link["address"] == (wanted.mac or links()["nic0"]["address"])
    assert "UP" not in link["flags"]
    assert link["ifalias"] == f"fairlead:{wanted.id}"
    if kind is VLAN:
        assert link["linkinfo"]["info_data"]["id"] == 101
    if kind is IPVLAN:
        assert link["linkinfo"]["info_data"]["mode"] == "l2"
    assert not run("ip", "address", "show", "dev", wanted.sandbox_device, "scope", "global").count("inet")


async def test_applied_twice_it_is_the_same_device_and_what_differs_is_made_anew(
    kind: Kind, dataplane: NicDataplane
) -> None:
    wanted = attachment(kind=kind)
    await dataplane.apply(wanted)
    index = links()[wanted.sandbox_device]["ifindex"]
    await dataplane.apply(wanted)
    assert links()[wanted.sandbox_device]["ifindex"] == index
    await dataplane.apply(attachment(kind=kind, mtu=1300))
    assert links()[wanted.sandbox_device]["mtu"] == 1300
    assert links()[wanted.sandbox_device]["ifindex"] != index


async def test_removed_it_is_gone_and_so_it_is_the_second_time(kind: Kind, dataplane: NicDataplane) -> None:
    wanted = attachment(kind=kind)
    await dataplane.apply(wanted)
    for _ in range(2):
        await dataplane.remove(wanted.id)
        assert not fairlead_links()


async def test_a_device_in_a_container_is_found_there_and_deleted(
    kind: Kind, dataplane: NicDataplane, dockerd: Dockerd
) -> None:
    one, two = attachment(1, kind=kind), attachment(2, kind=kind)
    await dataplane.apply(one)
    await dataplane.apply(two)
    sandbox = dockerd.start(one)
    assert await dataplane.plugged() == [Plugged(two.id, away=False), Plugged(one.id, away=True)]
    assert "eth0" in sandbox.run("ip", "-br", "link")
    await dataplane.remove(one.id)
    assert "eth0" not in sandbox.run("ip", "-br", "link")
    assert await dataplane.plugged() == [Plugged(two.id, away=False)]


async def test_a_containers_vlan_device_is_left_to_it(kind: Kind, dataplane: NicDataplane, dockerd: Dockerd) -> None:
    if kind is not VLAN:
        pytest.skip("only a VLAN id can't be had twice")
    wanted = attachment(kind=kind)
    await dataplane.apply(wanted)
    sandbox = dockerd.start(wanted)
    await dataplane.apply(wanted)
    assert not fairlead_links()
    assert "eth0" in sandbox.run("ip", "-br", "link")


async def test_the_devices_of_a_container_that_ended_are_gone(
    kind: Kind, dataplane: NicDataplane, dockerd: Dockerd
) -> None:
    wanted = attachment(kind=kind)
    await dataplane.apply(wanted)
    sandbox = dockerd.start(wanted)
    run("umount", str(dockerd.folder / "sandbox1"))
    (dockerd.folder / "sandbox1").unlink()
    sandbox.close()
    for _ in range(200):  # the kernel tears a namespace down behind
        with suppress(DataplaneError):
            await dataplane.apply(wanted)
        if fairlead_links():
            break
    assert fairlead_links() == {wanted.sandbox_device}


async def test_a_sweep_deletes_what_is_unknown_here_and_in_containers_and_nothing_foreign(
    kind: Kind, dataplane: NicDataplane, dockerd: Dockerd
) -> None:
    known, orphan, away = (attachment(number, kind=kind) for number in (1, 2, 3))
    for each in (known, orphan, away):
        await dataplane.apply(each)
    sandbox = dockerd.start(away)
    extra = ("id", "200") if kind is VLAN else ()
    run("ip", "link", "add", "flcforeign", "link", "nic0", "type", kind.name, *extra)
    assert await sweep(dataplane, {known.id}) == [orphan.id, away.id]
    assert fairlead_links() == {known.sandbox_device, "flcforeign"}
    assert "eth0" not in sandbox.run("ip", "-br", "link")


async def test_a_foreign_device_of_the_name_is_refused(kind: Kind, dataplane: NicDataplane) -> None:
    wanted = attachment(kind=kind)
    extra = ("id", "200") if kind is VLAN else ()
    run("ip", "link", "add", wanted.sandbox_device, "link", "nic0", "type", kind.name, *extra)
    with pytest.raises(DataplaneError, match="not this attachment's"):
        await dataplane.apply(wanted)
    await dataplane.remove(wanted.id)
    assert wanted.sandbox_device in links()


async def test_a_vlan_id_that_a_foreign_device_has_is_refused(kind: Kind, dataplane: NicDataplane) -> None:
    if kind is not VLAN:
        pytest.skip("only VLAN devices have ids")
    run("ip", "link", "add", "foreign0", "link", "nic0", "type", "vlan", "id", "101")
    with pytest.raises(DataplaneError, match="VLAN id 101"):
        await dataplane.apply(attachment(kind=kind))


async def test_a_kernel_without_such_devices_is_told_with_the_module(node: None) -> None:
    unheard_of = Kind("fairlead0", own_mac=True, data=lambda _: b"")
    with pytest.raises(DataplaneError, match="no fairlead0 devices"):
        await NicDataplane(unheard_of, OneNic(), NothingToWaitFor()).check()
    (answer,) = netlink.exchange([netlink.new_over("fairlead0", "x0", 1)])
    assert answer.error
    assert "x0" not in links()
