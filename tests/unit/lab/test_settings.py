"""Every configuration file is what its reader takes it for."""

import json
import tomllib
from configparser import ConfigParser
from pathlib import Path

import yaml

from fairlead_lab.settings import (
    Secrets,
    client_clouds_yaml,
    daemon_json,
    fairlead_toml,
    host_clouds_yaml,
    instance_fairlead_toml,
    keystone_conf,
    neutron_conf,
)

SECRETS = Secrets("admin%pw", "neutron%pw", "demo: pw", "0" * 32, "secret")


def read(text: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, default_section="\0")
    parser.read_string(text)
    return parser


def test_neutron_is_ml2_ovn_without_anything_a_lab_has_not() -> None:
    conf = read(neutron_conf(Path("/env"), Path("/state"), SECRETS.neutron_password, mtu=9000))
    assert conf["DEFAULT"]["core_plugin"] == "ml2"
    assert conf["DEFAULT"]["api_paste_config"] == "/env/etc/neutron/api-paste.ini"
    assert conf["DEFAULT"]["global_physnet_mtu"] == "9000"
    assert conf["ml2"]["mechanism_drivers"] == "ovn"
    assert conf["ovn"]["ovn_sb_connection"] == "tcp:192.0.2.1:6642"
    assert conf["keystone_authtoken"]["password"] == "neutron%pw"
    assert conf["database"]["connection"].endswith("unix_socket=/run/mysqld/mysqld.sock&charset=utf8")


def test_neutrons_default_of_no_tags_while_ports_are_made_is_to_be_had() -> None:
    for wanted in (True, False):
        conf = read(neutron_conf(Path("/env"), Path("/state"), "pw", mtu=1500, tags_while_creating=wanted))
        assert ("tag_ports_during_bulk_creation" in conf["ml2"]["extension_drivers"].split(",")) == wanted


def test_keystone_finds_its_keys() -> None:
    conf = read(keystone_conf(Path("/keys")))
    assert conf["fernet_tokens"]["key_repository"] == "/keys/fernet-keys"
    assert conf["credential"]["key_repository"] == "/keys/credential-keys"


def test_a_host_gets_an_application_credential_and_no_password() -> None:
    text = host_clouds_yaml(SECRETS)
    cloud = yaml.safe_load(text)["clouds"]["fairlead"]
    assert cloud["auth_type"] == "v3applicationcredential"
    assert cloud["auth"]["application_credential_id"] == "0" * 32
    assert "pw" not in text


def test_a_client_reaches_everything_through_loopback() -> None:
    clouds = yaml.safe_load(client_clouds_yaml(SECRETS, {"keystone": 1111, "neutron": 2222}))["clouds"]
    assert set(clouds) == {"demo", "admin"}
    assert clouds["demo"]["auth"]["auth_url"] == "http://127.0.0.1:1111/v3"
    assert clouds["demo"]["auth"]["password"] == "demo: pw"
    assert clouds["admin"]["network_endpoint_override"] == "http://127.0.0.1:2222/v2.0"


def test_the_agent_is_told_its_cloud_its_folder_and_its_switch() -> None:
    assert tomllib.loads(fairlead_toml(Path('/with "quotes"'))) == {
        "cloud": {"name": "fairlead"},
        "agent": {"state_dir": '/with "quotes"'},
        "ovs": {"db": "unix:/run/openvswitch/db.sock", "bridge": "br-int"},
    }


def test_the_agent_on_an_instance_is_told_to_route_and_of_no_switch() -> None:
    assert tomllib.loads(instance_fairlead_toml(Path("/state"))) == {
        "cloud": {"name": "fairlead"},
        "agent": {"mode": "routed", "state_dir": "/state"},
    }


def test_dockerd_keeps_to_the_lab() -> None:
    settings = json.loads(daemon_json(Path("/lab/docker"), "/fairlead/lab/containers/h1"))
    assert settings["data-root"] == "/lab/docker"
    assert settings["cgroup-parent"] == "/fairlead/lab/containers/h1"
    assert settings["hosts"] == ["unix:///run/docker.sock"]
