"""What the house is made of, read out of the code: rooms in layers, and which room imports which.

The layers are those of import-linter's contracts in pyproject.toml, the arrows are grimp's, the words are docstrings.
Of this are made the picture (tools/drawing.py) and docs/architecture.md, so that neither says what the code does not.
"""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]

Edge = tuple[str, str]
"""From the room that imports to the room that is imported."""


@dataclass(frozen=True, slots=True)
class Room:
    """A package or a module by its whole name. words: its docstring. layers: the rooms inside, top to bottom."""

    name: str
    words: str
    layers: tuple[tuple["Room", ...], ...] = ()

    @property
    def title(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring, on one line, without its own name, marks and addresses."""
        text = " ".join(self.words.split("\n\n")[0].split()).replace("`", "")
        text = re.sub(r" \(https?:[^)]*\)", "", text)
        text = re.sub(rf"^{self.title}: ", "", text, flags=re.IGNORECASE)
        # What stands after a name begins as a sentence; a program's own name, as libnetwork's, stays as it is written.
        return text if text == self.words[: len(text)] else text[:1].upper() + text[1:]

    def walk(self) -> Iterator["Room"]:
        """This room and all inside it, as one reads the picture."""
        yield self
        for layer in self.layers:
            for room in layer:
                yield from room.walk()


@dataclass(frozen=True, slots=True)
class House:
    """The distributions as rooms. commands: which distribution brings which command by an entry point."""

    distributions: tuple[Room, ...]
    imports: frozenset[Edge]
    commands: Mapping[str, str] = field(default_factory=dict)


def read_house(root: Path = ROOT) -> House:
    """Read the house out of its code and its pyproject files."""
    projects = {
        path.parent: tomllib.loads(path.read_text())["project"] for path in root.glob("packages/*/pyproject.toml")
    }
    packages = {folder / "src" / folder.name.replace("-", "_"): project for folder, project in sorted(projects.items())}
    contracts = _layers(root)
    distributions = tuple(
        Room(package.name, project["description"], _inside(package, package.name, contracts))
        for package, project in packages.items()
    )
    commands = {
        command: package.name
        for package, project in packages.items()
        for command in project.get("entry-points", {}).get("fairlead.commands", {})
    }
    rooms = {room.name for distribution in distributions for room in distribution.walk()}
    graph = grimp.build_graph(*(package.name for package in packages), cache_dir=None)
    imports = {
        (_room_of(importer, rooms), _room_of(imported, rooms))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    return House(distributions, frozenset(edge for edge in imports if not _nested(*edge)), commands)


def without_detours(edges: Iterable[Edge]) -> set[Edge]:
    """The edges that don't follow from others: who reaches a room by way of another one needs no arrow of its own."""
    targets: dict[str, set[str]] = {}
    for first, last in edges:
        targets.setdefault(first, set()).add(last)

    def beyond(room: str, seen: set[str]) -> set[str]:
        for following in targets.get(room, set()) - seen:
            seen.add(following)
            beyond(following, seen)
        return seen

    return {
        (first, last)
        for first, lasts in targets.items()
        for last in lasts
        if not any(last in beyond(other, set()) for other in lasts - {last} if first not in beyond(other, set()))
    }


def between(edges: Iterable[Edge], rooms: Iterable[str]) -> set[Edge]:
    """The edges between rooms of one level, those of the rooms inside them counted as theirs."""
    names = set(rooms)
    raised = {(_room_of(first, names, ""), _room_of(last, names, "")) for first, last in edges}
    return {(first, last) for first, last in raised if first and last and first != last}


def _layers(root: Path) -> dict[str, list[list[str]]]:
    """The names in each layer, by the container that a contract of import-linter gives."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {
        container: [[name.strip(" ()") for name in layer.replace("|", ":").split(":")] for layer in contract["layers"]]
        for contract in settings["contracts"]
        if contract["type"] == "layers"
        for container in contract.get("containers", ())
    }


def _inside(folder: Path, name: str, contracts: Mapping[str, list[list[str]]]) -> tuple[tuple[Room, ...], ...]:
    """The rooms in a folder: by its contract's layers, or each folder beside the others, where it has none."""
    layers = contracts.get(name) or [sorted(path.parent.name for path in folder.glob("*/__init__.py"))]
    rooms = (
        tuple(_room(folder, f"{name}.{inner}", contracts) for inner in layer if not inner.startswith("__"))
        for layer in layers
    )
    return tuple(layer for layer in rooms if layer)


def _room(parent: Path, name: str, contracts: Mapping[str, list[list[str]]]) -> Room:
    folder = parent / name.rpartition(".")[2]
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    words = ast.get_docstring(ast.parse(file.read_text())) or ""
    return Room(name, words, _inside(folder, name, contracts) if folder.is_dir() else ())


def _room_of(module: str, rooms: set[str], otherwise: str | None = None) -> str:
    """The innermost room that a module is in."""
    parts = module.split(".")
    for count in range(len(parts), 0, -1):
        if (name := ".".join(parts[:count])) in rooms:
            return name
    return parts[0] if otherwise is None else otherwise


def _nested(first: str, last: str) -> bool:
    """Whether one is the other, or inside of it."""
    return f"{first}.".startswith(f"{last}.") or f"{last}.".startswith(f"{first}.")
