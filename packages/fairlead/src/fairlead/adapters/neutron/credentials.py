"""Where the cloud is and who we are there: clouds.yaml or OS_* variables.

The files and their keys are those of every OpenStack client
(https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html), their places are not: a client also
looks into the current directory and the user's home. Whoever asks here is root, an agent or its check, and would take
the word of anybody who can write a file where root happens to be; and a check started elsewhere would find other
credentials than the agent does. So a file is the system's, or named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fairlead.model.errors import SettingsError

DEFAULT_AUTH_TYPE = "password"
APPLICATION_CREDENTIAL = "v3applicationcredential"

SYSTEM = Path("/etc/openstack")
"""Where the system's files are."""


@dataclass(frozen=True, slots=True)
class CloudConfig:
    """A cloud and the credentials to use in it.

    auth_type: name of a keystoneauth1 plugin; auth: its options, never shown. region empty: any. interface: public,
    internal or admin. verify False: trust any certificate; cacert, cert, key: paths of PEM files.
    network_endpoint: Neutron's URL, instead of the catalogue's. source: where this was found, for messages.
    """

    auth_type: str
    auth: Mapping[str, Any] = field(repr=False)
    region: str = ""
    interface: str = "public"
    verify: bool = True
    cacert: str = ""
    cert: str = ""
    key: str = ""
    network_endpoint: str = ""
    source: str = ""

    @property
    def auth_url(self) -> str:
        """Keystone's URL, as it was given."""
        return str(self.auth.get("auth_url", ""))


def find_cloud(name: str = "", *, environ: Mapping[str, str], system: Path = SYSTEM) -> CloudConfig:
    """Find the credentials.

    name: an entry of clouds.yaml; empty: OS_CLOUD, else the OS_* variables, else the only entry of clouds.yaml.
    environ: the environment to read; OS_CLIENT_CONFIG_FILE names a file in the place of the system's.
    Raises SettingsError, which says what to add and where.
    """
    name = name or environ.get("OS_CLOUD", "")
    if not name and environ.get("OS_AUTH_URL"):
        return _from_environment(environ)
    places = _places(environ, system)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        reason = f"the cloud {name!r} is asked for, but" if name else "no cloud is named, and"
        raise SettingsError(
            f"{reason} there is no {places[0]}",
            remedy="write it, name another with OS_CLIENT_CONFIG_FILE, or set OS_AUTH_URL and the rest of OS_*",
        )
    clouds = _merged(_read(found), _secure(found, environ)).get("clouds")
    if not isinstance(clouds, dict) or not clouds:
        raise SettingsError(f"{found} has no clouds", remedy="its top key is 'clouds', with one entry for each cloud")
    if not name:
        if len(clouds) > 1:
            raise SettingsError(
                f"{found} has several clouds and none is chosen", remedy=f"set OS_CLOUD to one of {_listed(clouds)}"
            )
        name = str(next(iter(clouds)))
    entry = clouds.get(name)
    if not isinstance(entry, dict):
        raise SettingsError(f"there is no cloud {name!r} in {found}", remedy=f"it has {_listed(clouds)}")
    return _from_entry(name, entry, found)


def _places(environ: Mapping[str, str], system: Path) -> list[Path]:
    if named := environ.get("OS_CLIENT_CONFIG_FILE"):
        return [Path(named)]
    # Where systemd puts what LoadCredential= names.
    handed = [Path(environ["CREDENTIALS_DIRECTORY"])] if environ.get("CREDENTIALS_DIRECTORY") else []
    return [folder / f"clouds.{suffix}" for folder in (*handed, system) for suffix in ("yaml", "yml")]


def _secure(clouds_file: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Read the secrets that are kept apart: OS_CLIENT_SECURE_FILE, or secure.yaml beside clouds.yaml."""
    explicit = environ.get("OS_CLIENT_SECURE_FILE")
    candidates = [Path(explicit)] if explicit else [clouds_file.with_name(f"secure.{end}") for end in ("yaml", "yml")]
    found = next((place for place in candidates if place.is_file()), None)
    return _read(found) if found else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{path} can't be read ({exc})", remedy="check its owner and mode") from exc
    except yaml.YAMLError as exc:
        # The parser's own message quotes the line, which may hold a password.
        mark = getattr(exc, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{path} is not YAML{where}", remedy="correct its indentation and quotes") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path} is not a mapping", remedy="its top key is 'clouds'")
    return content


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        present = result.get(key)
        result[key] = _merged(present, value) if isinstance(present, dict) and isinstance(value, dict) else value
    return result


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(str, names)))


def _from_entry(name: str, entry: Mapping[str, Any], found: Path) -> CloudConfig:
    source = f"cloud {name!r} of {found}"
    auth = dict(entry.get("auth") or {})
    # Clients have always taken the domains beside `auth` as well.
    for key in ("user_domain_id", "user_domain_name", "project_domain_id", "project_domain_name"):
        if key in entry:
            auth.setdefault(key, entry[key])
    if not auth.get("auth_url"):
        profile = entry.get("profile") or entry.get("cloud")
        reason = f"; Fairlead does not read vendor profiles such as {profile!r}" if profile else ""
        raise SettingsError(f"{source} has no auth_url{reason}", remedy="add auth.auth_url, the URL of Keystone")
    return CloudConfig(
        auth_type=_auth_type(str(entry.get("auth_type") or ""), auth),
        auth=auth,
        region=str(entry.get("region_name") or ""),
        interface=str(
            entry.get("network_interface") or entry.get("interface") or entry.get("endpoint_type") or "public"
        ).removesuffix("URL"),
        verify=_truth(entry.get("verify", True)) and not _truth(entry.get("insecure", False)),
        cacert=str(entry.get("cacert") or ""),
        cert=str(entry.get("cert") or ""),
        key=str(entry.get("key") or ""),
        network_endpoint=str(entry.get("network_endpoint_override") or ""),
        source=source,
    )


def _from_environment(environ: Mapping[str, str]) -> CloudConfig:
    given = {key[3:].lower(): value for key, value in environ.items() if key.startswith("OS_") and value}
    return CloudConfig(
        auth_type=_auth_type(given.get("auth_type", ""), given),
        auth=given,
        region=given.get("region_name", ""),
        interface=(given.get("interface") or given.get("endpoint_type") or "public").removesuffix("URL"),
        verify=not _truth(given.get("insecure", False)),
        cacert=given.get("cacert", ""),
        cert=given.get("cert", ""),
        key=given.get("key", ""),
        network_endpoint=given.get("network_endpoint_override", ""),
        source="the OS_* variables",
    )


def _auth_type(named: str, auth: Mapping[str, Any]) -> str:
    if named:
        return named
    wants_application_credential = "application_credential_id" in auth or "application_credential_name" in auth
    return APPLICATION_CREDENTIAL if wants_application_credential else DEFAULT_AUTH_TYPE


def _truth(value: object) -> bool:
    return value if isinstance(value, bool) else str(value).strip().lower() in {"1", "true", "yes", "on"}
