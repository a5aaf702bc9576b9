"""The house as a picture: boxes in layers, arrows between them, a frame for each distribution. SVG, always the same."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from textwrap import wrap

from tools.house import Edge, House, Room, between, without_detours

WIDTH = 1000
_MARGIN = 16
_GUTTER = 44
"""Right of the first distribution's frame, for arrows from the others, which are side by side below it."""
_PLAIN = 220
"""The width of a distribution without rooms."""
_PAD = 12
_SIDE_GAP = 30
_ROW_GAP = 34
_SPAN_SHARE = 0.42
"""Of a box that reaches down beside others, of the room's width."""
_NARROWEST = 145
"""Rooms that would be narrower side by side have several rows."""
_LINE = 14
_TITLE = 18
_LANE = 18
_DEEPEST = 2
"""Rooms inside of rooms inside of rooms have their names told, and no box."""

Point = tuple[float, float]

_LIGHT = {"paper": "#ffffff", "ink": "#1c2733", "soft": "#52606d", "line": "#9aa5b1", "frame": "#f5f7fa"}
_LIGHT |= {"room": "#ffffff", "inner": "#eef4fb", "arrow": "#2f6fab"}
_DARK = {"paper": "#12181f", "ink": "#e4e9ee", "soft": "#a9b4bf", "line": "#51606f", "frame": "#19212a"}
_DARK |= {"room": "#212c37", "inner": "#2a3947", "arrow": "#7db7ec"}
# No custom properties: not every program that shows SVG knows them.
_COLOURS = """.paper {{ fill: {paper}; }}
.frame {{ fill: {frame}; stroke: {line}; }}
.room {{ fill: {room}; stroke: {line}; }}
.inner {{ fill: {inner}; stroke: {line}; }}
.title {{ fill: {ink}; }}
.words {{ fill: {soft}; }}
.arrow {{ stroke: {arrow}; }}
.head {{ fill: {arrow}; }}"""
_SHAPES = """text { font-family: system-ui, "DejaVu Sans", sans-serif; font-size: 11px; }
.title { font-size: 13px; font-weight: 600; }
.frame { stroke-dasharray: 5 4; }
.arrow { fill: none; stroke-width: 1.6; }
.found { stroke-dasharray: 4 3; }"""
_STYLE = f"""{_SHAPES}
{_COLOURS.format(**_LIGHT)}
@media (prefers-color-scheme: dark) {{
{_COLOURS.format(**_DARK)}
}}"""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something begins, how wide it may be, and in how many rooms it is."""

    x: float
    y: float
    width: float
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Box:
    """A room's place."""

    room: Room
    x: float
    y: float
    width: float
    height: float
    depth: int

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height

    def nearest(self, x: float) -> float:
        """The place on its upper or lower edge that is nearest to an x."""
        return min(max(x, self.x + 8), self.right - 8)


@dataclass(slots=True)
class _Plan:
    """Boxes by their rooms' names, and arrows as points; found: the one that is no import."""

    imports: frozenset[Edge]
    boxes: dict[str, Box] = field(default_factory=dict)
    arrows: list[tuple[list[Point], bool]] = field(default_factory=list)


def draw(house: House) -> str:
    """Return the picture."""
    plan = _Plan(house.imports)
    node, *others = house.distributions
    width = WIDTH - 2 * _MARGIN - _GUTTER
    y = _MARGIN + _place(plan, node, Spot(_MARGIN, _MARGIN, width)) + _ROW_GAP
    plain = [other for other in others if not other.layers]
    roomy = (width - len(plain) * (_PLAIN + _SIDE_GAP)) / max(1, len(others) - len(plain))
    x, bottom = float(_MARGIN), y
    for other in [*plain, *(one for one in others if one.layers)]:
        each = _PLAIN if other in plain else roomy
        bottom = max(bottom, y + _place(plan, other, Spot(x, y, each)))
        x += each + _SIDE_GAP
    bottom += 26
    _join_distributions(plan, house)
    return "\n".join(_svg(plan, bottom)) + "\n"


def _place(plan: _Plan, room: Room, spot: Spot) -> float:
    """Plan a room with all inside of it; return its height."""
    below = spot.y + _head(room, spot.width, spot.depth)
    if room.layers and spot.depth < _DEEPEST:
        inside = Spot(spot.x + _PAD, below, spot.width - 2 * _PAD, spot.depth + 1)
        below = _place_layers(plan, room, inside) + _PAD
        if spot.depth == 0:
            below += _PAD  # an arrow of another distribution's comes in from there
    plan.boxes[room.name] = Box(room, spot.x, spot.y, spot.width, below - spot.y, spot.depth)
    return below - spot.y


