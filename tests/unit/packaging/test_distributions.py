"""What the three distributions say of themselves, without building any; tests/packaging builds and installs them."""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.unit.packaging.distributions import NAMES, ROOT, Distribution, distribution_name

each = pytest.mark.parametrize("name", NAMES)

OF_NEUTRONS_ENVIRONMENT = {"access_log", "disturbance", "gunicorn", "keystone", "neutron", "serve"}
"""What the lab's services import, which Neutron's own Python runs."""


def requirements_used(distribution: Distribution) -> dict[str, set[str]]:
    """Each library that a distribution imports, and the names by which one can require it."""
    brought_by = {**installed_libraries(), **{Distribution(name).package: [name] for name in NAMES}}
    libraries = {library for path in distribution.source.rglob("*.py") for library in imported(path)}
    libraries -= {distribution.package, *sys.stdlib_module_names}
    if distribution.name == "fairlead-lab":
        libraries -= OF_NEUTRONS_ENVIRONMENT
    return {library: {distribution_name(name) for name in brought_by.get(library, ())} for library in libraries}


@cache
def installed_libraries() -> Mapping[str, Sequence[str]]:
    """What is installed here, by what one imports."""
    return packages_distributions()


def imported(path: Path) -> Iterator[str]:
    """The libraries that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]


@each
def test_every_library_that_is_imported_is_required_by_name(name: str) -> None:
    """One that is there only since another library needs it goes when that one does."""
    distribution = Distribution(name)
    used = requirements_used(distribution)
    assert not {library for library, names in used.items() if not names & distribution.required}


@each
def test_no_library_is_required_that_is_not_imported(name: str) -> None:
    distribution = Distribution(name)
    assert distribution.required <= set().union(*requirements_used(distribution).values())


def test_each_dependency_has_its_reason_and_cost_written_down() -> None:
    rows = (ROOT / "docs" / "adr" / "0002-dependencies.md").read_text().lower()
    for name in NAMES:
        for requirement in Distribution(name).required - {"fairlead"}:
            assert f"\n| {requirement} " in rows, requirement


def test_the_distributions_are_of_one_version() -> None:
    assert len({Distribution(name).version for name in NAMES}) == 1


def test_the_lab_requires_the_node_of_its_own_version() -> None:
    assert f"fairlead=={Distribution('fairlead').version}" in Distribution("fairlead-lab").requirements


def test_a_node_requires_nothing_of_the_lab() -> None:
    assert "uv" in Distribution("fairlead-lab").required
    assert not Distribution("fairlead").required & {"uv", "fairlead-lab"}


@each
def test_each_has_the_license_as_a_file_of_its_own(name: str) -> None:
    """A link that leads out of the folder is kept by an sdist as a link to nowhere."""
    license_file = Distribution(name).folder / "LICENSE"
    assert not license_file.is_symlink()
    assert license_file.read_text() == (ROOT / "LICENSE").read_text()
