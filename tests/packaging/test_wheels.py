"""The wheels, each in an environment of its own: what is not in them, or not required by them, is missed here."""

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from tests.packaging.conftest import Environment
from tests.unit.packaging.distributions import NAMES, ROOT, Distribution

pytestmark = pytest.mark.wheels

each = pytest.mark.parametrize("name", NAMES)

OF_NEUTRONS_ENVIRONMENT = frozenset(
    f"fairlead_lab.services.{name}" for name in ("keystone_api", "neutron_api", "seed_keystone", "serve")
)
"""Files that only Keystone's and Neutron's own Python runs."""

IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    assert module.__file__.startswith(sys.prefix), module.__file__
print(len(sys.argv) - 1)
"""


@each
def test_every_module_imports_where_nothing_else_is(name: str, environment: Callable[[str], Environment]) -> None:
    modules = sorted(Distribution(name).modules - OF_NEUTRONS_ENVIRONMENT)
    said = environment(name).run("python", "-I", "-c", IMPORT_ALL, *modules)
    assert said == f"{len(modules)}\n"


@each
def test_an_environment_holds_what_is_required_and_agrees_with_itself(
    name: str, environment: Callable[[str], Environment]
) -> None:
    made = environment(name)
    assert {name, *Distribution(name).required} <= made.installed
    assert "pytest" not in made.installed


def test_a_node_knows_no_lab(environment: Callable[[str], Environment]) -> None:
    said = environment("fairlead").run("fairlead", "--help")
    assert "  agent " in said
    assert "  lab " not in said


def test_a_node_gets_nothing_that_only_the_lab_needs(environment: Callable[[str], Environment]) -> None:
    only_the_labs = Distribution("fairlead-lab").required - Distribution("fairlead").required - {"fairlead"}
    assert only_the_labs == {"uv"}
    assert not environment("fairlead").installed & {*only_the_labs, "fairlead-lab", "fairlead-magnum"}


def test_the_lab_brings_its_command_and_the_nodes(environment: Callable[[str], Environment]) -> None:
    made = environment("fairlead-lab")
    said = made.run("fairlead", "--help")
    assert "  agent " in said
    assert "  lab " in said
    assert "  up " in made.run("fairlead", "lab", "--help")


def test_the_commands_tell_the_version_of_the_wheel(environment: Callable[[str], Environment]) -> None:
    assert environment("fairlead").run("fairlead", "--version").split()[-1] == Distribution("fairlead").version


def test_the_lab_has_the_list_of_what_its_cloud_is_made_of(environment: Callable[[str], Environment]) -> None:
    code = "from fairlead_lab.environment import requirements; print(requirements())"
    assert "\nneutron==" in environment("fairlead-lab").run("python", "-I", "-c", code)


def test_magnums_driver_needs_no_node(environment: Callable[[str], Environment]) -> None:
    assert environment("fairlead-magnum").installed == {"fairlead-magnum"}


@each
def test_a_wheel_is_one_package_and_its_papers(name: str, wheel: Callable[[str], zipfile.ZipFile]) -> None:
    distribution = Distribution(name)
    papers = f"{distribution.package}-{distribution.version}.dist-info"
    with wheel(name) as archive:
        names = archive.namelist()
        assert archive.read(f"{papers}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert {PurePosixPath(entry).parts[0] for entry in names} == {distribution.package, papers}
    assert f"{distribution.package}/py.typed" in names
    assert not [entry for entry in names if "test" in entry.lower()]
    assert not [entry for entry in names if entry.endswith(".pyc")]


@each
def test_a_wheel_has_every_file_of_its_package(name: str, wheel: Callable[[str], zipfile.ZipFile]) -> None:
    source = Distribution(name).source
    files = {str(path.relative_to(source.parent)) for path in source.rglob("*") if path.is_file()}
    with wheel(name) as archive:
        assert {entry for entry in archive.namelist() if ".dist-info/" not in entry} == {
            entry for entry in files if "__pycache__" not in entry
        }


def test_a_nodes_wheel_has_neither_lab_nor_fakes(wheel: Callable[[str], zipfile.ZipFile]) -> None:
    with wheel("fairlead") as archive:
        folders = {part for entry in archive.namelist() for part in PurePosixPath(entry).parts}
    assert not folders & {"fairlead_lab", "lab", "lab.py", "fakes", "tests"}


@each
def test_an_sdist_has_the_license_and_what_the_wheel_is_built_of(name: str, built: Path) -> None:
    distribution = Distribution(name)
    top = f"{distribution.package}-{distribution.version}"
    with tarfile.open(built / f"{top}.tar.gz") as archive:
        files = {entry.name for entry in archive if entry.isfile()}
        others = [entry.name for entry in archive if not entry.isfile()]
    assert {f"{top}/{file}" for file in ("LICENSE", "README.md", "pyproject.toml", "PKG-INFO")} <= files
    assert others == []
