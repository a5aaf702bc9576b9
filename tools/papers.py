"""What is made of the code for docs: the picture of the house, and its rooms' docstrings as a section of the text.

`python -m tools.papers` writes both (packaging/draw-house); a test of `make check` holds what is committed to it.
"""

from collections.abc import Iterator
from pathlib import Path

from tools.drawing import draw
from tools.house import ROOT, House, Room, read_house

PICTURE = Path("docs/architecture.svg")
TEXT = Path("docs/architecture.md")
BEGIN = "<!-- begin: rooms, by packaging/draw-house -->"
END = "<!-- end: rooms -->"


def papers(root: Path = ROOT) -> dict[Path, str]:
    """Return what each paper is to be, by its path from the root on."""
    house = read_house(root)
    return {PICTURE: draw(house), TEXT: insert((root / TEXT).read_text(), "\n".join(rooms(house)))}


def rooms(house: House) -> Iterator[str]:
    """The docstring of each room, under the distribution that it is in."""
    for distribution in house.distributions:
        yield f"### {distribution.name.replace('_', '-')}"
        yield f"{distribution.words}."
        yield ""
        for room in distribution.walk():
            if room is not distribution:
                yield _room(room)
        yield ""


def _room(room: Room) -> str:
    inner = room.name.split(".")[1:]
    paragraphs = [" ".join(paragraph.split()) for paragraph in room.words.split("\n\n")]
    return f"{'  ' * (len(inner) - 1)}- **{'/'.join(inner)}**: {' '.join(paragraphs)}"


def insert(text: str, section: str) -> str:
    """Put a section in the place that the marks keep for it."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{section.rstrip()}\n{END}{after}"


if __name__ == "__main__":
    for path, text in papers().items():
        (ROOT / path).write_text(text)
