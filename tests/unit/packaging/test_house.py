"""The picture of the house shows what the code is: it is made of it, the same each time."""

import re
from xml.etree import ElementTree

import pytest
from tools.drawing import WIDTH, draw
from tools.house import ROOT, House, Room, between, read_house, without_detours
from tools.papers import BEGIN, END, insert, papers


@pytest.fixture(scope="module")
def house() -> House:
    return read_house()


def test_the_picture_and_the_text_are_those_of_the_code() -> None:
    for path, text in papers().items():
        assert (ROOT / path).read_text() == text, f"{path} tells of another house: run packaging/draw-house"


def test_every_folder_and_layer_of_the_node_is_a_room(house: House) -> None:
    rooms = {room.name for room in house.distributions[0].walk()}
    assert {"fairlead.model", "fairlead.concurrency", "fairlead.core.warm", "fairlead.frontends.docker"} <= rooms
    folders = {path.parent.name for path in (ROOT / "packages/fairlead/src/fairlead").glob("*/__init__.py")}
    assert {f"fairlead.{folder}" for folder in folders} <= rooms


def test_every_room_says_what_it_is_for(house: House) -> None:
    for distribution in house.distributions:
        for room in distribution.walk():
            assert room.summary, room.name


def test_the_layers_are_those_that_are_checked(house: House) -> None:
    """A room of a layer imports nothing above it: the arrows go down, or sideways."""
    for room in house.distributions[0].walk():
        row_of = {inner.name: row for row, layer in enumerate(room.layers) for inner in layer}
        assert all(row_of[first] <= row_of[last] for first, last in between(house.imports, row_of))


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    assert without_detours({("a", "b"), ("b", "c"), ("a", "c")}) == {("a", "b"), ("b", "c")}
    assert without_detours({("a", "b"), ("b", "a"), ("a", "c")}) == {("a", "b"), ("b", "a"), ("a", "c")}


def test_what_is_in_a_room_imports_for_the_room() -> None:
    assert between({("x.a.one", "x.b"), ("x.a", "y"), ("x.b", "x.b.two")}, ["x.a", "x.b"]) == {("x.a", "x.b")}


def test_the_picture_is_the_same_each_time_and_every_box_is_in_it(house: House) -> None:
    picture = draw(house)
    assert picture == draw(read_house())
    root = ElementTree.fromstring(picture)
    height = float(root.attrib["height"])
    boxes = [node.attrib for node in root.iter() if node.attrib.get("class") in {"frame", "room", "inner"}]
    assert len(boxes) >= 20
    for box in boxes:
        assert float(box["x"]) + float(box["width"]) <= WIDTH
        assert float(box["y"]) + float(box["height"]) <= height


def test_a_picture_has_an_arrow_between_two_rooms_of_which_one_imports_the_other() -> None:
    node = Room("n", "The node", ((Room("n.cli", "Above"),), (Room("n.model", "Below"),)))
    assert '<path class="arrow"' not in draw(House((node,), frozenset()))
    picture = draw(House((node,), frozenset({("n.cli", "n.model")})))
    assert len(re.findall('<path class="arrow"', picture)) == 1


def test_a_section_takes_the_place_of_the_former_one() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert insert(text, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert insert(insert(text, "new"), "new") == insert(text, "new")
