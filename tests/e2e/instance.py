"""A lab's instance as tests use it: its port in Neutron, and packets that it sends and receives."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fairlead_lab.host import Host
from tests.e2e.docker import PROBE


@dataclass(frozen=True)
class Instance:
    """An instance and what Neutron says of its port."""

    host: Host
    port: str
    network: str
    address: str
    address6: str
    mac: str

    @classmethod
    def of(cls, host: Host, network: Any) -> "Instance":
        """Ask Neutron, by openstacksdk's network service, for the port of an instance."""
        (port,) = network.ports(name=host.name, device_owner="compute:nova")
        addresses = [one["ip_address"] for one in port.fixed_ips]
        (v4,) = (address for address in addresses if ":" not in address)
        (v6,) = (address for address in addresses if ":" in address)
        return cls(host, port.id, port.network_id, v4, v6, port.mac_address)

    def pings(self, address: str, *, count: int = 2) -> bool:
        """Say whether any of a few pings is answered."""
        return self.host.run(["busybox", "ping", "-c", str(count), "-W", "1", address], check=False).returncode == 0

    def probe(self, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run probe.py on it."""
        return self.host.run([sys.executable, PROBE, *arguments], check=False, timeout=timeout)

    @contextmanager
    def probing(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Keep probe.py running on it, from when it listens."""
        with self.host.popen([sys.executable, PROBE, *arguments]) as process:
            try:
                assert process.stdout
                assert process.stdout.readline() == "listening\n"
                yield process
            finally:
                process.kill()


@contextmanager
def changed(network: Any, port: str, **attributes: Any) -> Iterator[None]:
    """Give a port other attributes for a while."""
    before = network.get_port(port)
    names = {"security_groups": "security_group_ids", "port_security_enabled": "is_port_security_enabled"}
    old = {name: getattr(before, names.get(name, name)) for name in attributes}
    network.update_port(port, **attributes)
    try:
        yield
    finally:
        network.update_port(port, **old)
