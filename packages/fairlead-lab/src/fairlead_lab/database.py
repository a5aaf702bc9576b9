"""The databases of Keystone and Neutron: made once by their own migrations, then unpacked from a snapshot."""

import hashlib
import json
import secrets
import shutil
import subprocess
import tempfile
import uuid
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import msgspec

from fairlead_lab import commands
from fairlead_lab.host import Host
from fairlead_lab.packages import find_program
from fairlead_lab.paths import CACHE_ROOT
from fairlead_lab.settings import KEYSTONE_URL, NEUTRON_URL, Secrets
from fairlead_lab.spec import Role

MYSQL = Path("/run/mysqld")
DATADIR = MYSQL / "data"
# MariaDB takes one statement a line from its init file.
_INIT_SQL = "CREATE DATABASE IF NOT EXISTS keystone;\nCREATE DATABASE IF NOT EXISTS neutron;\n"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A folder of the cache with MariaDB's data, Keystone's keys, and the passwords in them; whole or not there."""

    path: Path

    @property
    def exists(self) -> bool:
        """Whether it was made: the folder is renamed into place when it is whole."""
        return self.path.is_dir()

    def secrets(self) -> Secrets:
        """The passwords that are in the databases."""
        return read_secrets(self.path / "secrets.json")


def snapshot_for(environment: Path, role: Role, cache_root: Path = CACHE_ROOT) -> Snapshot:
    """The snapshot that fits these versions of all that reads or writes the databases, made or not."""
    mariadbd = find_program("mariadbd")
    version = subprocess.run([str(mariadbd), "--version"], capture_output=True, text=True, check=False).stdout
    seed = resources.files("fairlead_lab.services").joinpath("seed_keystone.py").read_text()
    parts = (environment.name, version, seed, role, KEYSTONE_URL, NEUTRON_URL, _INIT_SQL)
    return Snapshot(cache_root / "snapshots" / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16])


def fresh_secrets() -> Secrets:
    """Passwords for databases about to be made."""
    return Secrets(
        admin_password=secrets.token_urlsafe(16),
        neutron_password=secrets.token_urlsafe(16),
        demo_password=secrets.token_urlsafe(16),
        credential_id=uuid.uuid4().hex,
        credential_secret=secrets.token_urlsafe(32),
    )


def read_secrets(file: Path) -> Secrets:
    """Passwords kept in a file by `write_secrets`."""
    return msgspec.json.decode(file.read_bytes(), type=Secrets)


def write_secrets(file: Path, values: Secrets) -> None:
    """Keep passwords in a file only root may read."""
    file.touch(mode=0o600)
    file.write_text(json.dumps(asdict(values)))


async def prepare(fabric: Host, keys: Path, snapshot: Snapshot) -> None:
    """Fill MariaDB's data folder (on the fabric's tmpfs) from the snapshot, or with MariaDB's own empty databases."""
    keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    if snapshot.exists:
        script = (
            f"mkdir -p {MYSQL} && tar -xzpf {snapshot.path}/mysql.tar.gz -C {MYSQL}"
            f" && tar -xzpf {snapshot.path}/keys.tar.gz -C {keys}"
        )
    else:
        script = (
            f"mkdir -p {MYSQL} && rm -rf {DATADIR} && mariadb-install-db --no-defaults --user=mysql --datadir={DATADIR}"
            " --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve"
            " --innodb-log-file-size=16M >/dev/null"
        )
    # MariaDB gives up root for its own user, which must be able to make its socket here.
    script += f" && printf %s '{_INIT_SQL}' >{MYSQL}/init.sql && chown mysql {MYSQL}"
    await commands.run(fabric.command(["sh", "-c", script]), purpose="preparing the databases")


def keystone_seed(conf: Path, values: Secrets, role: Role) -> bytes:
    """What services/seed_keystone.py reads: the configuration, the addresses, the user's role and the passwords."""
    urls = {"keystone_url": KEYSTONE_URL, "neutron_url": NEUTRON_URL}
    return json.dumps({"config": str(conf), "role": role, **urls, **asdict(values)}).encode()


async def seed_keystone(fabric: Host, python: Path, seed: bytes, log: Path) -> None:
    """Make Keystone's schema and keys, its first users, and demo's application credential."""
    script = resources.files("fairlead_lab.services").joinpath("seed_keystone.py")
    await commands.run(
        fabric.command([str(python), str(script)]), purpose="making Keystone's database", stdin=seed, log=log
    )


async def migrate_neutron(fabric: Host, python: Path, conf: Path, log: Path) -> None:
    """Bring Neutron's empty database to its newest schema, data migrations included."""
    manage = [str(python), str(python.with_name("neutron-db-manage")), "--config-file", str(conf), "upgrade", "heads"]
    await commands.run(fabric.command(manage), purpose="making Neutron's database", log=log)


async def copy_aside(fabric: Host) -> None:
    """Copy MariaDB's data folder, MariaDB being stopped."""
    script = f"rm -rf {MYSQL}/copy && mkdir {MYSQL}/copy && cp -a {DATADIR} {MYSQL}/copy/"
    await commands.run(fabric.command(["sh", "-c", script]), purpose="copying the databases")


async def pack(fabric: Host, keys: Path, values: Secrets, snapshot: Snapshot) -> None:
    """Make the snapshot from the copy, keys and passwords, all at once or not at all; the copy goes."""
    snapshot.path.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=".half-", dir=snapshot.path.parent))
    try:
        script = (
            f"tar -C {MYSQL}/copy -S -c data | gzip -1 >{half}/mysql.tar.gz && rm -rf {MYSQL}/copy"
            f" && tar -C {keys} -czf {half}/keys.tar.gz ."
        )
        await commands.run(
            fabric.command(["sh", "-c", script]),
            purpose="keeping a snapshot of the databases",
        )
        write_secrets(half / "secrets.json", values)
        try:
            half.rename(snapshot.path)
        except OSError:  # another lab was quicker with the same
            return
    finally:
        shutil.rmtree(half, ignore_errors=True)
