"""A token of Keystone's and Neutron's URL, kept until shortly before they expire.

How long a token is good for is a difference of two moments of Keystone's clock; whose clock is right does not matter.
Credentials that Keystone refuses are not tried again and again: it would lock the account, which others may use too.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from keystoneauth1 import exceptions as ksa
from keystoneauth1.loading import get_plugin_loader
from keystoneauth1.session import Session

from fairlead.adapters.neutron import keystone_errors
from fairlead.adapters.neutron.credentials import APPLICATION_CREDENTIAL, CloudConfig
from fairlead.model.errors import Denied, SettingsError

RENEW_BEFORE = 60.0
"""Seconds before its end from which a token is not used any more: a call that starts with it must end with it."""

FIRST_WAIT, LONGEST_WAIT = 30.0, 600.0
"""Seconds for which refused credentials are not shown to Keystone again: after the first refusal, and at most."""


@dataclass(frozen=True, slots=True)
class Token:
    """What Keystone said: the token itself (never shown), how many seconds it is good for, whose it is.

    endpoint: Neutron's URL with the version, without a slash at its end.
    """

    value: str = field(repr=False)
    lifetime: float
    endpoint: str
    user: str
    project: str
    project_id: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """These credentials were refused, and until then (by the source's clock) are not tried again."""

    config: CloudConfig
    error: Denied
    wait: float
    until: float

    def again(self, now: float) -> Denied:
        """Say once more why."""
        remedy = f"{self.error.remedy}; Keystone is asked again in {self.until - now:.0f} s, or once that is changed"
        return type(self.error)(self.error.message, remedy=remedy)


class TokenSource:
    """Gives the current token; asks Keystone once, however many wait.

    keystoneauth1 blocks, so it works in a thread. timeout: seconds for connecting to Keystone and for each silence
    of its. look: finds the credentials anew, so that changed ones are used from the next question on. steady: seconds
    by a clock that nobody sets.
    """

    def __init__(
        self,
        config: CloudConfig,
        *,
        timeout: float = 10.0,
        look: Callable[[], CloudConfig] | None = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self._timeout = timeout
        self._look = look or (lambda: config)
        self._steady = steady
        self._token: Token | None = None
        self._good_until = 0.0
        self._refusal: _Refusal | None = None
        self._asking: asyncio.Task[Token] | None = None

    async def current(self) -> Token:
        """Give a token that is good for a call now.

        Raises AuthenticationFailed, PermissionDenied, CloudUnavailable, SettingsError; the first two at once where
        Keystone has refused these credentials lately.
        """
        token = self._token
        return token if token and self._steady() < self._good_until - RENEW_BEFORE else await self._ask()

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
            self._find_credentials()
            self._asking = asyncio.create_task(self._fetch())
            self._asking.add_done_callback(self._answered)
        return await asyncio.shield(self._asking)

    def _find_credentials(self) -> None:
        """Take those that are there now. Raises what Keystone said of them, where that was lately."""
        with suppress(SettingsError):  # being written: the last ones that were whole are as good as any
            self.config = self._look()
        refusal, now = self._refusal, self._steady()
        if refusal and refusal.config == self.config and now < refusal.until:
            raise refusal.again(now)

    async def _fetch(self) -> Token:
        began, config = self._steady(), self.config
        try:
            token = await asyncio.to_thread(fetch_token, config, self._timeout)
        except Denied as error:
            before = self._refusal.wait if self._refusal and self._refusal.config == config else 0.0
            wait = min(LONGEST_WAIT, max(FIRST_WAIT, 2 * before))
            self._refusal = _Refusal(config, error, wait, self._steady() + wait)
            raise
        self._refusal, self._token, self._good_until = None, token, began + token.lifetime
        return token

    def _answered(self, task: asyncio.Task[Token]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # heard, also where nobody waits any more


def fetch_token(config: CloudConfig, timeout: float) -> Token:
    """Ask Keystone for a token; blocks.

    Raises AuthenticationFailed, PermissionDenied, CloudUnavailable, SettingsError.
    """
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
        lifetime = (access.expires - access.issued).total_seconds()
        endpoint = config.network_endpoint or access.service_catalog.url_for(
            service_type="network", interface=config.interface, region_name=config.region or None
        )
        return Token(
            value=access.auth_token,
            lifetime=lifetime,
            endpoint=_versioned(endpoint),
            user=access.username or "",
            project=access.project_name or "",
            project_id=access.project_id,
            roles=frozenset(access.role_names),
        )
    except ksa.CatalogException as exc:
        raise keystone_errors.no_network_endpoint(config) from exc
    except ksa.ClientException as exc:
        raise keystone_errors.translate(exc, config) from exc
    except OSError as exc:
        # What requests says of a cacert or cert that is not there.
        raise keystone_errors.unreadable_certificate(config, exc) from exc
    except (AttributeError, LookupError, TypeError, ValueError) as exc:
        raise keystone_errors.unreadable(config) from exc
    finally:
        session.session.close()


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
