"""How a port is to be plugged, by what Neutron says of it."""

import pytest

from fairlead.adapters.vif.plug import bridge_for
from fairlead.model.errors import Unavailable, UnsupportedRequest
from fairlead.model.network import VifDetails
from fairlead.model.vif import Vif

PORT = "00000000-0000-4000-8000-000000000001"


def chosen(vif_type: str, details: VifDetails = VifDetails()) -> str:  # noqa: B008  # it is frozen
    return bridge_for(Vif(PORT, PORT, "fa:16:3e:00:00:01", 1442, vif_type=vif_type, vif_details=details), "br-int")


@pytest.mark.parametrize("vif_type", ["", "unbound"])
def test_a_port_that_is_unbound_or_looks_so_goes_into_the_integration_bridge(vif_type: str) -> None:
    assert chosen(vif_type) == "br-int"


@pytest.mark.parametrize("datapath", ["", "system", "netdev"])
def test_a_port_for_open_vswitch_goes_into_the_bridge_that_neutron_names(datapath: str) -> None:
    assert chosen("ovs", VifDetails(bridge_name="br-cell1", datapath_type=datapath)) == "br-cell1"
    assert chosen("ovs", VifDetails(datapath_type=datapath)) == "br-int"


def test_the_hybrid_bridge_is_refused_by_name_and_with_the_setting_that_ends_it() -> None:
    with pytest.raises(UnsupportedRequest, match=f"{PORT}.*ovs_hybrid_plug") as told:
        chosen("ovs", VifDetails(bridge_name="br-int", ovs_hybrid_plug=True))
    assert "firewall_driver = openvswitch" in told.value.remedy


def test_a_datapath_of_another_type_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedRequest, match="datapath of the type dummy"):
        chosen("ovs", VifDetails(datapath_type="dummy"))


def test_a_binding_that_failed_is_told_as_what_may_work_later_and_with_what_to_look_at() -> None:
    with pytest.raises(Unavailable, match=f"could not bind port {PORT}") as told:
        chosen("binding_failed")
    assert "openstack network agent list" in told.value.remedy


@pytest.mark.parametrize(
    "vif_type",
    ["vhostuser", "hw_veb", "bridge", "macvtap", "tap", "hostdev_physical", "802.1qbg", "distributed", "other"],
)
def test_what_fairlead_does_not_plug_is_refused_by_its_name(vif_type: str) -> None:
    with pytest.raises(UnsupportedRequest, match=f"plugged as {vif_type},") as told:
        chosen(vif_type)
    assert "normal" in told.value.remedy