def _head(room: Room, width: float, depth: int) -> float:
    return _PAD + _TITLE + _LINE * len(_words(room, width, depth))


def _words(room: Room, width: float, depth: int) -> list[str]:
    lines = wrap(room.summary, int((width - 2 * _PAD) / 5.9))
    names = [inner.title for layer in room.layers for inner in layer]
    if depth == _DEEPEST and names:
        lines += wrap("Rooms: " + ", ".join(names), int((width - 2 * _PAD) / 5.9))
    return lines


def _place_layers(plan: _Plan, parent: Room, spot: Spot) -> float:
    """Plan the layers of a room, one under another; return where they end."""
    x, y, width = spot.x, spot.y, spot.width
    edges = without_detours(between(plan.imports, (room.name for row in parent.layers for room in row)))
    rows = [part for row in parent.layers for part in _split(row, width, {first for first, _ in edges})]
    row_of = {room.name: number for number, row in enumerate(rows) for room in row}
    gap = _ROW_GAP if edges else _PAD
    ends = {name: _reach(name, row, edges, row_of, len(rows)) for name, row in row_of.items()}
    lanes = {edge: _side(edge[1], rows[row_of[edge[1]]]) for edge in edges if row_of[edge[1]] > ends[edge[0]] + 1}
    span = width * _SPAN_SHARE
    reaching: list[tuple[Room, float, float, int]] = []  # boxes that end in a later row: room, x, y, that row
    right = x + width  # of the lane there: beside what reaches down into the rows that it passes
    for number, row in enumerate(rows):
        taken = sum(span + _SIDE_GAP for *_, end in reaching if end >= number)
        passing = {side for edge, side in lanes.items() if ends[edge[0]] < number < row_of[edge[1]]}
        right = min(right, x + width - taken) if "right" in passing else right
        left_lane = _LANE * ("left" in passing)
        here = width - taken - _LANE * len(passing)
        long = [room for room in row if ends[room.name] > number]
        short = [room for room in row if room not in long]
        for count, room in enumerate(long, 1):
            reaching.append((room, x + left_lane + here - count * span - (count - 1) * _SIDE_GAP, y, ends[room.name]))
        here -= len(long) * (span + _SIDE_GAP)
        y = _place_row(plan, short, Spot(x + left_lane, y, here, spot.depth))
        for room, left, top, _ in [one for one in reaching if one[3] == number]:
            # It has to reach the row's end, and the row its end, whichever is lower.
            y = max(y, top + _place(plan, room, Spot(left, top, span, spot.depth)))
            _stretch(plan, room.name, y)
        for room in short:
            _stretch(plan, room.name, y)
        y += gap
    middles = {"left": x + _LANE / 2, "right": right - _LANE / 2}
    for edge in sorted(edges):
        lane = middles[lanes[edge]] if edge in lanes else None
        plan.arrows.append((_arrow(plan.boxes, edge, lane), False))
    return y - gap


def _split(row: Sequence[Room], width: float, importing: set[str]) -> Iterator[Sequence[Room]]:
    """Split a row that is too narrow, so that those come first of whom no arrow goes down."""
    most = max(1, int((width + _SIDE_GAP) / (_NARROWEST + _SIDE_GAP)))
    rooms = row if len(row) <= most else sorted(row, key=lambda room: room.name in importing)
    for begin in range(0, len(rooms), most):
        yield rooms[begin : begin + most]


def _reach(name: str, row: int, edges: Iterable[Edge], row_of: Mapping[str, int], rows: int) -> int:
    """The row down to which a box goes: that above the first room which it imports, so that no arrow crosses a room."""
    below = [row_of[last] for first, last in edges if first == name and row_of[last] > row]
    return min(below, default=row + 1) - 1 if row + 1 < rows else row


def _side(name: str, row: Sequence[Room]) -> str:
    """The side by which an arrow passes the rows above a room."""
    return "left" if row[0].name == name and len(row) > 1 else "right"


def _place_row(plan: _Plan, rooms: Sequence[Room], spot: Spot) -> float:
    """Plan rooms side by side; return where the row ends."""
    each = (spot.width - _SIDE_GAP * (len(rooms) - 1)) / max(len(rooms), 1)
    places = [Spot(spot.x + count * (each + _SIDE_GAP), spot.y, each, spot.depth) for count in range(len(rooms))]
    return spot.y + max((_place(plan, room, place) for room, place in zip(rooms, places, strict=True)), default=0)


def _stretch(plan: _Plan, name: str, bottom: float) -> None:
    box = plan.boxes[name]
    plan.boxes[name] = Box(box.room, box.x, box.y, box.width, bottom - box.y, box.depth)


