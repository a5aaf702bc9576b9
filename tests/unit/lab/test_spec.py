"""What may be asked for, and what follows from it."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from fairlead.lab.paths import LabPaths, existing_labs
from fairlead.lab.spec import FABRIC_ADDRESS, UNDERLAY, LabSpec, underlay_address
from fairlead.model.errors import LabError


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
