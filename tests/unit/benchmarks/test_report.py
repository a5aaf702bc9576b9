"""The figures are what they are called, and land where the document has a place for them."""

import json
import math
from pathlib import Path

import pytest
from benchmarks import report
from benchmarks.report import Benchmark, Column, finish, number, options, p50, p99, percentile, publish, ratio, table


def test_a_percentile_is_one_of_the_samples() -> None:
    samples = [float(value) for value in range(200, 0, -1)]
    assert p50(samples) == 100.5
    assert p99(samples) == 198.0
    assert percentile(samples, 1.0) == 200.0
    assert percentile(samples, 0.0) == 1.0


def test_the_p99_of_few_samples_is_the_largest() -> None:
    assert p99([3.0, 1.0, 2.0]) == 3.0


def test_nothing_measured_is_shown_as_nothing() -> None:
    assert math.isnan(p50([]))
    assert number(p99([])) == "-"
    assert number(ratio(1.0, 0.0), 2) == "-"
    assert number(ratio(p50([]), 2.0), 2) == "-"


def test_a_number_has_the_digits_that_were_asked_for() -> None:
    assert number(12345.678) == "12,346"
    assert number(0.5, 2) == "0.50"


def test_a_table_is_markdown_with_numbers_to_the_right() -> None:
    text = table([Column("network", right=False), Column("ms")], [["none", "1"], ["a|b", "2"]])
    assert text.splitlines() == ["| network | ms |", "| --- | --: |", "| none | 1 |", "| a/b | 2 |"]


def test_a_row_that_does_not_fit_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="too few cells, or too many"):
        table([Column("a"), Column("b")], [["1"]])


def test_a_table_replaces_only_what_is_between_its_markers() -> None:
    document = "before\n<!-- bench: a -->\nold\n<!-- end: a -->\n<!-- bench: b -->\nkept\n<!-- end: b -->\n"
    changed = publish(document, "a", r"new \1 ")
    assert changed == document.replace("old", r"new \1")


@pytest.mark.parametrize("document", ["", "<!-- bench: a -->\n<!-- end: a -->\n" * 2])
def test_a_document_without_one_place_for_a_table_is_refused(document: str) -> None:
    with pytest.raises(ValueError, match="places for 'a', not one"):
        publish(document, "a", "new")


def test_the_document_has_a_place_for_every_benchmark() -> None:
    document = report.DOCUMENT.read_text()
    for name in ("containers", "dataplane", "flannel", "agent_cost", "scale"):
        assert f"<!-- bench: {name} -->\n" in publish(document, name, "")


def test_samples_that_were_kept_are_shown_again_without_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "BUILD", tmp_path / "build")
    drawn: list[Path] = []

    def draw(record: report.Record, folder: Path) -> list[Path]:
        assert record == {"samples": [1, 2]}
        drawn.append(folder)
        return []

    benchmark = Benchmark("mine", lambda record: f"{len(record['samples'])} samples", draw)
    finish(benchmark, options("").parse_args(["--json", str(tmp_path / "own.json")]), lambda: {"samples": [1, 2]})
    assert json.loads((tmp_path / "build" / "mine.json").read_text()) == {"samples": [1, 2]}
    again = options("").parse_args(["--from", str(tmp_path / "own.json")])
    finish(benchmark, again, lambda: pytest.fail("measured again"))
    assert capsys.readouterr().out.count("2 samples") == 2
    assert drawn == [tmp_path / "build"] * 2
