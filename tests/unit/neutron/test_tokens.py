"""Keystone: signing in, renewing, and all the ways it goes wrong."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fairlead.adapters.neutron import CloudConfig, NeutronService
from fairlead.adapters.neutron.tokens import FIRST_WAIT, RENEW_BEFORE, TokenSource
from fairlead.core.warm.sizing import PoolLimits
from fairlead.model.errors import AuthenticationFailed, CloudUnavailable, FairleadError, SettingsError
from fairlead_lab.fakes import FakeCloud, Fault
from fairlead_lab.fakes.identity import Identity
from fairlead_lab.fakes.record import How
from tests.unit.docker.dockerd import DriverError, Host


def with_auth(config: CloudConfig, changes: Mapping[str, Any]) -> CloudConfig:
    auth = {**config.auth, **changes}
    return replace(config, auth={key: value for key, value in auth.items() if value is not None})


async def refused(
    config: CloudConfig, kind: type[FairleadError], *, connect_timeout: float = 5.0, total_timeout: float = 30.0
) -> str:
    async with NeutronService(config, connect_timeout=connect_timeout, total_timeout=total_timeout) as neutron:
        with pytest.raises(kind) as caught:
            await neutron.find_networks()
    return str(caught.value)


async def test_a_password_and_an_application_credential_both_sign_in(cloud: FakeCloud) -> None:
    for application_credential in (False, True):
        config = cloud.credentials(application_credential=application_credential)
        async with NeutronService(config) as neutron:
            view = await neutron.view()
            assert (view.user, view.project, view.project_id) == ("demo", "demo", cloud.project_id())


async def test_a_url_of_keystone_without_a_version_will_do(cloud: FakeCloud) -> None:
    async with NeutronService(with_auth(cloud.credentials(), {"auth_url": f"{cloud.url}/identity"})) as neutron:
        assert await neutron.find_networks() == []


async def test_one_token_serves_many_calls(cloud: FakeCloud, neutron: NeutronService) -> None:
    await asyncio.gather(*(neutron.find_networks() for _ in range(20)))
    await neutron.find_networks()
    assert sum(call.method == "POST" for call in cloud.identity_calls) == 1


async def test_a_token_is_renewed_before_it_expires(cloud: FakeCloud, neutron: NeutronService) -> None:
    cloud.identity.lifetime = timedelta(seconds=59)
    await neutron.find_subnets("any")
    cloud.identity.lifetime = timedelta(hours=1)
    await neutron.find_subnets("any")
    await neutron.find_subnets("any")
    assert sum(call.method == "POST" for call in cloud.identity_calls) == 2
    assert {call.status for call in cloud.calls} == {200}


@pytest.mark.parametrize("hours", [-2, 2])
async def test_keystone_is_asked_once_also_where_its_clock_and_ours_are_hours_apart(
    cloud: FakeCloud, neutron: NeutronService, hours: int
) -> None:
    cloud.identity.ahead = timedelta(hours=hours)
    for _ in range(5):
        await neutron.find_networks()
    assert asked(cloud) == 1


class Hands:
    """A clock that nobody sets, turned by hand."""

    at = 5000.0

    def __call__(self) -> float:
        return self.at


def asked(cloud: FakeCloud) -> int:
    return sum(call.method == "POST" for call in cloud.identity_calls)


def wrong(config: CloudConfig) -> CloudConfig:
    return with_auth(config, {"password": "hunter2"})


async def test_a_token_is_good_for_as_long_as_keystone_says_by_a_clock_that_nobody_sets(cloud: FakeCloud) -> None:
    steady = Hands()
    source = TokenSource(cloud.credentials(), steady=steady)
    first = await source.current()
    steady.at += 3600 - RENEW_BEFORE - 1
    assert await source.current() is first
    steady.at += 1
    assert await source.current() is not first
    assert asked(cloud) == 2


async def test_refused_credentials_are_shown_to_keystone_ever_more_rarely_and_the_answer_is_given_at_once(
    cloud: FakeCloud,
) -> None:
    steady, moments = Hands(), []
    source = TokenSource(wrong(cloud.credentials()), steady=steady)
    for _ in range(3600):
        before = asked(cloud)
        with pytest.raises(AuthenticationFailed, match=r"does not accept user 'demo' .*: check .* the fake cloud"):
            await source.current()
        if asked(cloud) > before:
            moments.append(steady.at - 5000)
        steady.at += 1
    assert moments == [0, 30, 90, 210, 450, 930, 1530, 2130, 2730, 3330]


async def test_many_that_ask_at_once_show_refused_credentials_once(cloud: FakeCloud) -> None:
    source = TokenSource(wrong(cloud.credentials()), steady=Hands())
    ends = await asyncio.gather(*(source.current() for _ in range(20)), return_exceptions=True)
    assert {type(one) for one in ends} == {AuthenticationFailed}
    with pytest.raises(AuthenticationFailed, match="Keystone is asked again in 30 s, or once that is changed"):
        await source.current()
    assert asked(cloud) == 1


async def test_credentials_that_have_changed_are_tried_at_once(cloud: FakeCloud) -> None:
    steady = Hands()
    now = wrong(cloud.credentials())
    source = TokenSource(now, look=lambda: now, steady=steady)
    for config in (now, with_auth(now, {"password": "also wrong"})):
        now = config
        with pytest.raises(AuthenticationFailed):
            await source.current()
    assert asked(cloud) == 2
    now = cloud.credentials()
    assert (await source.current()).user == "demo"


async def test_credentials_that_are_just_being_written_leave_the_last_ones_in_use(cloud: FakeCloud) -> None:
    def look() -> CloudConfig:
        raise SettingsError("clouds.yaml is not YAML")

    assert (await TokenSource(cloud.credentials(), look=look).current()).user == "demo"


async def test_a_refusal_is_forgotten_once_keystone_accepts(cloud: FakeCloud) -> None:
    steady = Hands()
    source = TokenSource(cloud.credentials(), steady=steady)
    for _ in range(2):
        cloud.fail(Fault(service="identity", method="POST", path="tokens", status=401))
        with pytest.raises(AuthenticationFailed):
            await source.current()
        steady.at += FIRST_WAIT
        await source.current()
        steady.at += 3600


async def test_a_host_whose_credentials_are_refused_shows_them_to_keystone_a_few_times_and_not_for_each_job(
    cloud: FakeCloud, tmp_path: Path
) -> None:
    host = Host("h1", cloud.credentials("member"), tmp_path, PoolLimits(floor=3, cool_down=10.0))
    await host.start()
    try:
        network = await host.network_create("10.20.0.0/24")
        await host.behind(10)
        for one in [await host.run(network, ip=f"10.20.0.{number}") for number in range(50, 80)]:
            await host.rm(one, behind=False)
        await host.restart()  # without a token; the password has been changed meanwhile
        cloud.fail(Fault(service="identity", method="POST", path="tokens", status=401, times=10**9))
        before = asked(cloud)
        for _ in range(60):
            await host.behind(5)
        for _ in range(3):
            await host.run(network)
        with pytest.raises(DriverError, match=r"does not accept .*: check the names"):
            await host.run(network)
        assert asked(cloud) - before <= 20
    finally:
        await host.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"issued_at": None},
        {"expires_at": "tomorrow"},
        {"issued_at": 7, "expires_at": 8},
        {"project": "demo"},
        {"roles": 5},
        {"catalog": 5},
        {"user": None},
    ],
    ids=str,
)
async def test_an_answer_that_is_not_keystones_is_told_of(
    cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    issue = Identity.issue

    def odd(self: Identity, request: Any) -> tuple[str, dict[str, Any]]:
        token_id, body = issue(self, request)
        return token_id, {"token": {**body["token"], **change}}

    monkeypatch.setattr(Identity, "issue", odd)
    text = await refused(cloud.credentials(), FairleadError)
    assert "Keystone" in text or "catalogue" in text or "project" in text


async def test_a_wrong_password_names_the_user_and_the_project_and_never_the_password(cloud: FakeCloud) -> None:
    text = await refused(with_auth(cloud.credentials(), {"password": "hunter2"}), AuthenticationFailed)
    assert "'demo'" in text
    assert "hunter2" not in text
    assert "the fake cloud" in text


async def test_a_wrong_application_credential_is_named(cloud: FakeCloud) -> None:
    config = cloud.credentials(application_credential=True)
    wrong = with_auth(config, {"application_credential_secret": "hunter2"})
    text = await refused(wrong, AuthenticationFailed)
    assert f"application credential {config.auth['application_credential_id']!r}" in text
    assert "hunter2" not in text


async def test_an_application_credential_needs_no_project_and_passes_over_one(cloud: FakeCloud) -> None:
    config = with_auth(cloud.credentials(application_credential=True), {"project_name": "demo", "verbose": "yes"})
    async with NeutronService(config) as neutron:
        assert await neutron.find_networks() == []


async def test_an_unknown_project_is_named(cloud: FakeCloud) -> None:
    assert "'nowhere'" in await refused(
        with_auth(cloud.credentials(), {"project_name": "nowhere"}), AuthenticationFailed
    )


async def test_a_missing_project_is_a_matter_of_settings(cloud: FakeCloud) -> None:
    config = with_auth(cloud.credentials(), {"project_name": None, "project_domain_name": None})
    assert "names no project" in await refused(config, SettingsError)


async def test_a_missing_secret_is_a_matter_of_settings(cloud: FakeCloud) -> None:
    config = with_auth(cloud.credentials(application_credential=True), {"application_credential_secret": None})
    assert "secret" in await refused(config, SettingsError)


async def test_an_unknown_plugin_is_a_matter_of_settings(cloud: FakeCloud) -> None:
    config = replace(cloud.credentials(), auth_type="v4telepathy")
    assert "'v4telepathy'" in await refused(config, SettingsError)


async def test_a_catalogue_without_neutron_is_named(cloud: FakeCloud) -> None:
    del cloud.identity.catalogue["network"]
    assert "service type 'network'" in await refused(cloud.credentials(), SettingsError)


async def test_a_region_without_neutron_is_named(cloud: FakeCloud) -> None:
    config = replace(cloud.credentials(), region="Atlantis")
    assert "in region 'Atlantis'" in await refused(config, SettingsError)


async def test_an_endpoint_may_be_given_instead_of_the_catalogues(cloud: FakeCloud) -> None:
    url = cloud.identity.catalogue.pop("network")
    async with NeutronService(replace(cloud.credentials(), network_endpoint=f"{url}/v2.0/")) as neutron:
        assert await neutron.find_networks() == []


async def test_a_keystone_that_is_down_is_named_by_its_url(cloud: FakeCloud) -> None:
    await cloud.stop()
    text = await refused(cloud.credentials(), CloudUnavailable)
    assert f"Keystone at {cloud.url}/identity/v3 can't be reached" in text


async def test_a_keystone_whose_name_is_unknown_is_named(cloud: FakeCloud) -> None:
    config = with_auth(cloud.credentials(), {"auth_url": "http://keystone.invalid/v3"})
    assert "Keystone at http://keystone.invalid/v3 can't be reached" in await refused(config, CloudUnavailable)


async def test_a_url_that_is_not_keystones_is_named(cloud: FakeCloud) -> None:
    config = with_auth(cloud.credentials(), {"auth_url": f"{cloud.url}/nothing/v3"})
    assert f"there is no Keystone v3 at {cloud.url}/nothing/v3" in await refused(config, CloudUnavailable)


async def test_a_keystone_that_answers_with_an_error_is_named_with_it(cloud: FakeCloud) -> None:
    cloud.fail(Fault(service="identity", method="POST", status=500, times=100))
    assert "answers HTTP 500" in await refused(cloud.credentials(), CloudUnavailable)


async def test_a_keystone_that_hangs_is_waited_for_no_longer_than_the_limit(cloud: FakeCloud) -> None:
    cloud.fail(Fault(How.HANG, service="identity", times=100))
    started = time.monotonic()
    text = await refused(cloud.credentials(), CloudUnavailable, total_timeout=0.5, connect_timeout=0.2)
    assert "Keystone at" in text
    assert time.monotonic() - started < 2.0


async def test_after_keystone_comes_back_so_do_we(cloud: FakeCloud, neutron: NeutronService) -> None:
    cloud.fail(Fault(service="identity", method="POST", status=503))
    with pytest.raises(CloudUnavailable):
        await neutron.find_networks()
    assert await neutron.find_networks() == []


async def test_a_certificate_file_that_is_missing_is_a_matter_of_settings(cloud: FakeCloud) -> None:
    config = replace(cloud.credentials(), cacert="/nowhere/ca.pem")
    assert "/nowhere/ca.pem" in await refused(config, SettingsError)


def test_secrets_are_never_shown() -> None:
    config = CloudConfig("password", {"auth_url": "http://x/v3", "password": "hunter2"}, source="here")
    assert "hunter2" not in repr(config)
