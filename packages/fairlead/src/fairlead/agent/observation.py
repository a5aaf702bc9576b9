"""What is counted of the container engine's RPCs, and of the requests to Neutron that they lead to."""

from aiohttp import web

from fairlead.agent.logs import new_request_id
from fairlead.agent.metrics import Metrics
from fairlead.agent.tally import Tally


class Observation:
    """Hooks for the front end and for Neutron's client, which fill the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._tally = Tally()

    def on_call(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request to Neutron."""
        self._tally.add()
        self.metrics.neutron_call(method, path, status, seconds)

    def begin_rpc(self) -> str:
        """Give an RPC its request id."""
        self._tally.begin()
        return new_request_id()

    def end_rpc(self, path: str, status: int, seconds: float) -> None:
        """Count an RPC."""
        self.metrics.rpc(path, status, seconds, self._tally.calls())

    def show_in(self, app: web.Application) -> None:
        """Let an application answer GET /metrics."""

        async def show(_: web.Request) -> web.Response:
            return web.Response(body=self.metrics.render(), content_type="text/plain")

        app.router.add_get("/metrics", show)
