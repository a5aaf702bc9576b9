"""What the core says, in the words of Docker's users."""

from fairlead.frontends.phrases import Phrase

_NAME_IT = "-o neutron.net.name=NAME --ipam-opt neutron.net.name=NAME"
_ANOTHER_RANGE = "give a larger --subnet"

PHRASES = {
    "address-attached": Phrase("choose another --ip", "address {address} is used by endpoint {owner}"),
    "address-attached-here": Phrase(
        "choose another --ip, or remove that container", "address {address} is used by endpoint {owner} on this host"
    ),
    "address-attached-meanwhile": Phrase("start the container again", "address {address} is used by endpoint {owner}"),
    "address-not-reserved": Phrase("make the network with --ipam-driver fairlead, and start the container again"),
    "address-of-network": Phrase("choose another --ip"),
    "address-taken": Phrase(
        "choose another --ip; `docker network create --ip-range` keeps addresses outside of it for you"
    ),
    "attachment-unknown": Phrase("start the container again", "endpoint {owner} is not known to Fairlead on this host"),
    "blocks-used-up": Phrase("make a network with a larger --subnet, or remove it from nodes that do not need it"),
    "groups-need-ports": Phrase(
        "leave neutron.security_groups out, or set agent.mode to `trunk` on nodes with a trunk"
    ),
    "mac-not-chosen": Phrase("leave --mac-address out"),
    "network-ambiguous": Phrase("say which one with -o neutron.net.uuid=ID --ipam-opt neutron.net.uuid=ID"),
    "network-has-attachments": Phrase("remove their containers first", "network {network} has endpoints"),
    "network-id-unknown": Phrase("check neutron.net.uuid against `openstack network list`"),
    "network-name-unknown": Phrase(
        "check neutron.net.name against `openstack network list`, or add --subnet CIDR to have it made"
    ),
    "network-not-joined": Phrase("remove it with `docker network rm` and make it again"),
    "network-not-the-nodes": Phrase(
        "add -o neutron.net.uuid={network} --ipam-opt neutron.net.uuid={network}, or choose another agent.mode"
    ),
    "network-shared": Phrase(
        "say that it is meant with -o neutron.net.uuid={network} --ipam-opt neutron.net.uuid={network}"
    ),
    "range-overlaps": Phrase("choose another --subnet, beside it"),
    "range-too-small": Phrase(_ANOTHER_RANGE),
    "range-used-up": Phrase(_ANOTHER_RANGE),
    "reference-needs-ports": Phrase("leave neutron.net.* out, or set agent.mode to `trunk` on nodes with a trunk"),
    "subnet-used-twice": Phrase(f"use that network, or name another Neutron network with {_NAME_IT}"),
}
