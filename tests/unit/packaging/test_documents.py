"""The documents name files that are there, and link to what is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.guarding.rules import expected, table
from tests.unit.packaging.distributions import NAMES, ROOT, Distribution

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("packages/*/README.md")])
PLACES = [ROOT, *(Distribution(name).source for name in NAMES)]
HISTORY = {"CHANGELOG.md", "0001-layers.md"}
"""They tell of what was."""

each = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def now(path: Path) -> str:
    """What a document says of the house as it is."""
    return path.read_text().partition("\n## Names that were\n")[0]


def headings(path: Path) -> Iterator[str]:
    """The anchors that a document has."""
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            yield re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.name not in HISTORY], ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(path: Path) -> None:
    named = re.findall(r"`(?!build/)((?:[\w-]+/)+[\w.-]+\.\w+)`", now(path))
    assert not [name for name in named if not any((place / name).exists() for place in PLACES)]


@each
def test_every_link_leads_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", path.read_text()):
        file = path.parent / target if target else path
        assert file.exists(), target
        assert not anchor or anchor in headings(file), f"{target}#{anchor}"


def test_the_new_names_of_the_table_are_those_of_files() -> None:
    table = (ROOT / "docs/architecture.md").read_text().partition("\n## Names that were\n")[2]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("| ")]
    named = [name for row in rows for name in re.findall(r"`((?:[\w-]+/)*[\w-]+(?:\.py|/))`", row)]
    assert len(named) > 15
    assert not [name for name in named if not any((place / name).exists() for place in PLACES)]


def test_a_word_is_told_once_and_in_order() -> None:
    words = (ROOT / "docs/architecture.md").read_text().partition("\n## Words\n")[2].partition("\n## ")[0]
    told = [line.split("|")[1].strip().lower() for line in words.splitlines() if line.startswith("| ")][1:]
    assert len(told) > 40
    assert told == sorted(set(told))


def test_who_reaches_whom_is_what_the_rules_say() -> None:
    """That packets do what the rules say, `tests/functional/test_guard_matrix.py` shows."""
    assert table(expected()) in (ROOT / "docs" / "security.md").read_text()
