"""Any sequence of calls and accidents: the kernel and OVSDB hold what was asked for, and nothing else."""

import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.model.vif import Vif
from tests.functional.conftest import Host, attachment
from tests.functional.namespaces import fairlead_links, links, run
from tests.functional.sweeping import sweep

pytestmark = pytest.mark.root

NUMBERS = st.integers(1, 3)


@dataclass(frozen=True, slots=True)
class Apply:
    number: int
    mtu: int
    port: int

    @property
    def wanted(self) -> Vif:
        return replace(attachment(self.port, mtu=self.mtu), id=attachment(self.number).id)


@dataclass(frozen=True, slots=True)
class Remove:
    number: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """Sweep all but the numbers that are known."""

    known: frozenset[int]


@dataclass(frozen=True, slots=True)
class LoseDevice:
    number: int


@dataclass(frozen=True, slots=True)
class LoseRow:
    number: int


STEPS = st.one_of(
    st.builds(Apply, NUMBERS, st.sampled_from([1280, 1442, 9000]), st.integers(1, 6)),
    st.builds(Remove, NUMBERS),
    st.builds(Sweep, st.frozensets(NUMBERS)),
    st.builds(LoseDevice, NUMBERS),
    st.builds(LoseRow, NUMBERS),
)


@given(steps=st.lists(STEPS, max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_holds_what_was_asked_for(host: Host, steps: list[object]) -> None:
    wanted: dict[int, Vif] = {}
    for step in steps:
        match step:
            case Apply(number):
                await host.dataplane.apply(step.wanted)
                wanted[number] = step.wanted
                assert_wired(host, step.wanted)
            case Remove(number):
                await host.dataplane.remove(attachment(number).id)
                wanted.pop(number, None)
            case Sweep(known):
                swept = await sweep(host.dataplane, {attachment(number).id for number in known})
                assert set(swept) <= {wanted[number].id for number in wanted.keys() - known}
                wanted = {number: each for number, each in wanted.items() if number in known}
            case LoseDevice(number):
                run("ip", "link", "delete", attachment(number).host_device, check=False)
            case LoseRow(number):
                host.switch.vsctl("--if-exists", "del-port", attachment(number).host_device)

    for each in wanted.values():
        await host.dataplane.apply(each)
        assert_wired(host, each)
    assert fairlead_links() == {end for each in wanted.values() for end in (each.host_device, each.sandbox_device)}
    assert host.switch.fairlead_rows() == {each.host_device for each in wanted.values()}
    assert await sweep(host.dataplane, set()) == sorted(each.id for each in wanted.values())
    assert host.left_over() == set()


def assert_wired(host: Host, wanted: Vif) -> None:
    near, far = links()[wanted.host_device], links()[wanted.sandbox_device]
    assert (near["mtu"], far["mtu"], far["address"]) == (wanted.mtu, wanted.mtu, wanted.mac)
    assert ("UP" in near["flags"], "UP" in far["flags"]) == (True, False)
    (features,) = json.loads(run("ethtool", "--json", "-k", wanted.sandbox_device))
    assert features["tx-checksum-ip-generic"]["active"] is False
    external_ids = host.switch.rows("Interface")[wanted.host_device]["external_ids"]
    assert external_ids["iface-id"] == wanted.port_id
    assert external_ids["attached-mac"] == wanted.mac
    assert external_ids["ovn-installed"] == "true"
