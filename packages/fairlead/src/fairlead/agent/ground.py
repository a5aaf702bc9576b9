"""What every agent stands on, whatever its mode and its doors: its store, Neutron, time, and what it counts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fairlead.adapters.neutron.credentials import find_cloud
from fairlead.adapters.neutron.service import NeutronService
from fairlead.adapters.store.sqlite import SqliteStore
from fairlead.agent.clock import SystemClock
from fairlead.agent.logs import current_request_id
from fairlead.agent.metrics import Metrics
from fairlead.agent.observation import Observation
from fairlead.agent.settings import Settings
from fairlead.model.records import KINDS
from fairlead.ports.store import Record

STORES = {"routed": "routed.sqlite"}
STORE = "node.sqlite"
"""Files of the state folder: the one of each mode in STORES, and of all others. A node has one memory for all doors."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The parts that are there once. cloud: where it was found, for people."""

    settings: Settings
    cloud: str
    store: SqliteStore
    neutron: NeutronService
    clock: SystemClock
    observation: Observation

    @property
    def metrics(self) -> Metrics:
        """What is counted."""
        return self.observation.metrics


@asynccontextmanager
async def open_ground(
    settings: Settings, environ: Mapping[str, str], records: Sequence[type[Record]]
) -> AsyncIterator[Ground]:
    """Open store and cloud while the context lasts. records: of doors, beside the core's.

    Raises SettingsError, StoreError.
    """
    config = find_cloud(settings.cloud.name, environ=environ)
    store = SqliteStore(Path(settings.agent.state_dir) / STORES.get(settings.agent.mode, STORE), (*KINDS, *records))
    try:
        observation = Observation(Metrics())
        async with NeutronService(
            config,
            request_id=current_request_id,
            on_call=observation.on_call,
            connect_timeout=settings.cloud.connect_timeout,
            total_timeout=settings.cloud.timeout,
            create_patience=settings.cloud.create_patience,
        ) as neutron:
            yield Ground(settings, config.source, store, neutron, SystemClock(), observation)
    finally:
        store.close()
