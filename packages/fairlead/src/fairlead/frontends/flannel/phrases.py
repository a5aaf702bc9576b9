"""What the core says, in the words of flannel's users."""

from fairlead.frontends.phrases import Phrase

PHRASES = {
    "lease-outside": Phrase(
        "run post-startup as flanneld does, with --ipv6-network where the network has IPv6",
        "the subnet {part} is outside of the flannel network ({ranges})",
    ),
    "node-port-gone": Phrase("restart flanneld"),
    "range-overlaps": Phrase("give flannel another Network, or remove that one: `docker network rm`"),
}
