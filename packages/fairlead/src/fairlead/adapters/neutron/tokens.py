"""A token of Keystone's and Neutron's URL, kept until shortly before they expire."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keystoneauth1 import exceptions as ksa
from keystoneauth1.loading import get_plugin_loader
from keystoneauth1.session import Session

from fairlead.adapters.neutron import keystone_errors
from fairlead.adapters.neutron.credentials import APPLICATION_CREDENTIAL, CloudConfig

# A call that starts with a token must be able to end with it: Neutron's slowest answers take seconds, clocks differ.
RENEW_BEFORE = 60.0


@dataclass(frozen=True, slots=True)
class Token:
    """What Keystone said: the token itself (never shown), until when (seconds since the epoch), whose it is.

    endpoint: Neutron's URL with the version, without a slash at its end.
    """

    value: str = field(repr=False)
    expires_at: float
    endpoint: str
    user: str
    project: str
    project_id: str
    roles: frozenset[str]

    @property
    def usable(self) -> bool:
        """Whether a call may start with it now."""
        return time.time() < self.expires_at - RENEW_BEFORE


class TokenSource:
    """Gives the current token; asks Keystone once, however many wait.

    keystoneauth1 blocks, so it works in a thread. timeout: seconds for connecting to Keystone and for each silence
    of its.
    """

    def __init__(self, config: CloudConfig, *, timeout: float = 10.0) -> None:
        self._config = config
        self._timeout = timeout
        self._token: Token | None = None
        self._asking: asyncio.Task[Token] | None = None

    async def current(self) -> Token:
        """Give a token that is good for a call now.

        Raises AuthenticationFailed, CloudUnavailable, SettingsError.
        """
        token = self._token
        return token if token and token.usable else await self._ask()

    async def replace(self, refused: Token) -> Token:
        """Give another token than this one, which Neutron did not accept."""
        if self._token is refused:
            self._token = None
        return await self.current()

    async def close(self) -> None:
        """Stop waiting for Keystone. Its thread ends by itself, within the timeout."""
        if self._asking:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self) -> Token:
        # A caller that is cancelled or runs out of time leaves the question standing for the others.
        if self._asking is None:
            self._asking = asyncio.create_task(asyncio.to_thread(fetch_token, self._config, self._timeout))
            self._asking.add_done_callback(self._answered)
        return await asyncio.shield(self._asking)

    def _answered(self, task: asyncio.Task[Token]) -> None:
        self._asking = None
        if not task.cancelled() and task.exception() is None:
            self._token = task.result()


def fetch_token(config: CloudConfig, timeout: float) -> Token:
    """Ask Keystone for a token; blocks. Raises AuthenticationFailed, CloudUnavailable, SettingsError."""
    session = Session(
        verify=config.cacert or config.verify,
        cert=(config.cert, config.key) if config.cert and config.key else config.cert or None,
        timeout=timeout,
        app_name="fairlead",
    )
    try:
        access = _plugin(config).get_access(session)
        if not access.project_id:
            raise keystone_errors.no_project(config)
        endpoint = config.network_endpoint or access.service_catalog.url_for(
            service_type="network", interface=config.interface, region_name=config.region or None
        )
    except ksa.CatalogException as exc:
        raise keystone_errors.no_network_endpoint(config) from exc
    except ksa.ClientException as exc:
        raise keystone_errors.translate(exc, config) from exc
    except OSError as exc:
        # What requests says of a cacert or cert that is not there.
        raise keystone_errors.unreadable_certificate(config, exc) from exc
    finally:
        session.session.close()
    return Token(
        value=access.auth_token,
        expires_at=access.expires.timestamp(),
        endpoint=_versioned(endpoint),
        user=access.username or "",
        project=access.project_name or "",
        project_id=access.project_id,
        roles=frozenset(access.role_names),
    )


def _plugin(config: CloudConfig) -> Any:
    loader = get_plugin_loader(config.auth_type)
    return loader.load_from_options(**_options(loader, config))


def _options(loader: Any, config: CloudConfig) -> Mapping[str, Any]:
    """Keep what the plugin knows: a clouds.yaml may say more, and every client lets that pass."""
    chosen: dict[str, Any] = {}
    for option in loader.get_options():
        # An application credential is bound to its project; naming one again is refused by Keystone.
        if config.auth_type == APPLICATION_CREDENTIAL and option.dest.startswith(("project_", "domain_")):
            continue
        names = [option.dest, *(old.dest for old in option.deprecated)]
        given = next((config.auth[name] for name in names if config.auth.get(name) not in {None, ""}), None)
        if given is not None:
            chosen[option.dest] = given if isinstance(given, bool) else str(given)
    return chosen


def _versioned(endpoint: str) -> str:
    # The catalogue names Neutron's root; some old ones add the version.
    base = endpoint.rstrip("/")
    return base if base.endswith("/v2.0") else f"{base}/v2.0"
