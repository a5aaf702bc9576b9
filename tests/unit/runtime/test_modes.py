"""A mode is a data plane and a binding."""

from pathlib import Path

import msgspec
import pytest

from fairlead.adapters.dataplane.nic import NicDataplane
from fairlead.adapters.dataplane.ovs import OvsDataplane
from fairlead.adapters.neutron import NeutronService
from fairlead.engine.binding import OnChassis
from fairlead.engine.shared_mac import SharedMacBinding
from fairlead.engine.trunk import TrunkBinding
from fairlead.fakes import FakeCloud
from fairlead.model.errors import SettingsError
from fairlead.runtime.check import check
from fairlead.runtime.clock import SystemClock
from fairlead.runtime.modes import Mode, make_mode
from fairlead.runtime.settings import Settings


def settings(mode: str) -> Settings:
    return msgspec.convert({"agent": {"mode": mode}}, Settings)


async def made(mode: str) -> Mode:
    async with FakeCloud() as cloud, NeutronService(cloud.credentials("member")) as neutron:
        mode_ = make_mode(settings(mode), neutron, SystemClock())
        await mode_.dataplane.close()
        return mode_


@pytest.mark.parametrize(
    ("mode", "dataplane", "binding"),
    [
        ("ovs", OvsDataplane, OnChassis),
        ("trunk", NicDataplane, TrunkBinding),
        ("ipvlan", NicDataplane, SharedMacBinding),
    ],
)
async def test_each_mode_has_its_parts(mode: str, dataplane: type, binding: type) -> None:
    parts = await made(mode)
    assert isinstance(parts.dataplane, dataplane)
    assert isinstance(parts.binding, binding)


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
