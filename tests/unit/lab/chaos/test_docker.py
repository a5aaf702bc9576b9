"""What failed during a fault is asked of Docker again, and nothing else is."""

import subprocess
from collections.abc import Sequence
from typing import Any, cast

import pytest

from fairlead_lab.chaos.docker import Docker, DockerRefused, settle
from fairlead_lab.chaos.model import Command, Kind, World
from fairlead_lab.host import Host


class Daemon:
    """A host whose Docker knows names and states, and refuses a few times where it is told to."""

    def __init__(self, containers: dict[str, str], networks: set[str], refusals: int = 0) -> None:
        self.containers, self.networks, self.refusals = containers, networks, refusals
        self.asked: list[str] = []

    def run(self, words: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        verb, name = " ".join(words[1:3]), words[-1]
        if verb == "ps -a":
            return self.answer("\n".join(f"{one} {state}" for one, state in self.containers.items()))
        if verb == "network ls":
            return self.answer("\n".join(self.networks))
        self.asked.append(" ".join(words[1:]))
        if self.refusals:
            self.refusals -= 1
            return self.answer("", "WARNING: old\nError response from daemon: not now\nmore")
        match verb.split()[0], verb:
            case _, "network create":
                self.networks.add(name)
            case _, "network rm":
                self.networks.remove(name)
            case "rm", _:
                del self.containers[name]
            case "run", _:
                self.containers[words[words.index("--name") + 1]] = "running"
            case (("start" | "stop"), _):
                self.containers[name] = "running" if verb.startswith("start") else "exited"
        return self.answer("")

    def answer(self, said: str, error: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1 if error else 0, said, error)


WORLD = (
    World()
    .after(Command(Kind.CREATE, "h1", "o1"))
    .after(Command(Kind.RUN, "h1", "o1", "dynamic"))
    .after(Command(Kind.RUN_IP, "h1", "o1", "fixed", "10.71.0.200"))
    .after(Command(Kind.RUN, "h1", "o1", "stopped"))
    .after(Command(Kind.STOP, "h1", "o1", "stopped"))
    .after(Command(Kind.CREATE, "h2", "o2"))
)
RIGHT = {"dynamic": "running", "fixed": "running", "stopped": "exited"}


def settled(daemon: Daemon) -> tuple[str, list[str]]:
    docker = Docker(cast(Host, daemon))
    done: list[str] = []
    said = settle(docker, WORLD, "h1", lambda: None, patience=5.0, done=done.append)
    return said, done


def test_what_is_as_it_should_be_is_left() -> None:
    daemon = Daemon(dict(RIGHT), {"o1"})
    assert settled(daemon) == ("", [])
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("containers", "networks"),
    [
        ({}, set()),
        ({"dynamic": "exited", "fixed": "created", "stopped": "running"}, {"o1"}),
        ({**RIGHT, "removed": "running"}, {"o1", "o2"}),
        ({"removed": "dead"}, set()),
    ],
)
def test_whatever_differs_is_brought_about(containers: dict[str, str], networks: set[str]) -> None:
    daemon = Daemon(dict(containers), set(networks))
    said, done = settled(daemon)
    assert said == ""
    assert done
    assert (daemon.containers, daemon.networks) == (RIGHT, {"o1"})


def test_an_address_that_was_chosen_is_asked_for_again() -> None:
    daemon = Daemon({"dynamic": "running", "stopped": "exited"}, {"o1"})
    settled(daemon)
    (asked,) = daemon.asked
    assert "--ip 10.71.0.200" in asked


def test_what_is_refused_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead_lab.chaos.docker.time.sleep", lambda _: None)
    daemon = Daemon({}, set(), refusals=3)
    assert settled(daemon)[0] == ""
    assert daemon.containers == RIGHT


def test_what_cannot_be_had_is_told_in_dockers_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead_lab.chaos.docker.time.sleep", lambda _: None)
    ticks = iter(range(100))
    monkeypatch.setattr("fairlead_lab.chaos.docker.time.monotonic", lambda: float(next(ticks)))
    assert settled(Daemon({}, set(), refusals=1000))[0] == "Error response from daemon: not now"


def test_a_refusal_is_the_line_that_a_user_reads() -> None:
    with pytest.raises(DockerRefused, match=r"^Error response from daemon: not now$"):
        Docker(cast(Host, Daemon({}, set(), refusals=1))).carry_out(Command(Kind.CREATE, "h1", "o1"))
