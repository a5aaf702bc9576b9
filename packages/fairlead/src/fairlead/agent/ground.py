"""What every agent stands on, whatever its mode and its doors: its store, Neutron, time, and what it counts."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fairlead.adapters.neutron.credentials import find_cloud
from fairlead.adapters.neutron.service import NeutronService
from fairlead.adapters.store.identity import node_identity
from fairlead.adapters.store.sqlite import SqliteStore
from fairlead.agent.clock import SystemClock
from fairlead.agent.logs import current_request_id
from fairlead.agent.metrics import Metrics
from fairlead.agent.observation import Observation
from fairlead.agent.settings import Settings
from fairlead.core.background.moments import bring_back
from fairlead.model.records import KINDS
from fairlead.ports.store import Record

STORES = {"routed": "routed.sqlite"}
STORE = "node.sqlite"
"""Files of the state folder: the one of each mode in STORES, and of all others. A node has one memory for all doors."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The parts that are there once. node_id: the node's own, whatever its name. cloud: where that was found."""

    settings: Settings
    node_id: str
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
    folder = Path(settings.agent.state_dir)
    node_id = node_identity(folder)
    look = partial(find_cloud, settings.cloud.name, environ=environ)
    config = look()
    clock, kinds = SystemClock(), (*KINDS, *records)
    store = SqliteStore(folder / STORES.get(settings.agent.mode, STORE), kinds)
    try:
        bring_back(store, kinds, clock.now())
        observation = Observation(Metrics())
        async with NeutronService(
            config,
            request_id=current_request_id,
            on_call=observation.on_call,
            connect_timeout=settings.cloud.connect_timeout,
            total_timeout=settings.cloud.timeout,
            create_patience=settings.cloud.create_patience,
            look=look,
        ) as neutron:
            yield Ground(settings, node_id, config.source, store, neutron, clock, observation)
    finally:
        store.close()
