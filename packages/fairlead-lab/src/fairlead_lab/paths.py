"""Where a lab keeps its things, and what labs there are."""

import re
from dataclasses import dataclass
from pathlib import Path

from fairlead.model.errors import LabError

RUN_ROOT = Path("/run/fairlead/lab")
DATA_ROOT = Path("/var/lib/fairlead/lab")
CACHE_ROOT = Path("/var/cache/fairlead")

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class LabPaths:
    """The files and folders of one lab: small state in `run`, big and slow things in `data`."""

    name: str
    run_root: Path = RUN_ROOT
    data_root: Path = DATA_ROOT

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise LabError(
                f"{self.name!r} can't be the name of a lab",
                remedy="use up to 31 lower-case letters, digits and dashes, a dash not first",
            )

    @property
    def run(self) -> Path:
        """State: the manifest, the timings, the client's clouds.yaml."""
        return self.run_root / self.name

    @property
    def data(self) -> Path:
        """Logs, configuration, databases of OVN and Docker's images."""
        return self.data_root / self.name

    @property
    def manifest(self) -> Path:
        """The record of everything the lab made."""
        return self.run / "manifest.json"

    @property
    def timings(self) -> Path:
        """Seconds each stage of the last `up` took."""
        return self.run / "timings.json"

    @property
    def clouds_yaml(self) -> Path:
        """Clouds `demo` and `admin`, through the machine's loopback."""
        return self.run / "clouds.yaml"

    @property
    def log(self) -> Path:
        """One file for each component, and neutron-access.log."""
        return self.data / "log"

    @property
    def conf(self) -> Path:
        """Configuration of the cloud's services."""
        return self.data / "conf"

    @property
    def tmp(self) -> Path:
        """A fresh TMPDIR for each start of an OpenStack service."""
        return self.data / "tmp"

    @property
    def ovn(self) -> Path:
        """Databases of OVN's northbound and southbound servers."""
        return self.data / "ovn"

    @property
    def neutron_access_log(self) -> Path:
        """One JSON object a line for each request Neutron answered."""
        return self.log / "neutron-access.log"

    @property
    def neutron_disturbance(self) -> Path:
        """How Neutron treats the hosts' requests, where it is to be disturbed (services/disturbance.py)."""
        return self.run / "neutron-disturbance.json"

    def host(self, host: str) -> Path:
        """What belongs to one host: OVSDB's file, Docker's data, the agent's state, the upper side of /etc."""
        return self.data / "hosts" / host

    def component_log(self, component: str) -> Path:
        """Standard output and error of one component, such as `neutron` or `h1/dockerd`."""
        return self.log / f"{component.replace('/', '-')}.log"


def existing_labs(run_root: Path = RUN_ROOT, data_root: Path = DATA_ROOT) -> tuple[str, ...]:
    """Names of the labs of which anything is on this machine, running or half gone."""
    roots = (root for root in (run_root, data_root) if root.is_dir())
    return tuple(sorted({child.name for root in roots for child in root.iterdir() if child.is_dir()}))
