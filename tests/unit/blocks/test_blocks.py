"""Which block a node takes."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.blocks.blocks import block_length, free_block
from fairlead.model.errors import InvalidInput
from fairlead.model.network import IPNetwork


@pytest.mark.parametrize(
    ("cidr", "length"),
    [
        ("10.60.0.0/16", 26),
        ("10.60.0.0/22", 26),
        ("10.60.0.0/24", 28),
        ("10.60.0.0/29", 30),
        ("fd00::/64", 112),
        ("fd00::/104", 120),
        ("fd00::/120", 124),
    ],
)
def test_a_block_is_as_long_as_its_range_asks_for(cidr: str, length: int) -> None:
    assert block_length(ip_network(cidr)) == length


@pytest.mark.parametrize("cidr", ["10.60.0.0/30", "10.60.0.0/32", "fd00::/124"])
def test_a_range_of_one_block_is_refused(cidr: str) -> None:
    with pytest.raises(InvalidInput, match="too small"):
        block_length(ip_network(cidr))


@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=40), st.sampled_from(["10.60.0.0/24", "fd00::/108"]))
def test_nodes_take_blocks_that_never_overlap_until_all_are_held(seeds: list[int], cidr: str) -> None:
    range_ = ip_network(cidr)
    length = block_length(range_)
    held: list[IPNetwork] = []
    for seed in seeds:
        taken = free_block(range_, length, held, seed)
        if taken is None:
            assert len(held) == 1 << (length - range_.prefixlen)
            return
        assert taken.subnet_of(range_)  # type: ignore[arg-type]  # of one version
        assert not any(taken.overlaps(other) for other in held)
        held.append(taken)


@given(st.integers(0, 2**32), st.integers(17, 32))
def test_a_block_is_found_beside_foreign_ones_of_any_length(seed: int, length: int) -> None:
    foreign = ip_network(f"10.60.0.0/{length}")
    taken = free_block(ip_network("10.60.0.0/16"), 26, [foreign], seed)
    assert taken is not None
    assert not taken.overlaps(foreign)
