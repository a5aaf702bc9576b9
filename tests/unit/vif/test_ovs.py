"""What needs no switch: that it is missing is told by where it was looked for, and what to do, in bounded time."""

import threading
import time
from pathlib import Path

import pytest

from fairlead.adapters.vif.switched import with_ovn
from fairlead.model.errors import SwitchUnavailable


async def test_a_switch_that_is_not_there_is_told_by_its_socket_in_time(tmp_path: Path) -> None:
    dataplane = with_ovn(ovsdb=f"unix:{tmp_path}/db.sock", timeout=0.3)
    started = time.monotonic()
    with pytest.raises(SwitchUnavailable, match=f"{tmp_path}/db.sock") as told:
        await dataplane.view()
    assert time.monotonic() - started < 1.5  # ovsdbapp's import is in it
    assert "openvswitch-switch" in told.value.remedy
    await dataplane.close()


async def test_a_data_plane_that_was_never_used_can_be_closed() -> None:
    before = threading.active_count()
    await with_ovn().close()
    assert threading.active_count() <= before + 1, "at most the thread that found nothing to disconnect"
