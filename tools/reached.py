"""Which branches the tests reach: a table of rooms, and a list of what no test reaches.

`python -m tools.reached FOLDER`, after `packaging/coverage` has measured the tiers `fast`, `slow` or both into it.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coverage import Coverage

ROOT = Path(__file__).parents[1]
TIERS = ("fast", "slow")

Branch = tuple[int, int]
"""From a line to a line; to a negative one: out of what begins there."""


@dataclass(frozen=True, slots=True)
class Reached:
    """One file. statements, lines: how many there are, how many were run; reached and missed: its branches."""

    path: Path
    statements: int
    lines: int
    reached: frozenset[Branch]
    missed: frozenset[Branch]

    @property
    def room(self) -> str:
        """The folder, from its distribution on."""
        return str(self.path.parent).partition("src/")[2]


def sources(root: Path = ROOT) -> list[Path]:
    """Every file of the distributions, measured or not, from the root on."""
    return sorted(path.relative_to(root) for path in root.glob("packages/*/src/**/*.py"))


def read(report: Path) -> list[Reached]:
    """The files of one report in coverage's JSON."""
    files = json.loads(report.read_text())["files"]
    return [
        Reached(
            Path(path),
            file["summary"]["num_statements"],
            file["summary"]["covered_lines"],
            frozenset((first, last) for first, last in file["executed_branches"]),
            frozenset((first, last) for first, last in file["missing_branches"]),
        )
        for path, file in sorted(files.items())
    ]


def combine(folders: Iterable[Path], report: Path, root: Path = ROOT) -> None:
    """Join what all processes of some tiers measured into one report, in which no file is left out."""
    measured = Coverage(data_file=str(report.with_suffix(".data")), branch=True, config_file=False)
    # Each folder's pieces stay where they are: the next report may want them with another tier's.
    pieces = [str(piece) for folder in folders for piece in folder.glob("data.*")]
    measured.combine(pieces, keep=True)
    measured.get_data().touch_files([str(root / path) for path in sources(root)])
    measured.save()
    measured.json_report(outfile=str(report), ignore_errors=True)


def table(files: Sequence[Reached]) -> Iterator[str]:
    """A line for each room: how many of its lines and branches were reached."""
    rooms = sorted({file.room for file in files})
    width = max(map(len, rooms))
    yield f"{'room':<{width}}  {'lines':>12}  {'branches':>12}"
    for room in [*rooms, ""]:
        chosen = [file for file in files if room in ("", file.room)]
        lines = _share(sum(file.lines for file in chosen), sum(file.statements for file in chosen))
        reached = sum(len(file.reached) for file in chosen)
        branches = _share(reached, reached + sum(len(file.missed) for file in chosen))
        yield f"{room or 'in all':<{width}}  {lines:>12}  {branches:>12}"


def _share(part: int, whole: int) -> str:
    return f"{part}/{whole} {100 * part // whole:>3}%" if whole else "-"


def unreached(files: Iterable[Reached], root: Path = ROOT) -> Iterator[str]:
    """A line for each branch that was not taken, with the source that it leaves and the line that it leads to."""
    for file in files:
        text = (root / file.path).read_text().splitlines()
        for first, last in sorted(file.missed):
            where = f"to {last}" if last > 0 else "out"
            yield f"{file.path}:{first} {where}: {text[first - 1].strip()}"


def main(folder: Path) -> None:
    """Tell of each tier that was measured, and of all of them together."""
    measured = [tier for tier in TIERS if list((folder / tier).glob("data.*"))]
    for count in range(1, len(measured) + 1):
        tiers = measured[:count]
        report = folder / f"{'-and-'.join(tiers)}.json"
        combine([folder / tier for tier in tiers], report)
        files = read(report)
        listed = report.with_suffix(".unreached")
        missing = list(unreached(files))
        listed.write_text("".join(f"{line}\n" for line in missing))
        print(f"\nReached by {' and '.join(tiers)}:\n")
        print("\n".join(table(files)))
        print(f"\n{len(missing)} branches that no test reached are in {listed.relative_to(ROOT)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
