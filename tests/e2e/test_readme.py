"""The README's commands do what it says."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.side_by_side import lab_name

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
NAME = lab_name("readme")


def commands() -> list[list[str]]:
    """Return the commands of the README's shell blocks; the lab that they use gets a name of its own."""
    blocks = (ROOT / "README.md").read_text().split("```sh\n")[1:]
    lines = [line for block in blocks for line in block.split("```")[0].splitlines() if line]
    words = [shlex.split(line) for line in lines]
    assert all(command[:2] == ["fairlead", "lab"] for command in words)
    return [[*command[:3], "--name", NAME, *command[3:]] for command in words]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """`fairlead` on PATH, as in an activated environment; the lab gone in the end."""
    here = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    yield here
    subprocess.run(["fairlead", "lab", "down", "--name", NAME], env=here, check=False, capture_output=True)


def test_every_command_of_the_readme_works(environment: dict[str, str]) -> None:
    assert len(commands()) >= 8
    for command in commands():
        done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False, timeout=300)
        assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout}{done.stderr}"


def test_the_make_targets_it_names_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("demo", "demo-flannel", "test", "check", "bench"):
        assert f"make {target}" in (ROOT / "README.md").read_text()
        assert f"\n{target}:" in makefile


@pytest.fixture
def nothing_kept(environment: dict[str, str]) -> Iterator[None]:
    yield
    subprocess.run(["fairlead", "lab", "down", "--name", "demo-flannel"], env=environment, check=False)


def test_the_flannel_demo_goes_to_its_end_and_draws_its_picture(nothing_kept: None) -> None:
    done = subprocess.run(["make", "demo-flannel"], cwd=ROOT, text=True, capture_output=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 packets transmitted, 3 packets received" in done.stdout
    assert "Every node has left; nothing of Fairlead's is in Neutron." in done.stdout
    picture = [line.split("█")[0].strip() for line in done.stdout.splitlines() if "█" in line]
    assert picture == ["instance to instance", "pods, Fairlead", "pods, VXLAN"]
