"""What the agent counts, for Prometheus."""

import collections
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fairlead.core.warm.port_table import PortTable
from fairlead.model.records import JoinedNetwork, ReservedAddress, Use
from fairlead.ports.store import LeaseStore

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Ports(Collector):
    """The ports of each network on this host, counted when asked."""

    def __init__(self, store: LeaseStore, port_table: PortTable) -> None:
        self._store = store
        self._port_table = port_table

    def collect(self) -> Iterable[Metric]:
        """Count."""
        networks = self._store.all(JoinedNetwork)
        yield GaugeMetricFamily("fairlead_networks", "Networks on this host", value=len(networks))
        ports = GaugeMetricFamily(
            "fairlead_ports", "Ports of this host, by what they are good for", labels=["network", "use"]
        )
        for joined in networks:
            for use in Use:
                ports.add_metric([joined.name, use], self._port_table.count(joined.id, use))
        yield ports


class Addresses(Collector):
    """The addresses of each network that this node has given out (mode `routed`), counted when asked."""

    def __init__(self, store: LeaseStore) -> None:
        self._store = store

    def collect(self) -> Iterable[Metric]:
        """Count."""
        networks = self._store.all(JoinedNetwork)
        yield GaugeMetricFamily("fairlead_networks", "Networks on this host", value=len(networks))
        given = collections.Counter(one.joined_id for one in self._store.all(ReservedAddress))
        addresses = GaugeMetricFamily(
            "fairlead_addresses", "Addresses that containers of this host have", labels=["network"]
        )
        for joined in networks:
            addresses.add_metric([joined.name], given[joined.id])
        yield addresses


class Metrics:
    """Counters of one agent, in a registry of their own."""

    def __init__(self) -> None:
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
        self._rpc_calls = Counter(
            "fairlead_rpc_neutron_calls",
            "Requests to Neutron that RPCs of the container engine led to",
            ["rpc"],
            registry=self.registry,
        )
        self._failures = Counter(
            "fairlead_background_failures",
            "Deaths of what the agent does all the time, and what it could not make sense of there",
            ["task"],
            registry=self.registry,
        )

    def show(self, stock: Collector) -> None:
        """Count something when asked."""
        self.registry.register(stock)

    def background_failure(self, task: str) -> None:
        """Count that a background task died, or met what nobody foresaw."""
        self._failures.labels(task).inc()

    def rpc(self, path: str, status: int, seconds: float, neutron_calls: int) -> None:
        """Count one RPC, and the requests to Neutron that it led to."""
        name = path.lstrip("/")
        self._rpcs.labels(name, str(status)).observe(seconds)
        self._rpc_calls.labels(name).inc(neutron_calls)

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
