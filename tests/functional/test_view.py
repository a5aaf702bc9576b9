"""What the host's switch says of itself."""

import json
import socket

import pytest

from fairlead.adapters.ovsdb.schema import SCHEMA
from fairlead.ports.dataplane import HostView
from tests.functional.conftest import Host
from tests.functional.switch import BRIDGE
from tests.functional.switch import SCHEMA as SWITCHS_OWN

pytestmark = pytest.mark.root


async def test_names_the_host_as_ovn_controller_does(host: Host) -> None:
    assert (await host.dataplane.view()).host == socket.gethostname()
    host.switch.vsctl("set", "Open_vSwitch", ".", "external_ids:hostname=node.example")
    assert (await host.dataplane.view()).host == "node.example"
    host.switch.vsctl("set", "Open_vSwitch", ".", "external_ids:system-id=c1", "external_ids:hostname-c1=chassis")
    assert (await host.dataplane.view()).host == "chassis"


async def test_tells_the_bridge_and_its_datapath(host: Host) -> None:
    host.switch.vsctl(
        "set", "Open_vSwitch", ".", "external_ids:hostname=n", "external_ids:ovn-remote=tcp:192.0.2.1:6642"
    )
    assert await host.dataplane.view() == HostView("n", BRIDGE, "netdev", ovn_controller=True)
    host.switch.vsctl("--no-wait", "set", "Bridge", BRIDGE, "datapath_type=system")
    host.switch.vsctl("--no-wait", "remove", "Open_vSwitch", ".", "external_ids", "ovn-remote")
    assert await host.dataplane.view() == HostView("n", BRIDGE, "system", ovn_controller=False)


def test_the_schema_written_down_is_the_switchs() -> None:
    theirs = json.loads(SWITCHS_OWN.read_text())["tables"]
    for name, table in SCHEMA["tables"].items():
        assert table.get("indexes") == theirs[name].get("indexes")
        for column, ours in table["columns"].items():
            told = theirs[name]["columns"][column]
            assert ours == {key: told[key] for key in ours}, f"{name}.{column}"
