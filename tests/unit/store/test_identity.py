"""A node's id stays its own: through restarts, not on a copied disk."""

from pathlib import Path

import pytest

from fairlead.adapters.store.identity import FILE, node_identity
from fairlead.model.errors import StoreError


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    file = tmp_path / "machine-id"
    file.write_text("a" * 32 + "\n")
    return file


def test_it_is_made_once(tmp_path: Path, machine: Path) -> None:
    folder = tmp_path / "state"
    one = node_identity(folder, machine=machine)
    assert len(one) == 12
    assert node_identity(folder, machine=machine) == one
    assert node_identity(tmp_path / "other", machine=machine) != one


def test_a_copied_disk_is_another_node_and_its_memory_is_put_aside(tmp_path: Path, machine: Path) -> None:
    folder = tmp_path / "state"
    one = node_identity(folder, machine=machine)
    (folder / "node.sqlite").write_text("another node's ports")
    machine.write_text("b" * 32 + "\n")
    other = node_identity(folder, machine=machine)
    assert other != one
    assert not (folder / "node.sqlite").exists()
    assert (folder / f"copied-from-{one}" / "node.sqlite").read_text() == "another node's ports"
    assert node_identity(folder, machine=machine) == other


def test_a_machine_without_an_id_keeps_what_it_has(tmp_path: Path, machine: Path) -> None:
    folder = tmp_path / "state"
    one = node_identity(folder, machine=machine)
    machine.unlink()
    assert node_identity(folder, machine=machine) == one
    later = node_identity(tmp_path / "later", machine=machine)
    machine.write_text("b" * 32 + "\n")
    assert node_identity(tmp_path / "later", machine=machine) == later


def test_the_machines_own_id_is_not_written_down(tmp_path: Path, machine: Path) -> None:
    node_identity(tmp_path / "state", machine=machine)
    assert "a" * 32 not in (tmp_path / "state" / FILE).read_text()


@pytest.mark.parametrize("damage", [b"", b"\xff\x00garbage\n", b"0123456789ab", b"../../etc/passwd 00\n"])
def test_a_damaged_file_is_written_anew(tmp_path: Path, machine: Path, damage: bytes) -> None:
    folder = tmp_path / "state"
    node_identity(folder, machine=machine)
    (folder / FILE).write_bytes(damage)
    again = node_identity(folder, machine=machine)
    assert node_identity(folder, machine=machine) == again


def test_a_folder_that_can_not_be_written_says_so(tmp_path: Path, machine: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match="can't keep this node's id"):
        node_identity(tmp_path / "state", machine=machine)
