"""What every benchmark does with what it measured: statistics, Markdown tables, JSON, and the tables in the docs.

A benchmark keeps its raw samples in build/bench/NAME.json, so that its table and pictures can be made again without
measuring. `publish` puts tables between a document's markers (`<!-- bench: NAME -->` and `<!-- end: NAME -->`).
"""

import argparse
import json
import math
import re
import signal
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
DOCUMENT = ROOT / "docs" / "benchmarks.md"
PICTURES = ROOT / "docs" / "benchmarks"

Record = dict[str, Any]

_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `right`: its cells are numbers."""

    title: str
    right: bool = True


def p50(samples: Sequence[float]) -> float:
    """The median; NaN of nothing."""
    return statistics.median(samples) if samples else math.nan


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest sample that `share` (0 to 1) of all don't exceed, with no value made up between two; NaN of nothing.

    Of fewer than 100 samples the p99 is the largest.
    """
    if not samples:
        return math.nan
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def p99(samples: Sequence[float]) -> float:
    """The 99th percentile."""
    return percentile(samples, 0.99)


def ratio(value: float, base: float) -> float:
    """How many times the base; NaN where there is none."""
    return value / base if base else math.nan


def number(value: float, digits: int = 0) -> str:
    """A number for a cell; a dash for what is not there."""
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table. A row has as many cells as there are columns; raises ValueError otherwise."""
    if any(len(row) != len(columns) for row in rows):
        raise ValueError("a row of the table has too few cells, or too many")
    lines = [[column.title for column in columns], ["--:" if column.right else "---" for column in columns], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def publish(document: str, name: str, text: str) -> str:
    """Put a text between the markers of that name; raises ValueError where the document has none."""
    between = re.compile(rf"(<!-- bench: {re.escape(name)} -->\n).*?(<!-- end: {re.escape(name)} -->)", re.DOTALL)
    changed, found = between.subn(lambda match: f"{match[1]}{text.strip()}\n{match[2]}", document)
    if found != 1:
        raise ValueError(f"the document has {found} places for {name!r}, not one")
    return changed


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What `run` needs to know of a benchmark.

    render: Markdown of a record. draw: makes pictures of a record in a folder and returns them.
    """

    name: str
    render: Callable[[Record], str]
    draw: Callable[[Record, Path], Sequence[Path]]


def options(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the samples there too")
    parser.add_argument("--from", type=Path, dest="again", metavar="FILE", help="measure nothing, show such a file")
    parser.add_argument("--write-docs", action="store_true", help="put tables and pictures into docs/")
    return parser


def finish(benchmark: Benchmark, chosen: argparse.Namespace, measure: Callable[[], Record]) -> None:
    """Measure (or read again), keep the samples, print the table, draw, and publish where that was asked for.

    Ctrl-C and SIGTERM alike let the measurement take down what it made.
    """
    if chosen.again:
        record = json.loads(chosen.again.read_text())
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            record = measure()
        except KeyboardInterrupt:
            say("interrupted: what was made is taken down")
            sys.exit(_INTERRUPTED)
        for file in (BUILD / f"{benchmark.name}.json", chosen.json):
            if file:
                keep(file, record)
    text = benchmark.render(record)
    print(f"\n{text}\n")
    BUILD.mkdir(parents=True, exist_ok=True)
    for picture in benchmark.draw(record, BUILD):
        print(picture)
    if chosen.write_docs:
        DOCUMENT.write_text(publish(DOCUMENT.read_text(), benchmark.name, text))
        PICTURES.mkdir(exist_ok=True)
        benchmark.draw(record, PICTURES)


def keep(file: Path, record: Mapping[str, Any]) -> None:
    """Write a record, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(record, indent=1))
    fresh.rename(file)


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, flush=True)
