"""The graph of stages that makes a lab, or mends one: a stage finds what is done already and leaves it."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

from fairlead_lab import database, settings
from fairlead_lab.components import Component
from fairlead_lab.database import Snapshot
from fairlead_lab.graph import Stage
from fairlead_lab.instance_stages import instance_stages
from fairlead_lab.openvswitch import tunnel_warmup
from fairlead_lab.settings import Secrets
from fairlead_lab.site import Site
from fairlead_lab.spec import FABRIC
from fairlead_lab.supervisor import Supervisor


def lab_stages(site: Site, supervisor: Supervisor, snapshot: Snapshot) -> list[Stage]:
    """All stages: namespaces, databases, the components, and what is set up once some of them run."""
    _make_folders(site)
    hosts = site.spec.host_names
    values = _secrets(site, snapshot)
    stages = [Stage(FABRIC, partial(supervisor.open_namespaces, FABRIC, {}))]
    stages += [
        Stage(machine, partial(_open_machine, site, supervisor, machine, values), (FABRIC,))
        for machine in site.spec.machine_names
    ]
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
    # The client's file names the loopback service ports, known once the services listen.
    stages.append(Stage("clouds.yaml", partial(_write_client, site, supervisor, values), ("keystone", "neutron")))
    if site.spec.instances:
        stages += instance_stages(site, supervisor)
    return stages


async def open_machine(site: Site, supervisor: Supervisor, machine: str) -> None:
    """Make the namespaces of a machine of a lab that has been made, unless they are there."""
    await _open_machine(site, supervisor, machine, database.read_secrets(site.secrets))


async def start_components(supervisor: Supervisor, components: Collection[Component]) -> None:
    """Start components one by one and wait until each is ready; one that runs is left."""
    for one in components:
        await supervisor.start(one)
    if any(one.name.endswith(("/vswitchd", "/ovn-controller")) for one in components):
        await warm_tunnels(supervisor.site, supervisor)


async def warm_tunnels(site: Site, supervisor: Supervisor) -> None:
    """Make every tunnel of every host ready for its first packet."""
    warmups = []
    for host in site.spec.host_names:
        script = tunnel_warmup(site.peers(host), site.datapath)
        warmups.append(supervisor.run_in(host, script, purpose=f"warming the tunnels of {host}"))
    await asyncio.gather(*warmups)


def _make_folders(site: Site) -> None:
    paths = site.paths
    for folder in (paths.log, paths.conf, paths.tmp, paths.ovn, site.neutron_state):
        folder.mkdir(parents=True, exist_ok=True)
    for machine in site.spec.machine_names:
        site.agent_state(machine).mkdir(parents=True, exist_ok=True)


def _secrets(site: Site, snapshot: Snapshot) -> Secrets:
    """The passwords of this lab, kept before anything is made with them."""
    if site.secrets.is_file():
        return database.read_secrets(site.secrets)
    values = snapshot.secrets() if snapshot.exists else database.fresh_secrets()
    database.write_secrets(site.secrets, values)
    return values


def _database_stages(site: Site, supervisor: Supervisor, snapshot: Snapshot, values: Secrets) -> list[Stage]:
    """Stages from `database` (files for MariaDB to start on) to `databases` (Keystone's and Neutron's are usable)."""
    log = site.paths.component_log("databases")
    mariadb = site.components()["mariadb"]
    site.keystone_conf.write_text(settings.keystone_conf(site.keys))
    neutron_conf = settings.neutron_conf(
        site.environment,
        site.neutron_state,
        values.neutron_password,
        mtu=site.spec.mtu,
        tags_while_creating=site.spec.tags_while_creating,
    )
    _replace(site.neutron_conf, neutron_conf)

    async def prepare() -> None:
        await supervisor.stop(mariadb)  # left by an `up` that was interrupted
        await database.prepare(supervisor.place(FABRIC), site.keys, snapshot)

    async def finish() -> None:
        supervisor.record(replace(supervisor.manifest, databases_made=True))

    if snapshot.exists:
        return [Stage("database", prepare, (FABRIC,)), Stage("databases", finish, ("mariadb",))]

    async def seed_keystone() -> None:
        seed = database.keystone_seed(site.keystone_conf, values, site.spec.role)
        await database.seed_keystone(supervisor.place(FABRIC), site.python, seed, log)

    async def migrate_neutron() -> None:
        await database.migrate_neutron(supervisor.place(FABRIC), site.python, site.neutron_conf, log)

    async def copy() -> None:
        await supervisor.stop(mariadb)
        await database.copy_aside(supervisor.place(FABRIC))
        await supervisor.start(mariadb)
        await finish()

    async def pack() -> None:
        await database.pack(supervisor.place(FABRIC), site.keys, values, snapshot)

    return [
        Stage("database", prepare, (FABRIC,)),
        Stage("keystone-database", seed_keystone, ("mariadb",)),
        Stage("neutron-database", migrate_neutron, ("mariadb",)),
        Stage("databases", copy, ("keystone-database", "neutron-database")),
        # Compressing waits until the services have had the processor for their start.
        Stage("snapshot", pack, ("keystone", "neutron")),
    ]


async def _nothing() -> None:
    """A stage whose work an earlier `up` has done."""


async def _open_machine(site: Site, supervisor: Supervisor, machine: str, values: Secrets) -> None:
    hosted = machine in site.spec.instance_names
    agent = settings.instance_fairlead_toml if hosted else settings.fairlead_toml
    etc = {
        "docker/daemon.json": settings.daemon_json(site.docker_data(machine), site.cgroups.containers(machine)),
        "openstack/clouds.yaml": settings.host_clouds_yaml(values),
        "fairlead/fairlead.toml": agent(site.agent_state(machine)),
    }
    await supervisor.open_namespaces(machine, etc)


async def _write_client(site: Site, supervisor: Supervisor, values: Secrets) -> None:
    _replace(site.paths.clouds_yaml, settings.client_clouds_yaml(values, supervisor.manifest.loopback_ports))


def _replace(file: Path, text: str) -> None:
    """Write a file with passwords in it, whole or not at all, for root's eyes only."""
    fresh = file.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.rename(file)
