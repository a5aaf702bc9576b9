"""What the agent counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from fairlead.model.records import Allocation, JoinedNetwork
from fairlead.ports.store import LeaseStore

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Metrics:
    """Counters of one agent, in a registry of their own."""

    def __init__(self, store: LeaseStore) -> None:
        self.registry = CollectorRegistry()
        self._rpcs = Histogram(
            "fairlead_rpc_seconds",
            "RPCs of the container engine",
            ["rpc", "status"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._calls = Histogram(
            "fairlead_neutron_call_seconds",
            "Requests to Neutron; status 0: no answer",
            ["method", "path", "status"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._steps = Histogram(
            "fairlead_dataplane_seconds",
            "Steps of wiring: netlink exchanges, OVSDB transactions, waits for OVN",
            ["step"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._work = Counter(
            "fairlead_dataplane_work", "Netlink messages, OVSDB transactions", ["step"], registry=self.registry
        )
        networks = Gauge("fairlead_networks", "Networks on this host", registry=self.registry)
        networks.set_function(lambda: len(store.all(JoinedNetwork)))
        endpoints = Gauge("fairlead_endpoints", "Endpoints on this host", registry=self.registry)
        endpoints.set_function(lambda: sum(1 for one in store.all(Allocation) if one.endpoint_id))

    def rpc(self, path: str, status: int, seconds: float) -> None:
        """Count one RPC."""
        self._rpcs.labels(path.lstrip("/"), str(status)).observe(seconds)

    def neutron_call(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count one request to Neutron."""
        self._calls.labels(method, path, str(status)).observe(seconds)

    def dataplane_step(self, step: str, seconds: float, count: int) -> None:
        """Count one step of the data plane, from whatever thread did it."""
        self._steps.labels(step).observe(seconds)
        self._work.labels(step).inc(count)

    def render(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self.registry)
