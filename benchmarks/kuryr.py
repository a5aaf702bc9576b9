"""kuryr-libnetwork on a lab's host, from PyPI, on the lab's own Keystone and Neutron.

It gets an administrator's credentials, since it binds its ports to the host, which a member may not. Its server follows
every change of the host's network devices and so costs containers of all networks something: it runs only in its turns.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import yaml

from benchmarks.report import ROOT, say
from fairlead.model.errors import LabError
from fairlead_lab import Lab
from fairlead_lab.host import Host
from fairlead_lab.settings import KEYSTONE_URL, REGION

VERSION = "18.0.0"
_FOLDER = ROOT / "build" / "kuryr"
_PORT = 23750
_TO_START = 30.0


@dataclass(frozen=True, slots=True)
class Kuryr:
    """A kuryr-libnetwork that may be started on one host of a lab."""

    lab: Lab
    host: Host
    environment: Path

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run its server meanwhile. Raises LabError with the end of its log where it does not start."""
        settings = self.host.path("/etc/kuryr.conf")
        settings.touch(mode=0o600)
        settings.write_text(self._settings())
        spec = self.host.path("/etc/docker/plugins/kuryr.spec")
        spec.parent.mkdir(exist_ok=True)
        spec.write_text(f"tcp://127.0.0.1:{_PORT}\n")
        log = _FOLDER / f"{self.lab.spec.name}.log"
        with log.open("a") as output:
            program = str(self.environment / "bin" / "kuryr-server")
            server = self.host.popen([program, "--config-file", "/etc/kuryr.conf"], stdout=output, stderr=output)
        try:
            self._wait(server, log)
            yield
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def remove(self) -> None:
        """Take away what dockerd finds it by."""
        self.host.path("/etc/docker/plugins/kuryr.spec").unlink(missing_ok=True)
        self.host.path("/etc/kuryr.conf").unlink(missing_ok=True)

    def _wait(self, server: subprocess.Popen[str], log: Path) -> None:
        limit = time.monotonic() + _TO_START
        probe = f"import socket; socket.create_connection(('127.0.0.1', {_PORT}), 1)"
        while self.host.run([sys.executable, "-c", probe], check=False).returncode:
            if server.poll() is not None or time.monotonic() > limit:
                raise LabError(f"kuryr-server does not serve: {log.read_text()[-500:]}")
            time.sleep(0.05)

    def _settings(self) -> str:
        auth = yaml.safe_load(self.lab.clouds_yaml.read_text())["clouds"]["admin"]["auth"]
        parser = ConfigParser(interpolation=None, default_section="\0")
        cloud = {**auth, "auth_type": "password", "auth_url": KEYSTONE_URL, "region_name": REGION}
        parser.read_dict(
            {
                "DEFAULT": {
                    "bindir": str(self.environment / "libexec" / "kuryr"),
                    "kuryr_uri": f"http://127.0.0.1:{_PORT}",
                },
                "neutron": cloud,
            }
        )
        text = StringIO()
        parser.write(text)
        return text.getvalue()


def install() -> Path:
    """Install kuryr-libnetwork into an environment of its own and return it; raises LabError."""
    environment = _FOLDER / f"venv-{VERSION}"
    if (environment / ".complete").is_file():
        return environment
    say(f"installing kuryr-libnetwork {VERSION}")
    uv = str(Path(sys.executable).with_name("uv"))
    # Its dependencies import pkg_resources, which later setuptools don't have.
    packages = [f"kuryr-libnetwork=={VERSION}", "setuptools<80"]
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)],
        [uv, "pip", "install", "--quiet", "--python", str(environment / "bin" / "python"), *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LabError(f"can't install kuryr-libnetwork: {done.stderr.strip()[-500:]}")
    (environment / ".complete").touch()
    return environment
