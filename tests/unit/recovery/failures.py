"""The ways to fail: the process killed, and each error that an adapter may raise, with the call carried out or not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from fairlead.adapters.neutron.errors import _BY_KIND, _BY_STATUS
from fairlead.model.errors import (
    CloudUnavailable,
    DataplaneError,
    FairleadError,
    PermissionDenied,
    StoreError,
    SwitchUnavailable,
    WiringTimeout,
)
from tests.unit.recovery.line import Refusing, cut, unreached
from tests.unit.recovery.trouble import Area, Failure, Point


def refusals() -> Mapping[tuple[int, str], type[FairleadError]]:
    """Give an answer of Neutron's, by status and kind, for each class of errors that the adapter makes of one."""
    by_class: dict[type[FairleadError], tuple[int, str]] = {PermissionDenied: (403, "PolicyNotAuthorized")}
    for kind, (error, _) in _BY_KIND.items():
        by_class.setdefault(error, (409, kind))
    for status, (error, _) in _BY_STATUS.items():
        by_class.setdefault(error, (status, ""))
    return {answer: error for error, answer in by_class.items()} | {(500, ""): CloudUnavailable}


def _changes(point: Point) -> bool:
    return point.changes


def _of(area: Area, point: Point) -> bool:
    return point.area is area


def _changes_in(area: Area, point: Point) -> bool:
    return point.area is area and point.changes


def _may_be_refused(status: int, point: Point) -> bool:
    """Tell what can be answered so: of what is there Neutron does not say that it is gone."""
    return point.area is Area.NEUTRON and (status != 404 or point.what.startswith("POST"))


def _plugs(point: Point) -> bool:
    return point.area is Area.HOST and point.what == "apply"


def failures() -> Iterator[Failure]:
    """Give them all."""
    killed = Failure("killed, and started again", _changes, kills=True)
    yield killed
    yield replace(killed, name="killed, and started after dockerd gave up", gives_up=True)
    for area, of in ((Area.STORE, StoreError), (Area.HOST, DataplaneError), (Area.HOST, SwitchUnavailable)):
        yield from _both(area, of.__name__, partial(of, "the test says no"))
    yield Failure("WiringTimeout", _plugs, after=partial(WiringTimeout, "the test says no"))
    for (status, kind), refused in refusals().items():
        yield Failure(
            f"{refused.__name__} by {status} {kind}".strip(),
            partial(_may_be_refused, status),
            before=partial(Refusing, status, kind),
        )
    for name, error in (("unavailable", partial(Refusing, 503, "")), ("unreached", unreached)):
        yield Failure(f"{name} for a while", partial(_of, Area.NEUTRON), before=error, lasting=True)
    lost = Failure("answer lost", partial(_changes_in, Area.NEUTRON), after=cut)
    yield lost
    yield replace(lost, name="answers lost for a while", lasting=True)
    yield Failure("carried out late", partial(_changes_in, Area.NEUTRON), late=40.0)
    broken = Failure("dockerd asks twice", partial(_of, Area.ANSWER), after=cut)
    yield broken
    yield replace(broken, name="dockerd gives up", gives_up=True)


def _both(area: Area, name: str, error: Callable[[], Exception]) -> Iterator[Failure]:
    """Once and for a while, before the call is carried out; and, of the host, once it is."""
    refused = Failure(f"{name} once", partial(_of, area), before=error)
    yield refused
    yield replace(refused, name=f"{name} for a while", lasting=True)
    if area is Area.HOST:
        yield Failure(f"{name} halfway", partial(_changes_in, area), after=error)
