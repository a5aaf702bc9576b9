"""What an operator is told of answers and silences that no cloud here can be brought to give."""

from typing import Any, cast

import aiohttp
import pytest
from keystoneauth1 import exceptions as ksa

from fairlead.adapters.neutron import CloudConfig, keystone_errors
from fairlead.adapters.neutron.errors import AnswerError, silence, translate
from fairlead.model.errors import CloudUnavailable, PermissionDenied, QuotaExceeded, SettingsError

URL = "https://cloud:9696"
KEY: Any = aiohttp.client_reqrep.ConnectionKey("cloud", 9696, True, True, None, None, None)
CONFIG = CloudConfig("password", {"auth_url": "https://cloud/v3", "username": "demo"}, source="clouds.yaml")


@pytest.mark.parametrize(
    ("exc", "said", "reached"),
    [
        (
            aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known")),
            f"the name in Neutron's URL {URL} is unknown (Name or service not known): check DNS",
            False,
        ),
        (
            aiohttp.ClientConnectorSSLError(KEY, OSError(1, "wrong version number")),
            f"Neutron at {URL} does not speak TLS as expected: check the URL",
            False,
        ),
        (aiohttp.ConnectionTimeoutError(), f"Neutron at {URL} can't be reached within 5 s: check that it runs", False),
        (
            aiohttp.ClientError("odd"),
            f"Neutron at {URL} does not answer as HTTP should (odd): check the URL",
            True,
        ),
    ],
)
def test_a_silence_of_neutrons_is_told_by_its_cause(exc: aiohttp.ClientError, said: str, reached: bool) -> None:
    error = silence(exc, URL, 5.0)
    assert str(error).startswith(said)
    assert error.reached is reached


def test_a_quota_that_is_used_up_is_named_whatever_was_asked_for() -> None:
    answer = AnswerError(409, "OverQuota", "Quota exceeded for resources: ['security_group'].", URL)
    error = translate(answer)
    assert isinstance(error, QuotaExceeded)
    assert str(error).startswith("the project's quota of security_groups is used up")


@pytest.mark.parametrize(
    ("exc", "kind", "said"),
    [
        (ksa.Forbidden("no"), PermissionDenied, "forbids user 'demo'"),
        (
            ksa.MissingRequiredOptions([cast(Any, type("Option", (), {"dest": "password"}))]),
            SettingsError,
            "clouds.yaml lacks password: add it",
        ),
        (ksa.ClientException("odd"), CloudUnavailable, "gives no token: odd"),
    ],
)
def test_a_refusal_of_keystones_is_told_by_its_cause(exc: Exception, kind: type[Exception], said: str) -> None:
    error = keystone_errors.translate(exc, CONFIG)
    assert isinstance(error, kind)
    assert said in str(error)
