"""What runs in a lab, as data: each daemon's command, place, needs and sign of readiness."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fairlead_lab.settings import MYSQL_SOCKET
from fairlead_lab.spec import (
    FABRIC,
    FABRIC_ADDRESS,
    KEYSTONE_PORT,
    MACHINE,
    NEUTRON_PORT,
    OVN_NORTHBOUND_PORT,
    OVN_SOUTHBOUND_PORT,
)

# Where a listening socket of the machine's own namespace, handed to the daemon, is named on its command line.
INHERITED_SOCKET = "{inherited}"

# Where an agent is called, and where it fetches that socket from whoever keeps it.
PLUGIN_SOCKET = "/run/docker/plugins/fairlead.sock"
KEPT_SOCKET = "/run/fairlead/agent-socket"
WATCHER = "watcher"

# What an agent finds in its environment, where a machine has the file: as EnvironmentFile of a systemd unit.
AGENT_ENVIRONMENT = "/etc/default/fairlead"
_WITH_ENVIRONMENT = 'set -a; test ! -e "$1" || . "$1"; shift; exec "$@"'

_OVS_LOG = ("-vconsole:info", "-vsyslog:off", "-vfile:off")


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """Ready when a connection to the socket, a path in the component's namespace, is accepted."""

    path: str


@dataclass(frozen=True, slots=True)
class UnixHttp:
    """Ready when an HTTP server on the socket answers 200."""

    path: str
    method: str
    target: str


@dataclass(frozen=True, slots=True)
class LoopbackHttp:
    """Ready when the component answers on the loopback socket it was handed, with any status below 500."""

    target: str


Readiness = UnixSocket | UnixHttp | LoopbackHttp | None


@dataclass(frozen=True, slots=True)
class Component:
    """One daemon.

    name: `neutron`, or `h1/dockerd` on a host. place: `fabric`, the host, or `machine`: in no namespace of the lab's.
    needs: stages or components before it. prepare and settle: shell commands run in its namespaces before it starts and
    once it is ready; both may run again at a restart. patience: seconds to end by itself.
    survived: whether what it started (containers) may outlive it and is left alone when it starts again.
    """

    name: str
    place: str
    argv: tuple[str, ...]
    needs: tuple[str, ...]
    ready: Readiness = None
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: str = ""
    settle: str = ""
    patience: float = 10.0
    survived: bool = False

    @property
    def inherits_socket(self) -> bool:
        """Whether it also serves the machine's loopback."""
        return any(INHERITED_SOCKET in word for word in self.argv)


def mariadb(datadir: Path) -> Component:
    """MariaDB on its unix socket alone, tuned for data that need not survive the machine."""
    return Component(
        name="mariadb",
        place=FABRIC,
        needs=("database",),
        argv=(
            "mariadbd",
            "--no-defaults",
            "--user=mysql",
            f"--datadir={datadir}",
            f"--socket={MYSQL_SOCKET}",
            "--pid-file=/run/mysqld/mysqld.pid",
            f"--init-file={datadir.parent / 'init.sql'}",
            "--skip-networking",
            "--skip-log-bin",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-log-file-size=16M",
            "--innodb-buffer-pool-size=96M",
            "--character-set-server=utf8mb3",
            "--max-connections=300",
        ),
        ready=UnixSocket(MYSQL_SOCKET),
    )


