"""What an agent counts, asked as Prometheus would ask."""

import re
from typing import Any

from tests.e2e.docker import Docker

SOCKET = "/run/docker/plugins/fairlead.sock"

ASK = f"""
import socket
with socket.socket(socket.AF_UNIX) as door:
    door.connect("{SOCKET}")
    door.sendall(b"GET /metrics HTTP/1.0\\r\\nHost: agent\\r\\n\\r\\n")
    while part := door.recv(65536):
        print(part.decode(), end="")
"""


def metrics(docker: Docker) -> dict[str, float]:
    """Read the agent's metrics, by name with labels."""
    text = docker.host.run(["/usr/bin/python3", "-c", ASK]).stdout
    found = re.findall(r"^(\w+(?:\{[^}]*\})?) ([0-9.e+-]+)\s*$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def rpc_calls(docker: Docker) -> float:
    """Count the requests to Neutron that any RPC has waited for."""
    return sum(value for name, value in metrics(docker).items() if name.startswith("fairlead_rpc_neutron_calls_total"))


def asked(lab: Any, since: int) -> list[dict[str, Any]]:
    """What Neutron was asked from the `since`-th request on, but for the look at a host's ports from time to time."""
    return [call for call in lab.neutron_calls(since) if "fairlead%3Aat" not in call["query"].replace(":", "%3A")]
