"""systemd's units agree with the agent, and with what the documents say of them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.agent import service_manager, unix_server
from fairlead.agent.settings import Settings

ROOT = Path(__file__).parents[3]
UNITS = ROOT / "packaging/systemd"
INSTALL = (ROOT / "docs/install.md").read_text()
SECONDS = {"s": 1, "min": 60}

analyzed = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")


def unit(name: str) -> dict[str, list[str]]:
    """The settings of a unit, each as often as it is there."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


SOCKET, SERVICE = unit("fairlead-agent.socket"), unit("fairlead-agent.service")


def seconds(key: str) -> float:
    (value,) = SERVICE[key]
    number, word = re.fullmatch(r"(\d+)(s|min)", value).groups()  # type: ignore[union-attr]
    return int(number) * SECONDS[word]


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@analyzed
def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    for file in UNITS.iterdir():
        text = file.read_text().replace("ExecStart=/usr/bin/fairlead", f"ExecStart={sys.executable} -m fairlead")
        (tmp_path / file.name).write_text(text)
    done = analyze("verify", *(str(file) for file in tmp_path.iterdir()))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@analyzed
def test_the_service_may_no_more_than_the_document_gives_reasons_for() -> None:
    service = str(UNITS / "fairlead-agent.service")
    (score,) = re.findall(r"^says \*\*(\d\.\d)\*\* ", INSTALL, re.MULTILINE)
    threshold = f"--threshold={score.replace('.', '')}"
    done = analyze("security", "--no-pager", "--offline=true", threshold, service)
    assert done.returncode == 0, done.stdout
    left = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("✗")}
    table = INSTALL.partition("| what | why |")[2].partition("\n\n")[0].replace("\\|", "|")
    reasons = set(re.findall(r"^\| `(\S+)` \|", table, re.MULTILINE))
    assert left == reasons


def test_the_socket_is_where_dockerd_looks_and_the_agent_serves_and_roots_alone() -> None:
    assert SOCKET["ListenStream"] == [Settings().agent.socket]
    assert SOCKET["SocketMode"] == ["0600"]
    assert Settings().agent.socket in INSTALL


def test_the_service_comes_before_docker_and_flannel_and_after_what_it_needs() -> None:
    after = " ".join(SERVICE["After"]).split()
    assert {"fairlead-agent.socket", "network-online.target", "ovs-vswitchd.service", "ovn-controller.service"} <= {
        *after
    }
    assert {"docker.service", "flanneld.service"} <= {*SERVICE["Before"][0].split()}
    assert SERVICE["Requires"] == ["fairlead-agent.socket"]


def test_its_times_fit_the_agents() -> None:
    assert SERVICE["Type"] == ["notify"]
    assert seconds("WatchdogSec") / 2 >= service_manager.STATUS_EVERY
    assert seconds("TimeoutStopSec") > unix_server.DRAIN


def test_one_that_fails_at_once_is_given_up_and_one_that_waits_for_its_cloud_is_not() -> None:
    (burst,) = map(int, SERVICE["StartLimitBurst"])
    assert burst * seconds("RestartSec") < seconds("StartLimitIntervalSec")
    assert burst * (seconds("TimeoutStartSec") + seconds("RestartSec")) > seconds("StartLimitIntervalSec")


def test_the_words_are_those_of_debian_12() -> None:
    younger = {"RestartSteps", "RestartMaxDelaySec", "RestartMode", "ImportCredential", "SetLoginEnvironment"}
    assert not younger & {*SERVICE, *SOCKET}


def test_the_document_tells_the_times_of_the_unit() -> None:
    assert f"Docker goes on without it after {seconds('TimeoutStartSec'):.0f} s" in INSTALL
    assert f"{seconds('RestartSec'):.0f} s between two" in INSTALL
    assert SERVICE["LoadCredential"] == ["clouds.yaml:fairlead.clouds.yaml"]
    assert "/etc/credstore/fairlead.clouds.yaml" in INSTALL
