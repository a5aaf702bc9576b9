"""Bringing a lab up: what is made, in which order, and what is mended when half of it is there."""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fairlead.lab import database, settings
from fairlead.lab.cgroups import cgroup_tree
from fairlead.lab.environment import environment_path, is_complete, make_environment
from fairlead.lab.graph import Progress, Stage, StageTime, run_stages
from fairlead.lab.image import busybox_image
from fairlead.lab.manifest import Manifest, ManifestFile, locked
from fairlead.lab.openvswitch import detect_datapath, tunnel_warmup
from fairlead.lab.packages import install_packages, missing_packages
from fairlead.lab.paths import CACHE_ROOT, LabPaths
from fairlead.lab.processes import is_alive
from fairlead.lab.settings import Secrets
from fairlead.lab.site import Site
from fairlead.lab.spec import FABRIC, LabSpec
from fairlead.lab.supervisor import Supervisor
from fairlead.lab.timings import Timings, read_timings, write_timings
from fairlead.model.errors import LabError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `up` did. `started` names what had to be started; empty when all ran already."""

    started: tuple[str, ...]
    timings: Timings


def require_root() -> None:
    """Raise LabError where the user isn't root."""
    if os.geteuid() != 0:
        raise LabError("a lab needs root: it makes namespaces and runs daemons in them", remedy="run it with sudo")


async def install(progress: Progress, cache_root: Path = CACHE_ROOT) -> tuple[StageTime, ...]:
    """Install the Debian packages and make the Python environment that are missing, both at once."""
    require_root()
    packages = missing_packages()
    environment = environment_path(cache_root)
    cache_root.mkdir(parents=True, exist_ok=True)
    logs = cache_root / "log"
    logs.mkdir(exist_ok=True)

    def task(work: Callable[[], None]) -> Callable[[], "asyncio.Future[None]"]:
        return lambda: asyncio.ensure_future(asyncio.to_thread(work))

    stages = []
    if packages:
        stages.append(Stage("packages", task(partial(install_packages, packages, logs / "apt.log"))))
    if not is_complete(environment):
        stages.append(Stage("environment", task(partial(make_environment, environment, logs / "uv.log"))))
    return await run_stages(stages, progress)


async def up(spec: LabSpec, progress: Progress) -> Outcome:
    """Make a lab, or mend the one there is; raises LabError, leaving what was made for `down` or another `up`."""
    require_root()
    paths = LabPaths(spec.name)
    began = time.perf_counter()
    installed = await install(progress)
    with locked(paths.run, spec.name):
        file = ManifestFile(paths.manifest)
        known = file.read()
        if known is not None:
            _check_same(spec, known)
        site = _site(spec, paths, known)
        supervisor = Supervisor(site, file, known or file.write(_intent(site)))
        dead = _missing(site, supervisor)
        if known is not None and known.state == "up" and not dead:
            return Outcome((), read_timings(paths))
        supervisor.record(replace(supervisor.manifest, state="starting"))
        _make_folders(site)
        snapshot = database.snapshot_for(site.environment, spec.role)
        warm = snapshot.exists
        made = await run_stages(_stages(site, supervisor, snapshot), progress)
        supervisor.record(replace(supervisor.manifest, state="up"))
        timings = Timings(time.perf_counter() - began, warm, installed + made)
        write_timings(paths, timings)
        return Outcome(dead, timings)


def load_site(paths: LabPaths, manifest: Manifest) -> Site:
    """The site of a lab there is."""
    return _site(manifest.spec, paths, manifest)


def _site(spec: LabSpec, paths: LabPaths, known: Manifest | None) -> Site:
    return Site(
        spec=spec,
        paths=paths,
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
        directories=(str(site.paths.run), str(site.paths.data)),
    )


def _check_same(spec: LabSpec, known: Manifest) -> None:
    if known.state == "stopping":
        raise LabError(
            f"lab {spec.name!r} is half taken down", remedy=f"`fairlead lab down --name {spec.name}`, then up"
        )
    if known.spec != spec:
        have = known.spec
        raise LabError(
            f"lab {spec.name!r} is there with {have.hosts} hosts, role {have.role}, {'an' if have.agent else 'no'} agent on each",
            remedy="take it down first, or choose another --name",
        )


def _missing(site: Site, supervisor: Supervisor) -> tuple[str, ...]:
    namespaces = supervisor.manifest.namespaces
    absent = [
        place
        for place in (FABRIC, *site.spec.host_names)
        if place not in namespaces or not is_alive(namespaces[place].holder)
    ]
    if namespaces and absent and not any(name in absent for name in namespaces if namespaces[name].holder is None):
        lost = [place for place in absent if place in namespaces]
        if lost:
            raise LabError(
                f"the namespaces of {', '.join(lost)} are gone",
                remedy=f"`fairlead lab down --name {site.spec.name}`, then up again",
            )
    return (*absent, *(name for name in site.components() if not supervisor.runs(name)))


