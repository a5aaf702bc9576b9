"""What may be asked for, and what follows from it."""

from collections import Counter
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from fairlead.model.errors import LabError
from fairlead_lab.paths import LabPaths, existing_labs
from fairlead_lab.spec import FABRIC_ADDRESS, UNDERLAY, LabSpec, underlay_address


def test_hosts_have_names_and_addresses_of_their_own() -> None:
    names = LabSpec("lab", hosts=32).host_names
    assert names[:2] == ("h1", "h2")
    addresses = {underlay_address(name) for name in names}
    assert len(addresses) == 32
    assert FABRIC_ADDRESS not in addresses
    assert all(address in UNDERLAY for address in addresses)
    assert underlay_address("h1") == ip_address("192.0.2.11")


@pytest.mark.parametrize("hosts", [-1, 0, 33])
def test_a_number_of_hosts_that_cannot_be_is_refused(hosts: int) -> None:
    with pytest.raises(LabError, match=f"can't have {hosts} hosts: choose from 1 to 32"):
        LabSpec("lab", hosts=hosts)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"instances": -1}, "can't have -1 instances: choose from 0 to 32"),
        ({"instances": 33}, "can't have 33 instances: choose from 0 to 32"),
        ({"instance_subnets": 0}, "can't be on 0 subnets: choose 1 to 2"),
        ({"instance_subnets": 3}, "can't be on 3 subnets: choose 1 to 2"),
    ],
)
def test_instances_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LabError, match=said):
        LabSpec("lab", **options)


def test_a_lab_has_no_instances_and_no_networks_for_them_unless_asked() -> None:
    spec = LabSpec("lab")
    assert (spec.instance_names, spec.placements, spec.instance_networks) == ((), (), ())
    assert spec.machine_names == ("h1", "h2")


def test_instances_take_turns_on_hosts_and_subnets() -> None:
    placed = LabSpec("lab", hosts=2, instances=4, instance_subnets=2).placements
    assert [(one.name, one.host, one.network.name) for one in placed] == [
        ("i1", "h1", "instances"),
        ("i2", "h2", "instances-2"),
        ("i3", "h2", "instances"),
        ("i4", "h1", "instances-2"),
    ]
    assert [str(one.ipv4) for one in placed] == ["10.30.0.11/24", "10.31.0.12/24", "10.30.0.13/24", "10.31.0.14/24"]


@pytest.mark.parametrize("hosts", [1, 2, 3, 5])
@pytest.mark.parametrize("subnets", [1, 2])
def test_hosts_carry_nearly_as_many_instances_each_and_no_address_comes_twice(hosts: int, subnets: int) -> None:
    placed = LabSpec("lab", hosts=hosts, instances=32, instance_subnets=subnets).placements
    counts = Counter(one.host for one in placed)
    assert len(counts) == hosts
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len({one.ipv4.ip for one in placed} | {one.ipv6.ip for one in placed}) == 64
    assert all(one.ipv4.ip in one.network.ipv4 and one.ipv6.ip in one.network.ipv6 for one in placed)


@pytest.mark.parametrize("name", ["", "-a", "A", "a/b", "..", "a b", "a" * 32, "a\n"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="can't be the name of a lab: use up to 31"):
        LabPaths(name)


def test_a_lab_is_there_while_anything_of_it_is(tmp_path: Path) -> None:
    assert existing_labs(tmp_path / "run", tmp_path / "data") == ()
    for folder in ("run/b", "data/a", "data/b"):
        (tmp_path / folder).mkdir(parents=True)
    assert existing_labs(tmp_path / "run", tmp_path / "data") == ("a", "b")


def test_a_component_of_a_host_has_a_log_of_its_own() -> None:
    paths = LabPaths("lab")
    assert paths.component_log("h1/dockerd") == Path("/var/lib/fairlead/lab/lab/log/h1-dockerd.log")
