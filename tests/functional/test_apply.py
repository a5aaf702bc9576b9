"""What apply makes, seen with `ip` and `ovs-vsctl`."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from fairlead.model.errors import DataplaneError
from tests.functional.conftest import Host, attachment
from tests.functional.namespaces import fairlead_links, links, run
from tests.functional.sweeping import sweep
from tests.functional.switch import BRIDGE, until

pytestmark = pytest.mark.root


async def test_makes_a_pair_and_plugs_its_host_end(host: Host) -> None:
    wanted = attachment(1)
    await host.dataplane.apply(wanted)

    near, far = links()[wanted.host_device], links()[wanted.sandbox_device]
    assert near["link"] == far["ifname"]
    assert near["mtu"] == far["mtu"] == wanted.mtu
    assert near["ifalias"] == f"fairlead:{wanted.id}"
    assert far["address"] == wanted.mac
    assert "UP" in near["flags"]
    assert "UP" not in far["flags"]

    port, interface = host.switch.rows("Port")[wanted.host_device], host.switch.rows("Interface")[wanted.host_device]
    assert port["interfaces"] == interface["_uuid"]
    assert port["_uuid"] in host.switch.rows("Bridge")[BRIDGE]["ports"]
    assert interface["error"] == []
    assert interface["external_ids"] == {
        "iface-id": wanted.port_id,
        "attached-mac": wanted.mac,
        "iface-status": "active",
        "fairlead-attachment": wanted.id,
        "fairlead-network": wanted.network_id,
        "ovn-installed": "true",
    }


@pytest.mark.parametrize("mtu", [68, 1279, 1280, 9000, 65535])
async def test_gives_both_ends_the_mtu(host: Host, mtu: int) -> None:
    wanted = attachment(mtu=mtu)
    await host.dataplane.apply(wanted)
    assert {links()[end]["mtu"] for end in (wanted.host_device, wanted.sandbox_device)} == {mtu}


async def test_leaves_the_mtu_to_the_kernel_where_the_network_has_none(host: Host) -> None:
    wanted = attachment(mtu=0)
    await host.dataplane.apply(wanted)
    await host.dataplane.apply(wanted)
    assert {links()[end]["mtu"] for end in (wanted.host_device, wanted.sandbox_device)} == {1500}


@pytest.mark.parametrize(("datapath", "offloaded"), [("netdev", False), ("system", True)])
async def test_finishes_checksums_only_for_a_switch_in_user_space(host: Host, datapath: str, offloaded: bool) -> None:
    host.switch.vsctl("--no-wait", "set", "Bridge", BRIDGE, f"datapath_type={datapath}")
    wanted = attachment()
    await host.dataplane.apply(wanted)
    for end in (wanted.host_device, wanted.sandbox_device):
        (features,) = json.loads(run("ethtool", "--json", "-k", end))
        assert features["tx-checksum-ip-generic"]["active"] is offloaded
        assert features["tx-tcp-segmentation"]["active"] is offloaded


async def test_costs_one_transaction_and_four_messages(host: Host) -> None:
    wanted = attachment()
    await host.dataplane.apply(wanted)
    assert [line for line in host.switch.comments() if line.startswith("fairlead")] == [f"fairlead: plug {wanted.id}"]
    assert _count(host) == {"netlink": 4, "host stack": 3, "offload": 2, "transaction": 1, "wiring": 1}

    host.steps.clear()
    await host.dataplane.remove(wanted.id)
    assert host.switch.comments().count(f"fairlead: unplug {wanted.id}") == 1
    assert _count(host) == {"netlink": 2, "transaction": 1}


async def test_costs_no_transaction_where_all_is_done_already(host: Host) -> None:
    wanted = attachment()
    await host.dataplane.apply(wanted)
    before = links(), host.switch.rows("Interface")[wanted.host_device]["_uuid"]
    host.steps.clear()
    await host.dataplane.apply(wanted)
    assert (links(), host.switch.rows("Interface")[wanted.host_device]["_uuid"]) == before
    assert "transaction" not in _count(host)


async def test_forks_nothing(host: Host) -> None:
    started: list[str] = []
    watching = True

    def watch(event: str, _arguments: tuple[object, ...]) -> None:  # an audit hook stays for good
        if watching and event in (
            "os.fork",
            "os.forkpty",
            "os.posix_spawn",
            "os.exec",
            "os.system",
            "subprocess.Popen",
        ):
            started.append(event)

    sys.addaudithook(watch)
    await host.dataplane.apply(attachment())
    await host.dataplane.remove(attachment().id)
    await sweep(host.dataplane, set())
    watching = False
    assert started == []


async def test_waits_for_ovn(host: Host) -> None:
    host.controller.delay = 0.3
    wanted = attachment()
    applying = asyncio.create_task(host.dataplane.apply(wanted))
    await asyncio.sleep(0.2)
    assert not applying.done()
    await applying
    assert host.switch.rows("Interface")[wanted.host_device]["external_ids"]["ovn-installed"] == "true"


async def test_wires_fifty_at_once(host: Host) -> None:
    wanted = [attachment(number) for number in range(50)]
    await asyncio.gather(*map(host.dataplane.apply, wanted))
    assert fairlead_links() == {end for each in wanted for end in (each.host_device, each.sandbox_device)}
    assert host.switch.fairlead_rows() == {each.host_device for each in wanted}
    host.steps.clear()
    await asyncio.gather(*(host.dataplane.remove(each.id) for each in wanted))
    assert host.left_over() == set()
    exchanges = [step.count for step in host.steps if step.name == "netlink"]
    assert len(exchanges) < 50  # a look and a deletion for each batch: many went in one
    assert sum(exchanges) <= 2 * 50 + len(exchanges)


async def test_takes_calls_on_one_attachment_in_turn(host: Host) -> None:
    wanted = attachment()
    await asyncio.gather(host.dataplane.apply(wanted), host.dataplane.apply(wanted), host.dataplane.remove(wanted.id))
    assert host.left_over() == set()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (["ip", "link", "set", "{host}", "mtu", "1400"], "the host's MTU"),
        (["ip", "link", "set", "{host}", "down"], "the host's end down"),
        (["ip", "link", "set", "{sandbox}", "mtu", "1400"], "the sandbox's MTU"),
        (["ip", "link", "set", "{sandbox}", "address", "02:00:00:00:00:09"], "the MAC"),
        (["ip", "link", "set", "{sandbox}", "up"], "the sandbox's end up"),
        (["ip", "link", "set", "{sandbox}", "name", "stray"], "the sandbox's end renamed"),
        (["ip", "link", "delete", "{host}"], "no device"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_mends_devices(host: Host, spoil: list[str], told: str) -> None:
    wanted = attachment()
    await host.dataplane.apply(wanted)
    run(*(word.format(host=wanted.host_device, sandbox=wanted.sandbox_device) for word in spoil))
    await host.dataplane.apply(wanted)
    near, far = links()[wanted.host_device], links()[wanted.sandbox_device]
    assert (near["mtu"], far["mtu"], far["address"]) == (wanted.mtu, wanted.mtu, wanted.mac)
    assert ("UP" in near["flags"], "UP" in far["flags"]) == (True, False)
    assert "stray" not in links()
    until(
        lambda: host.switch.rows("Interface")[wanted.host_device]["ifindex"] == near["ifindex"],
        "the switch does not know the new device",
    )


@pytest.mark.parametrize(
    "spoil",
    [
        ["del-port", "{host}"],
        ["set", "Interface", "{host}", "external_ids:iface-id=another"],
        ["set", "Interface", "{host}", "external_ids:attached-mac=02:00:00:00:00:09"],
        ["remove", "Interface", "{host}", "external_ids", "iface-status"],
        ["remove", "Interface", "{host}", "external_ids", "fairlead-network"],
    ],
    ids=" ".join,
)
async def test_mends_rows(host: Host, spoil: list[str]) -> None:
    wanted = attachment()
    await host.dataplane.apply(wanted)
    before = host.switch.rows("Interface")[wanted.host_device]["external_ids"]
    host.switch.vsctl(*(word.format(host=wanted.host_device) for word in spoil))
    await host.dataplane.apply(wanted)
    assert host.switch.rows("Interface")[wanted.host_device]["external_ids"] == before


async def test_is_not_taken_in_by_what_ovn_said_of_an_earlier_plug(host: Host) -> None:
    wanted = attachment()
    await host.dataplane.apply(wanted)
    host.controller.delay = 0.3
    spoilers: tuple[Callable[[], str], ...] = (
        lambda: run("ip", "link", "delete", wanted.host_device),
        lambda: host.switch.vsctl("set", "Interface", wanted.host_device, "external_ids:iface-id=another"),
    )
    for spoil in spoilers:
        spoil()
        host.steps.clear()
        await host.dataplane.apply(wanted)
        (wiring,) = (step for step in host.steps if step.name == "wiring")
        assert wiring.seconds > 0.2


async def test_changes_the_port_of_an_attachment(host: Host) -> None:
    await host.dataplane.apply(attachment(1))
    other = replace(attachment(2), id=attachment(1).id)
    await host.dataplane.apply(other)
    assert links()[other.sandbox_device]["address"] == other.mac
    assert host.switch.rows("Interface")[other.host_device]["external_ids"]["iface-id"] == other.port_id


async def test_leaves_a_strangers_device_alone(host: Host) -> None:
    wanted = attachment()
    for taken, peer in ((wanted.host_device, "peer"), ("peer", wanted.sandbox_device)):
        run("ip", "link", "add", taken, "type", "veth", "peer", "name", peer)
        before = links()
        with pytest.raises(DataplaneError, match="not this attachment's"):
            await host.dataplane.apply(wanted)
        await host.dataplane.remove(wanted.id)
        assert links() == before
        assert host.switch.fairlead_rows() == set()
        run("ip", "link", "delete", taken)


async def test_leaves_a_strangers_port_alone(host: Host) -> None:
    wanted = attachment()
    host.switch.vsctl("--no-wait", "add-port", BRIDGE, wanted.host_device)
    with pytest.raises(DataplaneError, match="not this attachment's"):
        await host.dataplane.apply(wanted)
    assert wanted.host_device in host.switch.rows("Port")
    assert fairlead_links() == set()


async def test_tells_attachments_apart_whose_names_are_cut_to_the_same(host: Host) -> None:
    first = attachment()
    twin = replace(attachment(2), id=first.id[:-1] + "f")
    await host.dataplane.apply(first)
    with pytest.raises(DataplaneError, match="not this attachment's"):
        await host.dataplane.apply(twin)
    await host.dataplane.remove(twin.id)
    assert host.switch.rows("Interface")[first.host_device]["external_ids"]["fairlead-attachment"] == first.id
    assert links()[first.host_device]["ifalias"] == f"fairlead:{first.id}"


def _count(host: Host) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for step in host.steps:
        counts[step.name] += step.count
    return dict(counts)
