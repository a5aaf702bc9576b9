"""A stream of messages is cut where ovs's own parser would cut it."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fairlead.adapters.ovsdb.messages import Parser

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.sampled_from(['"}', "\\", '\\"{', "{", "]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
messages = st.lists(st.dictionaries(st.text(max_size=5), values, max_size=3), max_size=4)


@given(messages, st.integers(1, 40), st.booleans(), st.sampled_from(["", "\n", " "]))
def test_messages_come_out_as_they_went_in_however_they_are_cut(
    sent: list[dict[str, Any]], size: int, ascii_only: bool, between: str
) -> None:
    text = between.join(json.dumps(message, ensure_ascii=ascii_only) for message in sent)
    assert read([text[at : at + size] for at in range(0, len(text), size)]) == sent


def test_a_whole_message_is_taken_and_nothing_of_the_next() -> None:
    parser = Parser()
    assert parser.feed('{"id": 1, "result": "}"') == 23
    assert not parser.is_done()
    assert parser.feed('}{"id": 2}') == 1
    assert parser.is_done()
    assert parser.finish() == {"id": 1, "result": "}"}


@given(st.text(alphabet='{}[]",:\\a1 '))
def test_what_is_no_message_is_told_as_text_or_waits_for_more(text: str) -> None:
    for message in read([text]):
        assert isinstance(message, dict | str)


def read(pieces: list[str]) -> list[Any]:
    """Read a stream as ovs.jsonrpc does."""
    found, parser = [], Parser()
    for piece in pieces:
        rest = piece
        while rest:
            rest = rest[parser.feed(rest) :]
            if parser.is_done():
                found.append(parser.finish())
                parser = Parser()
    return found
