"""The tables of a run."""

from fairlead_lab.chaos.checks import Finding, Violation
from fairlead_lab.chaos.plan import Fault
from fairlead_lab.chaos.report import Report


def test_what_was_done_and_found_is_told_with_zeros_where_there_was_none() -> None:
    report = Report(7, ("ovs",), rounds=3, seconds=61.2, pairs=12)
    report.faults[Fault.KEYSTONE_DOWN] += 2
    report.commands["run"] += 5
    text = report.markdown()
    assert text.startswith("Seed 7, modes ovs: 3 rounds in 61 s, 2 faults, 5 commands, 12 pairs")
    assert "| leaks | 0 |" in text
    assert "| Keystone down | 2 |" in text
    assert "| Neutron slow | 0 |" in text
    assert "| run | 5 | 0 | 0 |" in text


def test_messages_that_differ_in_an_id_are_one() -> None:
    report = Report(7, ("ovs",))
    for container, request in (("h1-1-2", "req-1"), ("h2-3-4", "req-2")):
        report.refused("run", f"{container}: port {'a' * 12} is | not there ({request}")
    assert report.failed["run"] == 2
    assert "| `…: port … is \\| not there (…` | 2 |" in report.markdown()


def test_a_violation_is_told_in_full() -> None:
    report = Report(7, ("ovs",), violations=(Violation(Finding.LEAK, "h1: a port"),))
    assert "| leaks | 1 |" in report.markdown()
    assert report.markdown().endswith("**leaks**: h1: a port\n")
