"""`make coverage` tells the branches that no test reaches, of every file there is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from coverage import CoverageData
from tools.reached import ROOT, Reached, read, table, unreached

FILE = "packages/fairlead/src/fairlead/model/vif.py"


def report(folder: Path, **file: Any) -> Path:
    summary = {"num_statements": 4, "covered_lines": 3}
    path = folder / "fast.json"
    path.write_text(json.dumps({"files": {FILE: {"summary": summary, **file}}}))
    return path


def test_a_file_belongs_to_the_room_that_is_its_folder(tmp_path: Path) -> None:
    (file,) = read(report(tmp_path, executed_branches=[[1, 2]], missing_branches=[[1, -1]]))
    assert file == Reached(Path(FILE), 4, 3, frozenset({(1, 2)}), frozenset({(1, -1)}))
    assert file.room == "fairlead/model"


def test_the_table_has_a_line_for_each_room_and_one_for_all() -> None:
    files = [
        Reached(Path("packages/a/src/a/one/x.py"), 10, 9, frozenset({(1, 2)}), frozenset({(1, 3)})),
        Reached(Path("packages/a/src/a/one/y.py"), 10, 1, frozenset(), frozenset()),
        Reached(Path("packages/b/src/b/two/z.py"), 5, 5, frozenset({(1, 2), (1, 3)}), frozenset()),
        Reached(Path("packages/b/src/b/__init__.py"), 0, 0, frozenset(), frozenset()),
    ]
    assert [line.split() for line in table(files)] == [
        ["room", "lines", "branches"],
        ["a/one", "10/20", "50%", "1/2", "50%"],
        ["b", "-", "-"],
        ["b/two", "5/5", "100%", "2/2", "100%"],
        ["in", "all", "15/25", "60%", "3/4", "75%"],
    ]


def test_a_branch_that_was_missed_is_told_by_what_it_leaves_and_where_it_leads(tmp_path: Path) -> None:
    path = Path("a.py")
    (tmp_path / path).write_text("def f(x):\n    if x:\n        return 1\n    return 2\n")
    file = Reached(path, 4, 3, frozenset(), frozenset({(2, 3), (1, -1)}))
    assert list(unreached([file], tmp_path)) == ["a.py:1 out: def f(x):", "a.py:2 to 3: if x:"]


def test_what_no_process_has_imported_is_counted_too(tmp_path: Path) -> None:
    for name in ("seen", "unseen"):
        file = tmp_path / f"packages/a/src/a/{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")
    data = CoverageData(str(tmp_path / "data"), suffix="one")
    data.add_arcs({str(tmp_path / "packages/a/src/a/seen.py"): {(-1, 1), (1, -1)}})
    # In a process of its own: where this one is being measured, coverage would throw that away.
    code = (
        "import sys; from pathlib import Path; from tools.reached import combine; folder = Path(sys.argv[1]);"
        "combine([folder], folder / 'fast.json', folder)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, check=True)
    assert {file.path.name: file.lines for file in read(tmp_path / "fast.json")} == {"seen.py": 1, "unseen.py": 0}
