"""An attachment: a port, the VIF that carries it on this host, and the sandbox it serves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttachmentKey:
    """What names an attachment on its node.

    owner: the container's or endpoint's id, as the door's runtime gives it. interface: the device's name in the
    sandbox; empty where the runtime chooses one. network: the door's name of the network (`JoinedNetwork.id`).
    """

    owner: str
    network: str
    interface: str = ""
