"""The lab every tier that needs a real cloud shares."""

import os
from collections.abc import Iterator

import pytest

from fairlead_lab import Lab, LabSpec


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab of two hosts with agents, made for the session; or the one that FAIRLEAD_LAB names, left running."""
    running = os.environ.get("FAIRLEAD_LAB")
    if running:
        yield Lab.load(running)
        return
    made = Lab(LabSpec("e2e", hosts=2))
    try:
        made.up()
        yield made
        # Killed with the lab, an agent would not write down what it reached (`make coverage-all`).
        made.stop("agent")
    finally:
        made.down()
