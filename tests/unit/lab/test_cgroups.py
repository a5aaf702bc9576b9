"""The lab's groups are found, filled and removed whatever the version of cgroups."""

from pathlib import Path

import pytest

from fairlead.model.errors import LabError
from fairlead_lab.cgroups import cgroup_tree, make_group, members


def hierarchy(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").touch()
    return folder


def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    for name in ("cpu", "memory", "pids"):
        hierarchy(tmp_path / name)
    (tmp_path / "cpuacct").symlink_to("cpu")
    (tmp_path / "no-hierarchy").mkdir()
    tree = cgroup_tree("mine", tmp_path)
    assert tree.folders() == tuple(tmp_path / name / "fairlead" / "mine" for name in ("cpu", "memory", "pids"))
    assert tree.daemon("h1/agent") == tmp_path / "pids/fairlead/mine/daemons/h1-agent"
    assert tree.containers("h1") == "/fairlead/mine/containers/h1"


def test_version_2_has_one_tree(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    tree = cgroup_tree("mine", tmp_path)
    assert tree.folders() == (tmp_path / "fairlead" / "mine",)
    assert tree.guests == tmp_path / "fairlead/mine/guests"


def test_without_cgroups_there_is_no_lab(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no cgroup hierarchy is mounted at"):
        cgroup_tree("mine", tmp_path)


def test_a_group_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match=r"can't make the cgroup .*: a lab needs root"):
        make_group(tmp_path / "file" / "group")


def test_members_are_counted_through_all_levels(tmp_path: Path) -> None:
    for name, pids in (("a", "1\n2\n"), ("a/b", "3\n"), ("a/b/c", "0\n")):
        hierarchy(tmp_path / name)
        (tmp_path / name / "cgroup.procs").write_text(pids)
    assert members(tmp_path / "a") == {1, 2, 3}
    assert members(tmp_path / "none") == frozenset()


def test_removal_spares_other_labs_and_tells_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    tree = cgroup_tree("mine", tmp_path)
    make_group(tree.daemon("h1/agent"))
    make_group(cgroup_tree("other", tmp_path).guests)
    assert tree.remove() == ()
    assert not (tmp_path / "fairlead/mine").exists()
    make_group(tree.guests)
    (tree.guests / "busy").touch()
    assert tree.remove() == (str(tmp_path / "fairlead/mine"),)
    (tree.guests / "busy").unlink()
    cgroup_tree("other", tmp_path).remove()
    assert tree.remove() == ()
    assert not (tmp_path / "fairlead").exists()
