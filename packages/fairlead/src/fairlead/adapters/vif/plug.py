"""How a port is to be plugged, by what Neutron says of it.

Neutron's mechanism drivers write `vif_type` and `vif_details` on a port when they bind it, and Nova plugs by them and
nothing else. Fairlead's member may not see them, and on OVN its ports may stay unbound: OVN wires whatever Interface of
its integration bridge names the port, which has been tried by packets.

Sources: the port binding extended attributes of the Networking API v2.0; Nova's nova/network/model.py on VIF_TYPE_*
and VIF_DETAILS_*; os-vif's documentation on the plug-in for Open vSwitch.
"""

from typing import Final

from fairlead.model.errors import Unavailable, UnsupportedRequest
from fairlead.model.vif import Vif

_DATAPATHS: Final = ("", "system", "netdev")


def bridge_for(vif: Vif, integration_bridge: str) -> str:
    """Return the name of the bridge that the VIF's host end is to be plugged into.

    integration_bridge: this host's, for ports of which Neutron names none. The kind of datapath is the switch's own to
    say, since what Neutron has may be older than the bridge. Raises UnsupportedRequest for ports that are not plugged
    into Open vSwitch by a veth, and Unavailable where Neutron could not bind the port.
    """
    match vif.vif_type:
        case "" | "unbound":
            return integration_bridge
        case "ovs":
            _check(vif)
            return vif.vif_details.bridge_name or integration_bridge
        case "binding_failed":
            raise Unavailable(
                f"Neutron could not bind port {vif.port_id} to its host",
                remedy="is the host's agent or chassis alive in Neutron (`openstack network agent list`), and can the "
                "host reach the port's network? Then bind the port anew, or start the container again",
            )
        case other:
            raise UnsupportedRequest(
                f"port {vif.port_id} is to be plugged as {other}, which Fairlead does not do",
                remedy="give the port the vnic_type normal, on a host whose mechanism driver is ovn or openvswitch",
            )


def _check(vif: Vif) -> None:
    if vif.vif_details.ovs_hybrid_plug:
        raise UnsupportedRequest(
            f"port {vif.port_id} is to be plugged by way of a Linux bridge (ovs_hybrid_plug), which nobody needs here",
            remedy="set firewall_driver = openvswitch for this host's neutron-openvswitch-agent instead of "
            "iptables_hybrid, and bind the port anew",
        )
    if vif.vif_details.datapath_type not in _DATAPATHS:
        raise UnsupportedRequest(
            f"port {vif.port_id} is for a datapath of the type {vif.vif_details.datapath_type}, "
            "and Fairlead knows system and netdev",
            remedy="bind the port to a host whose bridge has one of these",
        )
