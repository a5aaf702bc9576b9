"""What is: of Fairlead's on every machine and in Neutron, as anybody can see it."""

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.model.errors import LabError
from fairlead_lab.chaos.docker import Attached
from fairlead_lab.host import Host
from fairlead_lab.neutron import Neutron

_SOCKET = "/run/docker/plugins/fairlead.sock"
_PATIENCE = 10.0

_PREFIX = "flh"
"""Begins the name of a device of Fairlead's on a host; the beginning of its attachment's id follows."""


@dataclass(frozen=True, slots=True)
class MachineView:
    """What is on one machine.

    devices: names of Fairlead's on the host's side. given: how many ports, or addresses in mode `routed`, the agent
    takes for a container's. rows: of the switch, name and port's id.
    """

    attached: tuple[Attached, ...]
    devices: tuple[str, ...]
    given: int
    rows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """A container's port in Neutron. machine and owner: as its name tells; an owner is an endpoint, or `waiting`.

    An agent writes the owner behind, and where Neutron is slow minutes later: nothing follows from its being late.
    """

    id: str
    machine: str
    owner: str
    network: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CloudView:
    """networks: id and tags of each that Fairlead made. pairs: of the instances' ports, by instance. others: names of
    what else is tagged."""

    ports: tuple[Port, ...]
    networks: tuple[tuple[str, tuple[str, ...]], ...]
    pairs: Mapping[str, tuple[str, ...]]
    others: tuple[str, ...]


def look_at_machine(host: Host, attached: tuple[Attached, ...], *, switch: bool) -> MachineView:
    """Look at a machine's devices, and at its switch's rows where it has a switch."""
    links = json.loads(host.run(["ip", "-j", "link"]).stdout)
    devices = tuple(sorted(one["ifname"] for one in links if one["ifname"].startswith(_PREFIX)))
    return MachineView(attached, devices, given(_metrics(host)), _rows(host) if switch else ())


def look_at_cloud(neutron: Neutron) -> CloudView:
    """Look at what Neutron has of Fairlead's and of the instances'."""
    ports = neutron.all("ports")
    return CloudView(
        ports=tuple(_port(one) for one in ports if "fairlead" in one["tags"]),
        networks=tuple((one["id"], tuple(one["tags"])) for one in neutron.all("networks") if "fairlead" in one["tags"]),
        pairs={
            one["name"]: tuple(pair["ip_address"] for pair in one["allowed_address_pairs"])
            for one in ports
            if one["device_owner"] == "compute:nova"
        },
        others=tuple(
            f"{kind.removesuffix('s')} {one['name']}"
            for kind in ("subnets", "security-groups")
            for one in neutron.all(kind)
            if "fairlead" in one["tags"]
        ),
    )


def given(metrics: str) -> int:
    """Count what an agent has given out, or is about to, or takes back, of what it tells Prometheus."""
    found = re.findall(r"^fairlead_(?:addresses|ports)\{([^}]*)\} ([0-9.]+)$", metrics, re.MULTILINE)
    waits = ('use="fresh"', 'use="returned"')
    return int(sum(float(count) for labels, count in found if not any(one in labels for one in waits)))


def _metrics(host: Host) -> str:
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(_PATIENCE)
        try:
            door.connect(str(host.path(_SOCKET)))
            door.sendall(b"GET /metrics HTTP/1.0\r\nHost: agent\r\n\r\n")
            parts = list(iter(lambda: door.recv(65536), b""))
        except OSError as error:
            raise LabError(f"the agent on {host.name} does not answer: {error}") from error
    return b"".join(parts).decode().replace("\r\n", "\n")


def _rows(host: Host) -> tuple[tuple[str, str], ...]:
    words = ["ovs-vsctl", "--timeout=10", "--format=json", "--columns=name,external_ids", "list", "Interface"]
    found = json.loads(host.run(words).stdout)["data"]
    rows = ((name, dict(pairs[1]).get("iface-id", "")) for name, pairs in found)
    return tuple(sorted(row for row in rows if row[0].startswith(_PREFIX)))


def _port(found: Mapping[str, Any]) -> Port:
    machine, _, owner = found["name"].partition("/")
    addresses = tuple(one["ip_address"] for one in found["fixed_ips"])
    return Port(found["id"], machine, owner, found["network_id"], addresses)
