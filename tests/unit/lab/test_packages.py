"""Packages are installed without their daemons, and the machine's own policy survives."""

import stat
from pathlib import Path

import pytest

from fairlead.model.errors import LabError
from fairlead_lab import packages
from fairlead_lab.packages import daemons_kept_still, find_program, install_packages, missing_packages


def test_no_daemon_may_start_meanwhile(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with daemons_kept_still(policy):
        assert policy.read_text().endswith("exit 101\n")
        assert policy.stat().st_mode & stat.S_IXUSR
    assert list(tmp_path.iterdir()) == []


def test_the_machines_own_policy_is_put_back(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 104\n")
    policy.chmod(0o751)
    with pytest.raises(KeyboardInterrupt), daemons_kept_still(policy):
        raise KeyboardInterrupt
    assert policy.read_text() == "#!/bin/sh\nexit 104\n"
    assert stat.S_IMODE(policy.stat().st_mode) == 0o751
    assert list(tmp_path.iterdir()) == [policy]


def test_a_policy_left_aside_by_a_killed_installation_is_put_back(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("the machine's")
    killed = daemons_kept_still(policy)
    killed.__enter__()
    with daemons_kept_still(policy):
        assert policy.read_text() != "the machine's"
    assert policy.read_text() == "the machine's"


def test_programs_are_looked_for_not_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "SEARCH_PATH", str(tmp_path))
    monkeypatch.setattr(packages, "PROGRAMS", {"dockerd": "docker.io", "docker": "docker.io", "ip": "iproute2"})
    assert missing_packages() == ("docker.io", "iproute2")
    for name in ("dockerd", "docker"):
        (tmp_path / name).touch(mode=0o755)
    assert missing_packages() == ("iproute2",)


def test_a_busybox_that_needs_libraries_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "SEARCH_PATH", str(tmp_path))
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"\x7fELF....\0/lib64/ld-linux-x86-64.so.2\0")
    busybox.chmod(0o755)
    assert find_program("busybox") is None
    busybox.write_bytes(b"\x7fELF....")
    assert find_program("busybox") == busybox


def test_without_apt_the_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="missing and there is no apt-get here: a b: install the programs they bring"):
        install_packages(("a", "b"), tmp_path / "log")
    assert install_packages((), tmp_path / "log") is None  # type: ignore[func-returns-value]  # that it returns is the point
