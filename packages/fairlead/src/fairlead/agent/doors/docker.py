"""The door for dockerd: libnetwork's remote drivers."""

from aiohttp import web

from fairlead.agent.doors.door import DoorKind
from fairlead.agent.observation import Observation
from fairlead.agent.parts import Parts
from fairlead.frontends.docker.app import make_app, routes
from fairlead.frontends.docker.ipam_driver import IpamDriver
from fairlead.frontends.docker.network_driver import NetworkDriver


def _build(parts: Parts, observation: Observation) -> web.Application:
    containers = parts.containers
    return make_app(
        routes(
            NetworkDriver(containers.networks, containers.endpoints),
            IpamDriver(containers.pools, containers.addresses, routed=containers.alone),
        ),
        prepare=containers.prepare,
        new_request_id=observation.begin_rpc,
        observe=observation.end_rpc,
    )


DOCKER = DoorKind(
    name="docker",
    by_default=("ovs", "trunk", "ipvlan", "macvlan", "routed"),
    socket=lambda settings: settings.agent.socket,
    build=_build,
)
