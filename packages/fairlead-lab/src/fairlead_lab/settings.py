"""The text of every configuration file a lab writes."""

import json
from collections.abc import Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from fairlead_lab.spec import (
    FABRIC_ADDRESS,
    KEYSTONE_PORT,
    NEUTRON_PORT,
    OVN_NORTHBOUND_PORT,
    OVN_SOUTHBOUND_PORT,
)

KEYSTONE_URL = f"http://{FABRIC_ADDRESS}:{KEYSTONE_PORT}/v3"
NEUTRON_URL = f"http://{FABRIC_ADDRESS}:{NEUTRON_PORT}"
REGION = "RegionOne"
MYSQL_SOCKET = "/run/mysqld/mysqld.sock"


@dataclass(frozen=True, slots=True)
class Secrets:
    """Passwords of a snapshot of the databases, and the application credential the agents use."""

    admin_password: str
    neutron_password: str
    demo_password: str
    credential_id: str
    credential_secret: str


def database_url(name: str) -> str:
    """SQLAlchemy's URL of one database, over MariaDB's unix socket in the fabric."""
    return f"mysql+pymysql://root@localhost/{name}?unix_socket={MYSQL_SOCKET}&charset=utf8"


def keystone_conf(keys: Path) -> str:
    """keystone.conf. `keys` is the folder of the Fernet and credential keys."""
    return _ini(
        {
            "DEFAULT": {"use_stderr": "true"},
            "database": {"connection": database_url("keystone")},
            "token": {"provider": "fernet"},
            "fernet_tokens": {"key_repository": str(keys / "fernet-keys")},
            "credential": {"key_repository": str(keys / "credential-keys")},
            # Passwords of a lab aren't worth half a second of hashing each time one is checked.
            "identity": {"password_hash_rounds": "4"},
        }
    )


def neutron_conf(
    environment: Path, state: Path, neutron_password: str, *, mtu: int, tags_while_creating: bool = True
) -> str:
    """neutron.conf with ML2/OVN in it.

    environment: the Python environment; state: a folder for Neutron's own files; mtu: of the underlay, in bytes.
    tags_while_creating: ports keep the tags of the request that makes them; else Neutron drops them and says nothing.
    """
    extensions = ["port_security", "dns", "qos", *(["tag_ports_during_bulk_creation"] if tags_while_creating else [])]
    return _ini(
        {
            "DEFAULT": {
                "use_stderr": "true",
                "core_plugin": "ml2",
                "service_plugins": "ovn-router,trunk,segments,port_forwarding,qos",
                "api_paste_config": str(environment / "etc" / "neutron" / "api-paste.ini"),
                "auth_strategy": "keystone",
                "transport_url": "fake:/",
                "dns_domain": "lab.internal.",
                # A network's own MTU is what is left of this beside the tunnel's headers.
                "global_physnet_mtu": str(mtu),
                "state_path": str(state),
                "notify_nova_on_port_status_changes": "false",
                "notify_nova_on_port_data_changes": "false",
            },
            "oslo_concurrency": {"lock_path": str(state / "lock")},
            "database": {"connection": database_url("neutron")},
            "keystone_authtoken": {
                "www_authenticate_uri": KEYSTONE_URL,
                "auth_url": KEYSTONE_URL,
                "auth_type": "password",
                "username": "neutron",
                "password": neutron_password,
                "project_name": "service",
                "user_domain_id": "default",
                "project_domain_id": "default",
                "region_name": REGION,
            },
            "ml2": {
                "type_drivers": "flat,vlan,geneve",
                "tenant_network_types": "geneve",
                "mechanism_drivers": "ovn",
                "extension_drivers": ",".join(extensions),
            },
            "ml2_type_geneve": {"vni_ranges": "1:65536", "max_header_size": "38"},
            "ml2_type_flat": {"flat_networks": "*"},
            "ovn": {
                "ovn_nb_connection": f"tcp:{FABRIC_ADDRESS}:{OVN_NORTHBOUND_PORT}",
                "ovn_sb_connection": f"tcp:{FABRIC_ADDRESS}:{OVN_SOUTHBOUND_PORT}",
                "ovn_metadata_enabled": "false",
            },
        }
    )


def host_clouds_yaml(secrets: Secrets) -> str:
    """clouds.yaml on a host: cloud `fairlead`, by application credential."""
    auth = {
        "auth_url": KEYSTONE_URL,
        "application_credential_id": secrets.credential_id,
        "application_credential_secret": secrets.credential_secret,
    }
    cloud = {"auth_type": "v3applicationcredential", "auth": auth, "region_name": REGION}
    return _yaml({"clouds": {"fairlead": cloud}})


def client_clouds_yaml(secrets: Secrets, ports: Mapping[str, int]) -> str:
    """clouds.yaml for the machine's own namespace: clouds `demo` and `admin`.

    `ports` are the loopback service ports of `keystone` and `neutron`. The catalogue's addresses lie in the fabric,
    out of reach from here, so every endpoint is overridden.
    """

    def cloud(user: str, password: str) -> dict[str, Any]:
        return {
            "auth": {
                "auth_url": f"http://127.0.0.1:{ports['keystone']}/v3",
                "username": user,
                "password": password,
                "project_name": user,
                "user_domain_id": "default",
                "project_domain_id": "default",
            },
            "region_name": REGION,
            "identity_endpoint_override": f"http://127.0.0.1:{ports['keystone']}/v3",
            "network_endpoint_override": f"http://127.0.0.1:{ports['neutron']}/v2.0",
        }

    clouds = {"demo": cloud("demo", secrets.demo_password), "admin": cloud("admin", secrets.admin_password)}
    return _yaml({"clouds": clouds})


def fairlead_toml(state_dir: Path) -> str:
    """fairlead.toml on a host. A JSON string is a TOML string."""
    return (
        '[cloud]\nname = "fairlead"\n\n'
        f"[agent]\nstate_dir = {json.dumps(str(state_dir))}\n\n"
        '[ovs]\ndb = "unix:/run/openvswitch/db.sock"\nbridge = "br-int"\n'
    )


def instance_fairlead_toml(state_dir: Path) -> str:
    """fairlead.toml on an instance, which has no switch: its kernel routes the packets of its containers."""
    return f'[cloud]\nname = "fairlead"\n\n[agent]\nmode = "routed"\nstate_dir = {json.dumps(str(state_dir))}\n'


def daemon_json(data_root: Path, cgroup_parent: str) -> str:
    """dockerd's daemon.json. All is in the file and nothing on the command line, so that a test can change it."""
    return json.dumps(
        {
            "data-root": str(data_root),
            "exec-root": "/var/run/docker",
            "pidfile": "/run/docker.pid",
            "hosts": ["unix:///run/docker.sock"],
            "group": "root",
            "cgroup-parent": cgroup_parent,
        },
        indent=1,
    )


def _ini(sections: Mapping[str, Mapping[str, str]]) -> str:
    parser = ConfigParser(interpolation=None, default_section="\0")
    parser.read_dict(sections)
    text = StringIO()
    parser.write(text)
    return text.getvalue()


def _yaml(document: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(document, sort_keys=False))
