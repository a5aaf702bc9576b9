"""What the watcher of a lab takes for dead, and how long it leaves alone what dies again and again."""

import os
from dataclasses import replace

import pytest

from fairlead_lab.manifest import ComponentRecord, Manifest, ProcessId, State
from fairlead_lab.processes import start_time
from fairlead_lab.spec import LabSpec
from fairlead_lab.watcher import Pause, dead, paused

HERE = ProcessId(os.getpid(), start_time(os.getpid()) or 0)
GONE = ProcessId(os.getpid(), 1)


def manifest(**components: ComponentRecord) -> Manifest:
    return Manifest(LabSpec("lab"), "netdev", state="up", components=components)


def test_what_came_up_and_ended_unasked_is_dead() -> None:
    assert dead(manifest(one=ComponentRecord(GONE, kept=True), other=ComponentRecord(HERE, kept=True))) == ("one",)


def test_what_a_user_stopped_or_what_never_came_up_is_left_alone() -> None:
    stopped = ComponentRecord(GONE, wanted=False, kept=True)
    assert dead(manifest(stopped=stopped, broken=ComponentRecord(GONE), intended=ComponentRecord())) == ()


@pytest.mark.parametrize("state", ["starting", "stopping"])
def test_nothing_is_dead_while_the_lab_is_made_or_ended(state: State) -> None:
    assert dead(replace(manifest(one=ComponentRecord(GONE, kept=True)), state=state)) == ()


def test_pauses_grow_while_it_dies_again_and_again_and_begin_anew_once_it_has_run_a_while() -> None:
    pause = paused(None, 100.0)
    assert pause == Pause(101.0, 1.0)
    lengths = []
    for _ in range(7):
        pause = paused(pause, pause.until)
        lengths.append(pause.seconds)
    assert lengths == [2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert paused(pause, pause.until + 60.0).seconds == 1.0
