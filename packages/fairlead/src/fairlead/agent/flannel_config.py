"""flannel's network configuration, with Fairlead behind its extension backend.

Sources: flannel v0.28, Documentation/configuration.md, extension.md and kubernetes.md; etcd v3.4, gRPC gateway.
"""

import base64
import json
import urllib.error
import urllib.request
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

from fairlead.model.errors import InvalidInput, NotFound

_TIMEOUT: Final = 10.0
_IPV6_LENGTH: Final = 64


def network_config(network: str, subnet_len: int, ipv6_network: str, executable: str) -> dict[str, Any]:
    """Return the configuration. ipv6_network empty: IPv4 alone. Raises InvalidInput."""
    ipv4 = _range(network, IPv4Network, "10.100.0.0/16")
    if not ipv4.prefixlen < subnet_len:
        raise InvalidInput(f"{ipv4} has no room for subnets of /{subnet_len}", remedy="give a wider --network")
    found: dict[str, Any] = {"Network": str(ipv4), "SubnetLen": subnet_len}
    post = f"{executable} flannel post-startup"
    if ipv6_network:
        ipv6 = _range(ipv6_network, IPv6Network, "fd00:100::/48")
        if not ipv6.prefixlen < _IPV6_LENGTH:
            raise InvalidInput(f"{ipv6} has no room for subnets of /64", remedy="give a wider --ipv6-network")
        found |= {"EnableIPv6": True, "IPv6Network": str(ipv6), "IPv6SubnetLen": _IPV6_LENGTH}
        post += f" --ipv6-network {ipv6}"
    found["Backend"] = {
        "Type": "extension",
        "PreStartupCommand": f"{executable} flannel pre-startup",
        "PostStartupCommand": post,
        "SubnetAddCommand": f"{executable} flannel subnet-add",
        "SubnetRemoveCommand": f"{executable} flannel subnet-remove",
    }
    return found


def config_map(found: dict[str, Any]) -> dict[str, Any]:
    """Return the ConfigMap that flannel's own manifest mounts, net-conf.json in it."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-flannel-cfg", "namespace": "kube-flannel", "labels": {"app": "flannel"}},
        "data": {
            "cni-conf.json": json.dumps(
                {
                    "name": "cbr0",
                    "cniVersion": "0.3.1",
                    "plugins": [
                        {"type": "flannel", "delegate": {"hairpinMode": True, "isDefaultGateway": True}},
                        {"type": "portmap", "capabilities": {"portMappings": True}},
                    ],
                },
                indent=2,
            ),
            "net-conf.json": json.dumps(found, indent=2),
        },
    }


def write_to_etcd(url: str, prefix: str, found: dict[str, Any]) -> None:
    """Put the configuration where flanneld looks for it. Raises NotFound where no etcd answers."""
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"{url!r} is no URL of etcd's", remedy="write it as http://10.0.0.1:2379")
    pair = {"key": f"{prefix}/config", "value": json.dumps(found)}
    body = json.dumps({name: base64.b64encode(text.encode()).decode() for name, text in pair.items()}).encode()
    try:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url.rstrip('/')}/v3/kv/put", body, headers)  # noqa: S310  checked above
        with urllib.request.urlopen(request, timeout=_TIMEOUT):  # noqa: S310  checked above
            pass
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise NotFound(
            f"no etcd takes the configuration at {url}: {error}", remedy="name one of its client URLs"
        ) from error


def _range(text: str, kind: type[IPv4Network] | type[IPv6Network], example: str) -> IPv4Network | IPv6Network:
    try:
        found = ip_network(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not a range: {error}", remedy=f"write it as {example}") from error
    if not isinstance(found, kind):
        raise InvalidInput(f"{text} is of the wrong IP version here", remedy=f"write it as {example}")
    return found
