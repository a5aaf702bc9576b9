"""Where credentials are looked for, and what is said where they are not."""

import textwrap
from pathlib import Path

import pytest

from fairlead.adapters.neutron import find_cloud
from fairlead.model.errors import SettingsError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


TWO = """
    clouds:
      demo:
        auth: {auth_url: http://keystone/v3, username: demo, password: secret, project_name: demo}
        user_domain_name: Default
        region_name: RegionOne
        interface: internal
      ops:
        auth_type: v3applicationcredential
        auth: {auth_url: http://keystone/v3, application_credential_id: abc, application_credential_secret: secret}
        verify: false
        network_endpoint_override: http://neutron:9696
    """


def test_a_cloud_is_found_by_name_in_the_systems_file(tmp_path: Path) -> None:
    path = write(tmp_path / "clouds.yaml", TWO)
    demo = find_cloud("demo", environ={}, system=tmp_path)
    assert (demo.auth_type, demo.region, demo.interface, demo.verify) == ("password", "RegionOne", "internal", True)
    assert demo.auth["user_domain_name"] == "Default"
    assert demo.auth_url == "http://keystone/v3"
    assert str(path) in demo.source
    ops = find_cloud("ops", environ={}, system=tmp_path)
    assert (ops.auth_type, ops.verify, ops.network_endpoint) == (
        "v3applicationcredential",
        False,
        "http://neutron:9696",
    )


def test_a_cloud_is_named_by_os_cloud(tmp_path: Path) -> None:
    write(tmp_path / "clouds.yaml", TWO)
    assert find_cloud(environ={"OS_CLOUD": "ops"}, system=tmp_path).auth["auth_url"]


def test_the_file_named_by_the_environment_comes_first(tmp_path: Path) -> None:
    write(tmp_path / "here/clouds.yaml", TWO)
    named = write(tmp_path / "named.yaml", "clouds: {demo: {auth: {auth_url: http://named/v3}}}")
    environ = {"OS_CLIENT_CONFIG_FILE": str(named)}
    assert find_cloud("demo", environ=environ, system=tmp_path / "here").auth_url == "http://named/v3"


def test_a_named_file_that_is_not_there_is_missed_and_no_other_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "clouds.yaml", TWO)
    environ = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "other.yaml")}
    with pytest.raises(SettingsError, match=r"there is no .*other\.yaml"):
        find_cloud("demo", environ=environ, system=tmp_path)


def test_a_file_where_root_happens_to_be_or_at_home_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in (".", ".config/openstack", "xdg/openstack"):
        for suffix in ("yaml", "yml"):
            write(tmp_path / folder / f"clouds.{suffix}", TWO)
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    with pytest.raises(SettingsError, match=r"there is no .*system/clouds\.yaml"):
        find_cloud("demo", environ=environ, system=tmp_path / "system")


def test_what_systemd_hands_in_comes_before_all_but_a_file_named(tmp_path: Path) -> None:
    handed, here = write(tmp_path / "handed" / "clouds.yaml", TWO), write(tmp_path / "clouds.yaml", TWO)
    environ = {"HOME": "/nowhere", "CREDENTIALS_DIRECTORY": str(handed.parent)}
    assert str(handed) in find_cloud("demo", environ=environ, system=tmp_path).source
    environ["OS_CLIENT_CONFIG_FILE"] = str(here)
    assert str(here) in find_cloud("demo", environ=environ, system=tmp_path).source


def test_secrets_kept_apart_are_merged_in(tmp_path: Path) -> None:
    write(tmp_path / "clouds.yaml", "clouds: {demo: {auth: {auth_url: http://keystone/v3, username: demo}}}")
    write(tmp_path / "secure.yaml", "clouds: {demo: {auth: {password: apart}}}")
    auth = find_cloud("demo", environ={}, system=tmp_path).auth
    assert (auth["username"], auth["password"]) == ("demo", "apart")


def test_an_only_cloud_needs_no_name(tmp_path: Path) -> None:
    write(tmp_path / "clouds.yaml", "clouds: {one: {auth: {auth_url: http://keystone/v3}}}")
    assert find_cloud(environ={}, system=tmp_path).auth_url == "http://keystone/v3"


def test_os_variables_come_before_files_where_no_cloud_is_named(tmp_path: Path) -> None:
    write(tmp_path / "clouds.yaml", TWO)
    environ = {
        "OS_AUTH_URL": "http://env/v3",
        "OS_USERNAME": "demo",
        "OS_PASSWORD": "secret",
        "OS_PROJECT_NAME": "demo",
        "OS_REGION_NAME": "RegionTwo",
        "OS_INTERFACE": "internalURL",
        "OS_CACERT": "/etc/ca.pem",
    }
    config = find_cloud(environ=environ, system=tmp_path)
    assert (config.auth_url, config.region, config.interface, config.cacert) == (
        "http://env/v3",
        "RegionTwo",
        "internal",
        "/etc/ca.pem",
    )
    assert config.auth["username"] == "demo"
    assert find_cloud("demo", environ=environ, system=tmp_path).auth_url == "http://keystone/v3"


def test_an_application_credential_in_os_variables_is_recognised() -> None:
    environ = {
        "OS_AUTH_URL": "http://env/v3",
        "OS_APPLICATION_CREDENTIAL_ID": "abc",
        "OS_APPLICATION_CREDENTIAL_SECRET": "secret",
    }
    assert find_cloud(environ=environ).auth_type == "v3applicationcredential"


@pytest.mark.parametrize(
    ("content", "name", "complaint"),
    [
        (None, "demo", r"'demo' is asked for, but there is no .*clouds\.yaml"),
        (None, "", r"no cloud is named, and there is no .*clouds\.yaml"),
        (TWO, "", "several clouds and none is chosen: set OS_CLOUD to one of demo, ops"),
        (TWO, "prod", "no cloud 'prod' .*: it has demo, ops"),
        ("clouds: {}", "demo", "has no clouds"),
        ("[1, 2]", "demo", "is not a mapping"),
        ("clouds: [", "demo", "is not YAML, line"),
        ("clouds: {demo: {auth: {username: x}}}", "demo", "has no auth_url"),
        ("clouds: {demo: {profile: vexxhost}}", "demo", "vendor profiles such as 'vexxhost'"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(tmp_path: Path, content: str | None, name: str, complaint: str) -> None:
    environ = {}
    if content is not None:
        environ["OS_CLIENT_CONFIG_FILE"] = str(write(tmp_path / "clouds.yaml", content))
    with pytest.raises(SettingsError, match=complaint) as caught:
        find_cloud(name, environ=environ, system=tmp_path / "nothing")
    assert caught.value.remedy


def test_a_broken_file_is_not_quoted(tmp_path: Path) -> None:
    path = write(tmp_path / "clouds.yaml", 'clouds: {demo: {auth: {password: "hunter2}}}')
    with pytest.raises(SettingsError) as caught:
        find_cloud("demo", environ={"OS_CLIENT_CONFIG_FILE": str(path)})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
