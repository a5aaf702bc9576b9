"""Leases are read as flannel writes them, and missing programs are named with what makes them."""

import base64
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from fairlead.model.errors import LabError
from fairlead_lab.flannel import SubnetLease, program, subnet_lease


def entry(key: str, value: str, **more: Any) -> dict[str, Any]:
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in (("key", key), ("value", value))}
    return {**encoded, "create_revision": 3, "mod_revision": 3, "version": 1, **more}


def test_a_lease_of_both_families() -> None:
    key = "/coreos.com/network/subnets/10.5.52.0-24&fc00:5:0:3::-64"
    value = '{"PublicIP":"192.0.2.11","PublicIPv6":"fd00:c0::1","BackendType":"extension","BackendData":"port 1"}'
    assert subnet_lease(entry(key, value, lease=7587869)) == SubnetLease(
        key=key,
        subnet=IPv4Network("10.5.52.0/24"),
        subnet6=IPv6Network("fc00:5:0:3::/64"),
        public_ip=IPv4Address("192.0.2.11"),
        public_ip6=IPv6Address("fd00:c0::1"),
        backend_type="extension",
        backend_data="port 1",
        etcd_lease=7587869,
    )


def test_a_reservation_of_ipv4_alone_has_neither_data_nor_a_time_to_live() -> None:
    value = '{"PublicIP":"192.0.2.11","PublicIPv6":null,"BackendType":"host-gw"}'
    lease = subnet_lease(entry("/coreos.com/network/subnets/10.5.52.0-24", value))
    assert (lease.subnet6, lease.public_ip6, lease.backend_data, lease.etcd_lease) == (None, None, None, 0)


def test_a_program_that_is_missing_is_named_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"/flanneld is not there: run packaging/build-flannel"):
        program(tmp_path, "flanneld")
    (tmp_path / "flanneld").touch(mode=0o755)
    assert program(tmp_path, "flanneld") == tmp_path / "flanneld"
