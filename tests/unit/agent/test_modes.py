"""A mode is a data plane and a nesting."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from fairlead.adapters.neutron import NeutronService
from fairlead.adapters.vif.nic import NicDataplane
from fairlead.adapters.vif.ovs import OvsDataplane
from fairlead.adapters.wired.neutron import ActiveInNeutron
from fairlead.adapters.wired.ovn import InstalledByOvn
from fairlead.agent.check import check
from fairlead.agent.clock import SystemClock
from fairlead.agent.modes import Mode, make_mode
from fairlead.agent.settings import Settings
from fairlead.core.nesting.address_pairs import PairNesting
from fairlead.core.nesting.nesting import OnChassis
from fairlead.core.nesting.trunk import TrunkNesting
from fairlead.model.errors import SettingsError
from fairlead_lab.fakes import FakeCloud


def settings(mode: str, ovs: Mapping[str, str] | None = None) -> Settings:
    return msgspec.convert({"agent": {"mode": mode}, "ovs": dict(ovs or {})}, Settings)


async def made(mode: str, ovs: Mapping[str, str] | None = None) -> Mode:
    async with FakeCloud() as cloud, NeutronService(cloud.credentials("member")) as neutron:
        mode_ = make_mode(settings(mode, ovs), neutron, SystemClock())
        await mode_.dataplane.close()
        return mode_


@pytest.mark.parametrize(
    ("mode", "dataplane", "nesting"),
    [
        ("ovs", OvsDataplane, OnChassis),
        ("trunk", NicDataplane, TrunkNesting),
        ("ipvlan", NicDataplane, PairNesting),
    ],
)
async def test_each_mode_has_its_parts(mode: str, dataplane: type, nesting: type) -> None:
    parts = await made(mode)
    assert isinstance(parts.dataplane, dataplane)
    assert isinstance(parts.nesting, nesting)


@pytest.mark.parametrize(("wired", "word"), [("ovn", InstalledByOvn), ("neutron", ActiveInNeutron)])
async def test_a_switch_is_joined_with_whose_word_it_is_that_a_port_is_wired(wired: str, word: type) -> None:
    parts = await made("ovs", {"wired": wired})
    assert isinstance(parts.dataplane, OvsDataplane)
    assert isinstance(parts.dataplane._wired, word)


async def test_macvlan_is_refused_with_the_reason_and_what_to_do_instead() -> None:
    with pytest.raises(SettingsError, match=r"no MAC but its own.*agent.mode to ipvlan"):
        await made("macvlan")


async def test_a_check_in_mode_macvlan_says_so_too(tmp_path: Path) -> None:
    file = tmp_path / "clouds.yaml"
    environ = {"OS_CLIENT_CONFIG_FILE": str(file), "OS_CLOUD": "demo", "HOME": str(tmp_path)}
    async with FakeCloud() as cloud:
        cloud.write_clouds_yaml(file)
        findings = {one.what: one for one in await check(settings("macvlan"), environ)}
    assert findings["cloud"].ok
    assert not findings["port"].ok
    assert "ipvlan" in findings["port"].remedy
