"""The distributions of this workspace as their pyproject.toml tells of them."""

import re
import tomllib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[3]
NAMES = ("fairlead", "fairlead-lab", "fairlead-magnum")


@dataclass(frozen=True)
class Distribution:
    """One folder of packages/."""

    name: str

    @property
    def folder(self) -> Path:
        return ROOT / "packages" / self.name

    @property
    def package(self) -> str:
        return self.name.replace("-", "_")

    @property
    def source(self) -> Path:
        return self.folder / "src" / self.package

    @property
    def version(self) -> str:
        return str(import_module(self.package).__version__)

    @property
    def requirements(self) -> tuple[str, ...]:
        project = tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]
        return tuple(project["dependencies"])

    @property
    def required(self) -> frozenset[str]:
        """The requirements' names, as an index spells them."""
        return frozenset(distribution_name(requirement) for requirement in self.requirements)

    @property
    def modules(self) -> frozenset[str]:
        """Every module by its whole name."""
        found = set()
        for path in self.source.rglob("*.py"):
            parts = path.relative_to(self.source.parent).with_suffix("").parts
            found.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        return frozenset(found)


def distribution_name(requirement: str) -> str:
    """Return the name in a requirement, as an index spells it (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found.group()).lower()
