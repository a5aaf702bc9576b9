"""A little of the fuzz with each run of the tests, and all that it has ever found: `make fuzz` is the long one."""

import random
from pathlib import Path

import pytest

from fairlead_lab.fakes import FakeCloud
from tests.fuzz.run import MODES, fuzz

CORPUS = Path(__file__).parent / "corpus"
CASES = 1200


@pytest.mark.parametrize("mode", MODES)
async def test_bodies_that_nobody_should_send_are_refused_in_a_line_and_change_nothing(mode: str) -> None:
    counted = await fuzz(mode, CASES, seed=20261128)
    assert counted.total() == CASES
    assert counted["/NetworkDriver.CreateNetwork 200"] + counted["/NetworkDriver.Join 200"] > 0
    assert counted["/NetworkDriver.CreateNetwork 400"] > 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("file", sorted(CORPUS.iterdir()), ids=lambda file: file.name)
async def test_what_was_found_once_is_refused_for_good(tmp_path: Path, mode: str, file: Path) -> None:
    """A file holds the path in its first line, and then the body."""
    path, _, body = file.read_bytes().partition(b"\n")
    async with FakeCloud() as cloud, MODES[mode](cloud, tmp_path, random.Random(1)) as (node, doors):
        await node.core.rebuild.ensure()
        (door,) = [one for one in doors if path.decode() in one.schemas] or [doors[0]]
        assert await door.target.send(path.decode(), body) == {}