def _make_folders(site: Site) -> None:
    site.cgroups.create()
    paths = site.paths
    for folder in (paths.log, paths.conf, paths.tmp, paths.ovn, paths.data / "neutron"):
        folder.mkdir(parents=True, exist_ok=True)
    for host in site.spec.host_names:
        (paths.host(host) / "agent").mkdir(parents=True, exist_ok=True)


def _stages(site: Site, supervisor: Supervisor, snapshot: database.Snapshot) -> list[Stage]:
    hosts = site.spec.host_names
    values = _secrets(site, snapshot)
    stages = [Stage(FABRIC, partial(supervisor.open_namespaces, FABRIC))]
    stages += [Stage(host, partial(_open_host, site, supervisor, host, values), (FABRIC,)) for host in hosts]
    if supervisor.manifest.databases_made:
        stages += [Stage("database", _nothing, (FABRIC,)), Stage("databases", _nothing, ("mariadb",))]
    else:
        stages += _database_stages(site, supervisor, snapshot, values)
    stages += [
        Stage(component.name, partial(supervisor.start, component), component.needs)
        for component in site.components().values()
    ]
    controllers = tuple(f"{host}/ovn-controller" for host in hosts)
    stages.append(Stage("tunnels", partial(warm_tunnels, site, supervisor), controllers))
    # The clients' file names the loopback service ports, known once the services listen.
    stages.append(Stage("clouds.yaml", partial(_write_client, site, supervisor, values), ("keystone", "neutron")))
    return stages


def _secrets(site: Site, snapshot: database.Snapshot) -> Secrets:
    """The passwords of this lab, kept before anything is made with them."""
    file = site.paths.data / "secrets.json"
    if file.is_file():
        return database.read_secrets(file)
    values = snapshot.secrets() if snapshot.exists else database.fresh_secrets()
    database.write_secrets(file, values)
    return values


def _database_stages(site: Site, supervisor: Supervisor, snapshot: database.Snapshot, values: Secrets) -> list[Stage]:
    """Stages from `database` (files for MariaDB to start on) to `databases` (Keystone's and Neutron's are usable)."""
    python, log = site.python, site.paths.component_log("databases")
    mariadb = site.components()["mariadb"]
    site.keystone_conf.write_text(settings.keystone_conf(site.keys))
    site.neutron_conf.write_text(
        settings.neutron_conf(site.environment, site.paths.data / "neutron", values.neutron_password)
    )

    async def prepare() -> None:
        await supervisor.stop(mariadb)  # left by an `up` that was interrupted
        await database.prepare(supervisor.holder(FABRIC), site.keys, snapshot)

    async def finish() -> None:
        supervisor.record(replace(supervisor.manifest, databases_made=True))

    if snapshot.exists:
        return [Stage("database", prepare, (FABRIC,)), Stage("databases", finish, ("mariadb",))]

    async def keystone() -> None:
        holder = supervisor.holder(FABRIC)
        await database.seed_keystone(holder, python, site.keystone_conf, values, site.spec.role, log)

    async def neutron() -> None:
        await database.migrate_neutron(supervisor.holder(FABRIC), python, site.neutron_conf, log)

    async def copy() -> None:
        await supervisor.stop(mariadb)
        await database.copy_aside(supervisor.holder(FABRIC))
        await supervisor.start(mariadb)
        await finish()

    async def pack() -> None:
        await database.pack(supervisor.holder(FABRIC), site.keys, values, snapshot)

    return [
        Stage("database", prepare, (FABRIC,)),
        Stage("keystone-database", keystone, ("mariadb",)),
        Stage("neutron-database", neutron, ("mariadb",)),
        Stage("databases", copy, ("keystone-database", "neutron-database")),
        Stage("snapshot", pack, ("databases", "neutron", "keystone")),
    ]


async def _nothing() -> None:
    """A stage whose work an earlier `up` has done."""


async def _open_host(site: Site, supervisor: Supervisor, host: str, values: Secrets) -> None:
    files = {
        "docker/daemon.json": settings.daemon_json(site.paths.host(host) / "docker", f"{site.cgroups.parent}/{host}"),
        "openstack/clouds.yaml": settings.host_clouds_yaml(values),
        "fairlead/fairlead.toml": settings.fairlead_toml(site.paths.host(host) / "agent"),
    }
    await supervisor.open_namespaces(host, files)


async def warm_tunnels(site: Site, supervisor: Supervisor) -> None:
    """Make every tunnel of every host ready for its first packet."""
    warmups = [
        supervisor.run_in(
            host, tunnel_warmup(site.peers(host), site.datapath), purpose=f"warming the tunnels of {host}"
        )
        for host in site.spec.host_names
    ]
    await asyncio.gather(*warmups)


async def _write_client(site: Site, supervisor: Supervisor, values: Secrets) -> None:
    text = settings.client_clouds_yaml(values, supervisor.manifest.loopback_ports)
    handle, name = tempfile.mkstemp(dir=site.paths.run)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).rename(site.paths.clouds_yaml)
