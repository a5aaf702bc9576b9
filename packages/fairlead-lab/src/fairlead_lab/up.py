"""Bringing a lab up, or mending the one there is."""

import time
from dataclasses import dataclass, replace

from fairlead.model.errors import LabError
from fairlead_lab.cgroups import cgroup_tree
from fairlead_lab.database import snapshot_for
from fairlead_lab.down import clear
from fairlead_lab.environment import environment_path
from fairlead_lab.graph import Progress, run_stages
from fairlead_lab.image import busybox_image
from fairlead_lab.install import install, require_root
from fairlead_lab.manifest import Manifest, ManifestFile, locked
from fairlead_lab.openvswitch import detect_datapath
from fairlead_lab.paths import LabPaths
from fairlead_lab.processes import is_alive
from fairlead_lab.site import Site
from fairlead_lab.spec import FABRIC, LabSpec
from fairlead_lab.stages import lab_stages
from fairlead_lab.supervisor import Supervisor
from fairlead_lab.timings import Timings, read_timings, write_timings


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `up` did.

    started: names of what had to be started, none when all ran already. mended: whether the lab was up before, so that
    the timings are those of that start.
    """

    started: tuple[str, ...]
    mended: bool
    timings: Timings


async def up(spec: LabSpec, progress: Progress) -> Outcome:
    """Make a lab, or mend the one there is; raises LabError, leaving what was made for `down` or another `up`."""
    require_root()
    paths = LabPaths(spec.name)
    began = time.perf_counter()
    installed = await install(progress)
    with locked(paths.run, spec.name):
        file = ManifestFile(paths.manifest)
        known = file.read()
        if known is None:
            clear(paths, None)  # what a lab of this name left when the machine went down
        else:
            _check_fits(spec, known)
        site = load_site(spec, known)
        supervisor = Supervisor(site, file, known or file.write(_intent(site)))
        absent = _absent(site, supervisor)
        if known is not None and known.state == "up" and not absent:
            return Outcome((), mended=True, timings=read_timings(paths))
        supervisor.record(replace(supervisor.manifest, state="starting"))
        snapshot = snapshot_for(site.environment, spec.role)
        warm = snapshot.exists
        made = await run_stages(lab_stages(site, supervisor, snapshot), progress)
        supervisor.record(replace(supervisor.manifest, state="up"))
        if known is not None and known.state == "up":
            return Outcome(absent, mended=True, timings=read_timings(paths))
        timings = Timings(time.perf_counter() - began, warm, installed + made)
        write_timings(paths, timings)
        return Outcome(absent, mended=False, timings=timings)


def load_site(spec: LabSpec, known: Manifest | None) -> Site:
    """The site of a lab. `known` is its manifest where it has one: a lab keeps the datapath it was made with."""
    return Site(
        spec=spec,
        paths=LabPaths(spec.name),
        cgroups=cgroup_tree(spec.name),
        environment=environment_path(),
        image=busybox_image(),
        datapath=known.datapath if known else detect_datapath(),
    )


def _intent(site: Site) -> Manifest:
    return Manifest(
        spec=site.spec,
        datapath=site.datapath,
        cgroups=tuple(str(folder) for folder in site.cgroups.folders()),
    )


def _check_fits(spec: LabSpec, known: Manifest) -> None:
    down = f"`fairlead lab down --name {spec.name}`"
    if known.state == "stopping":
        raise LabError(f"lab {spec.name!r} is half taken down", remedy=f"{down}, then up again")
    if known.spec != spec:
        have = known.spec
        parts = [
            f"{have.hosts} hosts",
            f"role {have.role}",
            "an agent on each" if have.agent else "no agents",
            f"MTU {have.mtu}",
            *([] if have.tags_while_creating else ["no tags while creating"]),
            *([f"{have.instances} instances on {have.instance_subnets} subnets"] if have.instances else []),
        ]
        raise LabError(
            f"lab {spec.name!r} is there with {', '.join(parts)}",
            remedy=f"{down} first, or choose another --name",
        )
    lost = [place for place, record in known.namespaces.items() if record.holder and not is_alive(record.holder)]
    if lost:
        raise LabError(f"the namespaces of {', '.join(lost)} are gone", remedy=f"{down}, then up again")


def _absent(site: Site, supervisor: Supervisor) -> tuple[str, ...]:
    """Names of what a whole lab has and this one doesn't: namespaces and components."""
    held = {place for place, record in supervisor.manifest.namespaces.items() if is_alive(record.holder)}
    places = (place for place in (FABRIC, *site.spec.machine_names) if place not in held)
    return (*places, *(name for name in site.components() if not supervisor.runs(name)))
