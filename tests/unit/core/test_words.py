"""The core has words of its own: no front end's are in it, and each front end says in its own what the core says."""

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import fairlead
from fairlead.frontends.docker.phrases import PHRASES as DOCKERS
from fairlead.frontends.flannel.phrases import PHRASES as FLANNELS

ROOT = Path(fairlead.__file__).parent
ROOMS = ("core", "model", "ports")

OF_FRONT_ENDS = re.compile(
    r"docker|libnetwork|moby|podman|flannel|kube|\bcni\b|\bpods?\b|endpoint|\bengine\b|neutron\.(?:net|security_groups)"
    r"|--(?:ip|ip6|ip-range|subnet|gateway|aux-address|mac-address|ipv6|ipam|internal|ipv6-network)\b|\b-[op] ",
    re.IGNORECASE,
)


def modules() -> list[Path]:
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def codes(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Each code that a module's errors have, with its details' names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            given = {one.arg: one.value for one in node.keywords}
            code, details = given.get("code"), given.get("details")
            if isinstance(code, ast.Constant):
                names = details.keys if isinstance(details, ast.Dict) else []
                yield str(code.value), {str(name.value) for name in names if isinstance(name, ast.Constant)}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_word_of_a_front_end_is_in_the_core(path: Path) -> None:
    found = [line for line in path.read_text().splitlines() if OF_FRONT_ENDS.search(line)]
    assert not found


def test_what_is_searched_for_would_be_found() -> None:
    for text in ("choose another --ip", "a network of the engine's", "-o neutron.net.name=NAME", "restart flanneld"):
        assert OF_FRONT_ENDS.search(text)
    assert not OF_FRONT_ENDS.search("`openstack port set --enable-port-security ID`")


def test_every_code_of_the_core_has_a_phrase_that_its_details_fill() -> None:
    used = [one for path in modules() for one in codes(path)]
    assert {code for code, _ in used} == {*DOCKERS, *FLANNELS}
    for code, details in used:
        phrase = DOCKERS.get(code) or FLANNELS[code]
        needed = {name for text in (phrase.message, phrase.remedy) for _, name, _, _ in string.Formatter().parse(text)}
        assert needed - {None} <= details, code