def ovn_central(folder: Path) -> tuple[Component, ...]:
    """OVN's two databases and northd."""

    def database(name: str, schema: str, socket: str, port: int) -> Component:
        file = folder / f"{socket}.db"
        return Component(
            name=name,
            place=FABRIC,
            needs=(FABRIC,),
            prepare=_create(file, f"/usr/share/ovn/{schema}.ovsschema"),
            argv=(
                "ovsdb-server",
                str(file),
                f"--remote=punix:/run/ovn/{socket}_db.sock",
                f"--remote=ptcp:{port}:{FABRIC_ADDRESS}",
                f"--unixctl=/run/ovn/{socket}_db.ctl",
                *_OVS_LOG,
            ),
            ready=UnixSocket(f"/run/ovn/{socket}_db.sock"),
        )

    northd = Component(
        name="ovn-northd",
        place=FABRIC,
        needs=("ovn-nb", "ovn-sb"),
        argv=(
            "ovn-northd",
            "--ovnnb-db=unix:/run/ovn/ovnnb_db.sock",
            "--ovnsb-db=unix:/run/ovn/ovnsb_db.sock",
            "--unixctl=/run/ovn/ovn-northd.ctl",
            *_OVS_LOG,
        ),
        ready=UnixSocket("/run/ovn/ovn-northd.ctl"),
    )
    return (
        database("ovn-nb", "ovn-nb", "ovnnb", OVN_NORTHBOUND_PORT),
        database("ovn-sb", "ovn-sb", "ovnsb", OVN_SOUTHBOUND_PORT),
        northd,
    )


def keystone(python: Path, services: Path, conf: Path) -> Component:
    """Keystone's API."""
    return Component(
        name="keystone",
        place=FABRIC,
        needs=("databases",),
        argv=_gunicorn(python, services, KEYSTONE_PORT, "keystone_api", threads=4),
        environment={"OS_KEYSTONE_CONFIG_FILES": str(conf)},
        ready=LoopbackHttp("/v3"),
    )


def neutron(python: Path, services: Path, conf: Path, access_log: Path, disturbance: Path) -> tuple[Component, ...]:
    """Neutron's API, and the worker that repairs what drifts between Neutron and OVN."""
    # Neutron asks its WSGI server for the number of workers, knows this variable only, and without an answer
    # handles no event of OVN: no port would ever become ACTIVE.
    environment = {"ASGI_WORKERS": "1", "OS_NEUTRON_CONFIG_FILES": str(conf)}
    api = Component(
        name="neutron",
        place=FABRIC,
        needs=("databases", "ovn-nb", "ovn-sb"),
        argv=_gunicorn(python, services, NEUTRON_PORT, "neutron_api", threads=16),
        environment={**environment, "FAIRLEAD_ACCESS_LOG": str(access_log), "FAIRLEAD_DISTURBANCE": str(disturbance)},
        ready=LoopbackHttp("/"),
    )
    maintenance = Component(
        name="neutron-maintenance",
        place=FABRIC,
        needs=("neutron",),
        argv=(str(python), str(python.with_name("neutron-ovn-maintenance-worker")), "--config-file", str(conf)),
        environment=environment,
    )
    return api, maintenance


def open_vswitch(host: str, folder: Path, setup: str) -> tuple[Component, ...]:
    """A host's OVSDB, switch and ovn-controller. `setup` is the shell command that makes the bridges."""
    file = folder / "ovs.db"
    database = Component(
        name=f"{host}/ovsdb",
        place=host,
        needs=(host,),
        prepare=_create(file, "/usr/share/openvswitch/vswitch.ovsschema"),
        argv=(
            "ovsdb-server",
            str(file),
            "--remote=punix:/run/openvswitch/db.sock",
            "--pidfile=/run/openvswitch/ovsdb-server.pid",
            *_OVS_LOG,
        ),
        ready=UnixSocket("/run/openvswitch/db.sock"),
        settle="ovs-vsctl --no-wait init",
    )
    switch = Component(
        name=f"{host}/vswitchd",
        place=host,
        needs=(f"{host}/ovsdb",),
        argv=(
            "ovs-vswitchd",
            "unix:/run/openvswitch/db.sock",
            "--pidfile=/run/openvswitch/ovs-vswitchd.pid",
            *_OVS_LOG,
        ),
        settle=setup,
    )
    controller = Component(
        name=f"{host}/ovn-controller",
        place=host,
        needs=(f"{host}/vswitchd", "ovn-sb"),
        argv=(
            "ovn-controller",
            "unix:/run/openvswitch/db.sock",
            "--pidfile=/run/ovn/ovn-controller.pid",
            *_OVS_LOG,
        ),
        environment={"OVS_RUNDIR": "/run/openvswitch", "OVN_RUNDIR": "/run/ovn"},
    )
    return database, switch, controller