def _arrow(boxes: Mapping[str, Box], edge: Edge, lane: float | None) -> list[Point]:
    """From a room to one beside or below it; lane: where it passes the rows between."""
    first, last = boxes[edge[0]], boxes[edge[1]]
    if first.bottom > last.y and first.y < last.bottom:
        middle = (max(first.y, last.y) + min(first.bottom, last.bottom)) / 2
        return (
            [(first.right, middle), (last.x, middle)] if first.x < last.x else [(first.x, middle), (last.right, middle)]
        )
    if lane is not None:
        start = first.nearest(lane)
        under = first.bottom + (8 if lane > start else 16)  # those to the left under those to the right
        return [(start, first.bottom), (start, under), (lane, under), (lane, last.y - 10), (last.nearest(lane), last.y)]
    left, end = max(first.x, last.x), min(first.right, last.right)
    if end - left > _SIDE_GAP:
        return [((left + end) / 2, first.bottom), ((left + end) / 2, last.y)]
    return [(first.nearest(last.x), first.bottom), (last.nearest(first.x), last.y)]


def _join_distributions(plan: _Plan, house: House) -> None:
    """Arrows between the node and what is below it: straight up, or by the gutter at the right."""
    node, *others = house.distributions
    inside = {room.name for layer in node.layers for room in layer}
    outside = {room.name for other in others for room in other.walk()}
    edges = without_detours(between(plan.imports, inside | outside))
    crossing = [edge for edge in sorted(edges) if edge[0] in outside and edge[1] in inside]
    # What a distribution imports anyway, a room of its own need not show again.
    crossing = [(a, b) for a, b in crossing if (a.rpartition(".")[0], b) not in crossing]
    frame = plan.boxes[node.name]
    commands = sorted(set(house.commands.values()))
    lanes = iter(frame.right + _GUTTER * count / (len(crossing) + len(commands) + 1) for count in range(1, 99))
    for first, last in crossing:
        source, target = plan.boxes[first], plan.boxes[last]
        left, right = max(source.x, target.x), min(source.right, target.right)
        if source.depth == 0 and right - left > _SIDE_GAP and _is_lowest(target, plan, inside):
            path = [((left + right) / 2, source.y), ((left + right) / 2, target.bottom)]
        else:
            outer = plan.boxes[first.partition(".")[0]]
            lane, under = next(lanes), outer.bottom - _PAD
            middle, level = source.x + source.width / 2, target.y + min(target.height / 2, 40)
            path = [(middle, source.bottom), (middle, under), (lane, under), (lane, level), (target.right, level)]
        plan.arrows.append((path, False))
    for distribution in commands:
        cli, other, lane = plan.boxes[f"{node.name}.cli"], plan.boxes[distribution], next(lanes)
        start, end = cli.y + cli.height / 2, other.y + 24
        plan.arrows.append(([(cli.right, start), (lane, start), (lane, end), (other.right, end)], True))


def _is_lowest(box: Box, plan: _Plan, names: Iterable[str]) -> bool:
    return all(other.y < box.bottom for other in (plan.boxes[name] for name in names))


def _svg(plan: _Plan, height: float) -> Iterator[str]:
    size = f'viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    yield "<title>The rooms of Fairlead and what they import</title>"
    yield f"<style>\n{_STYLE}\n</style>"
    yield '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    yield '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>'
    yield f'<rect class="paper" width="{WIDTH}" height="{height:.0f}" rx="8"/>'
    for box in sorted(plan.boxes.values(), key=lambda box: (box.depth, box.y, box.x)):
        yield from _box(box)
    for points, found in plan.arrows:
        path = "L".join(f"{x:.0f} {y:.0f}" for x, y in points)
        yield f'<path class="arrow{" found" * found}" d="M{path}" marker-end="url(#head)"/>'
    legend = "→ imports; an arrow that follows from others is left out.  ⇢ finds commands there by an entry point."
    yield f'<text class="words" x="{_MARGIN}" y="{height - 10:.0f}">{legend}</text>'
    yield "</svg>"


def _box(box: Box) -> Iterator[str]:
    kind = ("frame", "room", "inner")[min(box.depth, _DEEPEST)]
    place = f'x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}"'
    yield f'<rect class="{kind}" {place} rx="6"/>'
    x, y = box.x + _PAD, box.y + _PAD + _TITLE / 2
    title = box.room.name.replace("_", "-") if box.depth == 0 else box.room.title
    yield f'<text class="title" x="{x:.0f}" y="{y:.0f}">{escape(title)}</text>'
    for number, line in enumerate(_words(box.room, box.width, box.depth), 1):
        yield f'<text class="words" x="{x:.0f}" y="{y + number * _LINE + 2:.0f}">{escape(line)}</text>'
