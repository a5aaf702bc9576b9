"""Deaths are logged with their tracebacks, which nobody is to read here, and which take long to draw."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield
