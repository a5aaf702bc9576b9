"""Settings: fairlead.toml, and the environment over it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

import msgspec

from fairlead.model.errors import SettingsError

DEFAULT_FILE = Path("/etc/fairlead/fairlead.toml")
ENV_PREFIX = "FAIRLEAD_"


class CloudSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which cloud. name: in clouds.yaml; empty: OS_CLOUD or the OS_* variables. Timeouts in seconds."""

    name: str = ""
    connect_timeout: float = 5.0
    timeout: float = 20.0
    create_patience: float = 100.0


class AgentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The agent itself. host: this host's name in Neutron; empty: what Open vSwitch says, or the host's own.

    mode: `ovs` on a host with OVN's switch; on a Nova instance `routed` (blocks of addresses), `trunk` (a sub-port for
    each container) or `ipvlan` (address pairs); `macvlan` is refused, and says why. doors: names of those by which
    requests come in (`agent.doors.known`); empty: the mode's own.
    """

    mode: Literal["auto", "ovs", "routed", "trunk", "ipvlan", "macvlan"] = "auto"
    doors: tuple[str, ...] = ()
    socket: str = "/run/docker/plugins/fairlead.sock"
    state_dir: str = "/var/lib/fairlead"
    host: str = ""


class OvsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Open vSwitch. timeout: seconds for one OVSDB transaction; wiring_timeout: for a port to become ready.

    wired: who says that a port is ready, `ovn` (ML2/OVN) or `neutron` (ML2/OVS, whose agent makes it ACTIVE).
    """

    db: str = "unix:/run/openvswitch/db.sock"
    bridge: str = "br-int"
    timeout: float = 5.0
    wiring_timeout: float = 10.0
    wired: Literal["ovn", "neutron"] = "ovn"


class DockerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """dockerd. socket: where it is asked which containers there still are; empty: it is not."""

    socket: str = "/var/run/docker.sock"


class FlannelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where `fairlead flannel` finds the agent."""

    socket: str = "/run/fairlead/flannel.sock"


class RoutedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Mode `routed`. port: UDP, on which nodes tell each other that a network has changed.

    containers_reach_host: the node's own services; containers_reach_metadata: what the cloud tells the node of itself.
    """

    port: Annotated[int, msgspec.Meta(gt=0, lt=65536)] = 7170
    containers_reach_host: bool = False
    containers_reach_metadata: bool = False


class PoolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ports that wait for containers, for each network. cool_down: seconds; rate: ports per second; share: 0 to 1.

    See core.warm.sizing.PoolLimits.
    """

    floor: Annotated[int, msgspec.Meta(ge=0)] = 2
    ceiling: Annotated[int, msgspec.Meta(ge=0)] = 100
    cool_down: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    rate: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.25


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that an operator may set; a section is a table of the file."""

    cloud: CloudSettings = CloudSettings()
    agent: AgentSettings = AgentSettings()
    ovs: OvsSettings = OvsSettings()
    pool: PoolSettings = PoolSettings()
    docker: DockerSettings = DockerSettings()
    flannel: FlannelSettings = FlannelSettings()
    routed: RoutedSettings = RoutedSettings()
    log: LogSettings = LogSettings()


def with_mode(settings: Settings, mode: str) -> Settings:
    """Return the settings with another mode."""
    agent = msgspec.convert({**msgspec.structs.asdict(settings.agent), "mode": mode}, AgentSettings)
    return msgspec.structs.replace(settings, agent=agent)


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings.

    path None: $FAIRLEAD_CONFIG, else /etc/fairlead/fairlead.toml if it is there. A variable FAIRLEAD_SECTION_KEY
    (FAIRLEAD_AGENT_STATE_DIR) goes over the file; a list is written with commas (FAIRLEAD_AGENT_DOORS=docker,flannel).
    Raises SettingsError, naming the file and the key.
    """
    named = path or (Path(environ["FAIRLEAD_CONFIG"]) if environ.get("FAIRLEAD_CONFIG") else None)
    source = named or DEFAULT_FILE
    tables: dict[str, Any] = {}
    try:
        tables = tomllib.loads(source.read_text())
    except FileNotFoundError as error:
        if named:
            raise SettingsError(f"{source} does not exist", remedy="name another file with --config") from error
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"can't read {source}: {error}", remedy="mend the file") from error
    for section in msgspec.structs.fields(Settings):
        for key in msgspec.structs.fields(section.type):
            variable = f"{ENV_PREFIX}{section.name}_{key.name}".upper()
            if variable in environ and isinstance(tables.setdefault(section.name, {}), dict):
                tables[section.name][key.name] = _from_text(environ[variable], key.type)
    try:
        # Not strict: what comes from the environment is text.
        return msgspec.convert(tables, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{source} or the environment is wrong: {error}", remedy="see docs/agent.md") from error


def _from_text(text: str, kind: Any) -> str | list[str]:
    """Take a variable's text apart where a list is wanted."""
    if get_origin(kind) is tuple:
        return [one.strip() for one in text.split(",") if one.strip()]
    return text
