"""The record of a lab survives, and two commands do not work on one lab."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fairlead.model.errors import LabError
from fairlead_lab.manifest import (
    ComponentRecord,
    Manifest,
    ManifestFile,
    NamespaceRecord,
    ProcessId,
    load,
    locked,
)
from fairlead_lab.paths import LabPaths
from fairlead_lab.spec import LabSpec


@pytest.fixture
def paths(tmp_path: Path) -> LabPaths:
    return LabPaths("mine", tmp_path / "run", tmp_path / "data")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = ManifestFile(tmp_path / "manifest.json")
    manifest = Manifest(LabSpec("mine", 3, "service", agent=False), "netdev", cgroups=("/a", "/b"))
    manifest = manifest.with_component("h1/agent", ComponentRecord())
    manifest = manifest.with_component("h1/agent", ComponentRecord(ProcessId(7, 1234), wanted=False))
    manifest = manifest.with_namespace("h1", NamespaceRecord(ProcessId(5, 99), 4026531840, 4026531841))
    manifest = replace(manifest, loopback_ports={"neutron": 40000})
    assert file.write(manifest) == manifest
    assert file.read() == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_there_may_be_none(tmp_path: Path) -> None:
    assert ManifestFile(tmp_path / "manifest.json").read() is None


def test_a_manifest_of_another_version_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"spec": 1}')
    with pytest.raises(LabError, match=r"can't be read: .*: `fairlead lab down` of the version that wrote it"):
        ManifestFile(tmp_path / "manifest.json").read()


def test_an_unknown_lab_is_answered_with_the_known(paths: LabPaths) -> None:
    (paths.run_root / "other").mkdir(parents=True)
    (paths.data_root / "half-gone").mkdir(parents=True)
    with pytest.raises(LabError) as caught:
        load(paths)
    assert str(caught.value) == (
        "there is no lab 'mine': running here: half-gone, other (choose with --name); "
        "or `fairlead lab up --name mine` makes it"
    )


def test_without_any_lab_the_remedy_is_to_make_one(paths: LabPaths) -> None:
    with pytest.raises(LabError, match=r"there is no lab 'lab': `fairlead lab up` makes it"):
        load(replace(paths, name="lab"))


def test_a_second_command_is_refused_in_bounded_time(tmp_path: Path) -> None:
    again = locked(tmp_path / "lab", "mine", patience=0.1)
    with locked(tmp_path / "lab", "mine"), pytest.raises(LabError, match="another command is at work on lab 'mine'"):
        again.__enter__()
    with locked(tmp_path / "lab", "mine", patience=0.1):
        assert (tmp_path / "lab").is_dir()


def test_a_lock_on_a_folder_that_was_removed_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, real = tmp_path / "lab", os.open
    removed: list[bool] = []

    def removed_meanwhile(path: Path, flags: int) -> int:
        handle = real(path, flags)
        if not removed:
            folder.rmdir()
            removed.append(True)
        return handle

    monkeypatch.setattr("fairlead_lab.manifest.os.open", removed_meanwhile)
    with locked(folder, "mine"):
        assert folder.is_dir()
