"""The door for flanneld, by way of `fairlead flannel`."""

from aiohttp import web

from fairlead.agent.doors.door import DoorKind
from fairlead.agent.logs import new_request_id
from fairlead.agent.observation import Observation
from fairlead.agent.parts import Parts
from fairlead.frontends.flannel.app import Flannel, make_app
from fairlead.ports.store import LeaseStore


def _build(parts: Parts, _store: LeaseStore, _observation: Observation) -> web.Application:
    assert parts.leases is not None  # noqa: S101  # needs_leases says so
    return make_app(Flannel(parts.leases.leases, parts.leases.reconciler), new_request_id=new_request_id)


FLANNEL = DoorKind(
    name="flannel",
    by_default=("routed",),
    socket=lambda settings: settings.flannel.socket,
    build=_build,
    needs_leases=True,
)
