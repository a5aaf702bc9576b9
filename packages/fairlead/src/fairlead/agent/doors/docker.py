"""The door for dockerd: libnetwork's remote drivers."""

from aiohttp import web

from fairlead.agent.clock import SystemClock
from fairlead.agent.doors.door import DoorKind
from fairlead.agent.observation import Observation
from fairlead.agent.parts import Parts
from fairlead.frontends.docker.app import make_app, rpcs_over
from fairlead.frontends.docker.records import KINDS
from fairlead.ports.store import LeaseStore


def _build(parts: Parts, store: LeaseStore, observation: Observation) -> web.Application:
    containers = parts.containers
    return make_app(
        rpcs_over(store, containers.networks, containers.attachments, SystemClock()),
        prepare=containers.prepare,
        new_request_id=observation.begin_rpc,
        observe=observation.end_rpc,
    )


DOCKER = DoorKind(
    name="docker",
    by_default=("ovs", "trunk", "ipvlan", "macvlan", "routed"),
    socket=lambda settings: settings.agent.socket,
    build=_build,
    records=KINDS,
)