def dockerd(host: str, needs: tuple[str, ...], image: str) -> Component:
    """A host's Docker daemon; its settings are in /etc/docker/daemon.json. `image` is the tar of the busybox image."""
    return Component(
        name=f"{host}/dockerd",
        place=host,
        needs=needs,
        # A killed dockerd, and its containerd that dies with it, leave their pids there, and the next dockerd takes a
        # process that isn't reaped yet for one that runs.
        prepare="rm -f /run/docker.pid /run/docker/containerd/containerd.pid",
        argv=("dockerd",),
        ready=UnixHttp("/run/docker.sock", "GET", "/_ping"),
        settle="docker image inspect busybox >/dev/null 2>&1 || "
        f"docker import -c 'CMD [\"sh\"]' {shlex.quote(image)} busybox >/dev/null",
        patience=30.0,
        survived=True,
    )


def agent_socket(host: str, python: str, services: Path) -> Component:
    """What keeps the socket at which dockerd waits for a machine's agent, as systemd does."""
    return Component(
        name=f"{host}/agent-socket",
        place=host,
        needs=(host,),
        argv=(python, str(services / "plugin_socket.py"), "keep", PLUGIN_SOCKET, KEPT_SOCKET),
        ready=UnixSocket(PLUGIN_SOCKET),
    )


def agent(host: str, python: str, services: Path, wired: str, *, routed: bool) -> Component:
    """A machine's Fairlead agent, by the Python that runs this command.

    wired: what its networking comes from. routed: its mode is `routed`, for flannel, and not `ovs`, for Docker.
    """
    docker = UnixHttp(PLUGIN_SOCKET, "POST", "/Plugin.Activate")
    return Component(
        name=f"{host}/agent",
        place=host,
        needs=("keystone", "neutron", wired, f"{host}/agent-socket"),
        argv=(
            *("sh", "-c", _WITH_ENVIRONMENT, "sh", AGENT_ENVIRONMENT),
            *(python, str(services / "plugin_socket.py"), "take", KEPT_SOCKET, python, "-m", "fairlead", "agent"),
        ),
        ready=UnixHttp("/run/fairlead/flannel.sock", "POST", "/flannel/status") if routed else docker,
    )


def watcher(lab: str, python: str) -> Component:
    """What starts again whatever of the lab dies by itself; it needs nothing, and comes when the processor is free."""
    return Component(
        name=WATCHER, place=MACHINE, needs=("neutron",), argv=(python, "-m", "fairlead_lab.watcher", lab), patience=0.0
    )


def _create(file: Path, schema: str) -> str:
    """The command that makes an OVSDB file, and the folders for sockets and pids, unless they are there."""
    return f"mkdir -p /run/openvswitch /run/ovn; test -e {file} || ovsdb-tool create {file} {schema}"


def _gunicorn(python: Path, services: Path, port: int, module: str, *, threads: int) -> tuple[str, ...]:
    return (
        str(python),
        str(services / "serve.py"),
        str(FABRIC_ADDRESS),
        str(port),
        INHERITED_SOCKET,
        "--worker-class",
        "gthread",
        "--workers",
        "1",
        "--threads",
        str(threads),
        "--keep-alive",
        "75",
        "--timeout",
        "300",
        "--graceful-timeout",
        "3",
        "--no-control-socket",
        "--worker-tmp-dir",
        "/dev/shm",  # noqa: S108  gunicorn unlinks its file at once
        "--pythonpath",
        str(services),
        "--name",
        module,
        module,
    )
