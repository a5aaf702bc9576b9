"""What dockerd is asked, and that nothing of what it may answer is an error."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from fairlead.adapters.dockerd.endpoints import DockerEndpoints

NETWORK = "n" * 64


async def told(folder: Path, status: int, answer: Any) -> object:
    """What is understood of an answer."""

    async def inspect(request: web.Request) -> web.Response:
        assert request.path == f"/networks/{NETWORK}"
        if isinstance(answer, str):
            return web.Response(text=answer, status=status)
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", inspect)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(folder / "docker.sock")).start()
        return await DockerEndpoints(folder / "docker.sock").owners(NETWORK)
    finally:
        await runner.cleanup()


async def test_endpoints_are_told_whether_a_container_has_them_or_none(tmp_path: Path) -> None:
    containers = {"c" * 64: {"Name": "a1", "EndpointID": "one"}, "ep-two": {"Name": "", "EndpointID": "two"}}
    assert await told(tmp_path, 200, {"Id": NETWORK, "Containers": containers}) == {"one", "two"}
    assert await told(tmp_path, 200, {"Id": NETWORK, "Containers": {}}) == set()


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (404, {"message": "network not found"}),
        (500, {"message": "no"}),
        (200, {"Id": NETWORK, "Containers": None}),
        (200, {"Id": NETWORK}),
        (200, {"Id": "another", "Containers": {}}),
        (200, {"Id": NETWORK, "Containers": {"c": {"Name": "a1"}}}),
        (200, []),
        (200, "<html>"),
    ],
)
async def test_an_answer_that_tells_nothing_is_no_word(tmp_path: Path, status: int, answer: Any) -> None:
    assert await told(tmp_path, status, answer) is None


async def test_without_a_dockerd_nothing_is_told(tmp_path: Path) -> None:
    assert await DockerEndpoints(tmp_path / "docker.sock").owners(NETWORK) is None
