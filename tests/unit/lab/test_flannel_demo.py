"""The picture of the demo."""

from fairlead_lab.flannel_demo import bars


def test_bars_are_as_long_as_their_speeds_and_say_their_part_of_the_first() -> None:
    first, second, third = bars({"node": 1000.0, "Fairlead": 950.0, "vxlan": 1.0})
    assert first.count("█") == 40
    assert (second.count("█"), second.split()[-1]) == (38, "0.95")
    assert (third.count("█"), third.split()[-2:]) == (1, ["1", "0.00"])
