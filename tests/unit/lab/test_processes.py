"""A process is known by its pid and the time it started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fairlead.model.errors import LabError
from fairlead_lab.manifest import ProcessId
from fairlead_lab.processes import (
    clean_environment,
    descendants,
    is_alive,
    proportional_memory,
    spawn,
    start_time,
    stop,
)


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """A folder that stands for a cgroup: joining it is writing to a file."""
    (tmp_path / "cgroup.procs").touch()
    return tmp_path


def test_a_daemon_is_started_apart_with_its_output_in_its_log(group: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "import os,sys,time; print(os.getsid(0), os.environ['X'], flush=True); time.sleep(60)"
    process = spawn([sys.executable, "-c", script], cgroup=group, log=log, environment=clean_environment({"X": "y"}))
    try:
        while not log.read_text():
            time.sleep(0.01)
        session, value = log.read_text().split()
        assert int(session) not in (os.getsid(0), process.pid)
        assert value == "y"
        assert is_alive(process)
        assert not is_alive(ProcessId(process.pid, process.started - 1)), "another process of that number"
        assert proportional_memory(process.pid) > 0
        assert process.pid not in descendants([os.getpid()])
    finally:
        stop(process, 5.0)
    assert not is_alive(process)
    assert start_time(process.pid) is None


def test_a_process_that_will_not_end_is_made_to(group: Path, tmp_path: Path) -> None:
    process = spawn(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"], cgroup=group,
                    log=tmp_path / "log", environment=clean_environment())  # fmt: skip
    while not (tmp_path / "log").read_text():
        time.sleep(0.01)
    stop(process, 0.1)
    assert not is_alive(process)


def test_a_program_does_not_start_outside_its_group(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="can't start touch"):
        spawn(["touch", str(tmp_path / "made")], cgroup=tmp_path / "none", log=tmp_path / "log", environment={})
    assert not (tmp_path / "made").exists()


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        process = ProcessId(child.pid, start_time(child.pid) or 0)
        assert is_alive(process)
        assert child.pid in descendants([os.getpid()])
        child.send_signal(signal.SIGKILL)
        while is_alive(process):
            time.sleep(0.005)
        assert Path(f"/proc/{child.pid}").exists()


def test_the_environment_owes_nothing_to_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("OS_CLOUD", "another")
    assert set(clean_environment()) == {"PATH", "LANG", "HOME"}
