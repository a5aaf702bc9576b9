"""Fill Keystone's empty database: schema, keys, bootstrap, then what a lab wants beside it.

Reads one JSON object from standard input:
  config          path of keystone.conf
  keystone_url    public URL, with /v3
  neutron_url     public URL
  role            `member` or `service`: what user demo has in project demo
  admin_password, neutron_password, demo_password
  credential_id, credential_secret   of demo's application credential
"""

import json
import os
import sys
import uuid
from collections.abc import Callable
from typing import Any

from keystone.cmd import cli

_DOMAIN = "default"


def main() -> int:
    """Do all steps in order; the exit status is the first failing step's."""
    wanted: dict[str, str] = json.load(sys.stdin)
    manage = ["keystone-manage", "--config-file", wanted["config"]]
    bootstrap = [
        *manage,
        "bootstrap",
        "--bootstrap-password",
        wanted["admin_password"],
        "--bootstrap-region-id",
        "RegionOne",
        "--bootstrap-public-url",
        wanted["keystone_url"],
        "--bootstrap-internal-url",
        wanted["keystone_url"],
        "--bootstrap-admin-url",
        wanted["keystone_url"],
    ]
    steps: list[Callable[[], Any]] = [
        lambda: cli.main(argv=[*manage, "fernet_setup", "--keystone-user", "root", "--keystone-group", "root"]),
        lambda: cli.main(argv=[*manage, "credential_setup", "--keystone-user", "root", "--keystone-group", "root"]),
        lambda: cli.main(argv=[*manage, "db_sync"]),
        lambda: cli.main(argv=bootstrap),
        lambda: _populate(wanted),
    ]
    for step in steps:
        # Keystone keeps its configuration in the process, so each step has one of its own; forking spares
        # each the two seconds of importing Keystone.
        status = _in_child(step)
        if status != 0:
            return status
    return 0


def _in_child(step: Callable[[], Any]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            step()
        except SystemExit as leaving:
            os._exit(leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None))
        except BaseException:  # noqa: BLE001  reported, then this child ends
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _populate(wanted: dict[str, str]) -> None:
    import keystone.server  # noqa: PLC0415  in the child only
    from keystone.common import provider_api  # noqa: PLC0415
    from keystone.server import backends  # noqa: PLC0415

    keystone.server.configure(config_files=[wanted["config"]])
    backends.load_backends()
    providers = provider_api.ProviderAPIs
    roles = {role["name"]: role["id"] for role in providers.role_api.list_roles()}

    def project(name: str) -> str:
        new = {"id": uuid.uuid4().hex, "name": name, "domain_id": _DOMAIN, "enabled": True, "description": ""}
        return str(providers.resource_api.create_project(new["id"], new)["id"])

    def user(name: str, password: str) -> str:
        new = {"name": name, "password": password, "domain_id": _DOMAIN, "enabled": True}
        return str(providers.identity_api.create_user(new)["id"])

    def grant(user_id: str, project_id: str, names: list[str]) -> None:
        for name in names:
            providers.assignment_api.add_role_to_user_and_project(user_id, project_id, roles[name])

    grant(user("neutron", wanted["neutron_password"]), project("service"), ["service"])

    # A `service` may bind ports, but only a member may create networks: the operator's choice adds to the member.
    names = ["member"] if wanted["role"] == "member" else ["member", "service"]
    demo, demo_project = user("demo", wanted["demo_password"]), project("demo")
    grant(demo, demo_project, names)
    # The credential has the roles a token of the user's would have: a member is a reader by implication, and Neutron
    # lets readers read. Implied roles are not added to a credential's own.
    names.append("reader")
    providers.application_credential_api.create_application_credential(
        {
            "id": wanted["credential_id"],
            "name": "fairlead",
            "description": "For the agents of Fairlead",
            "secret": wanted["credential_secret"],
            "user_id": demo,
            "project_id": demo_project,
            "roles": [{"id": roles[name]} for name in names],
            "unrestricted": False,
        }
    )

    service = {"id": uuid.uuid4().hex, "type": "network", "name": "neutron", "enabled": True}
    providers.catalog_api.create_service(service["id"], service)
    for interface in ("public", "internal", "admin"):
        endpoint = {
            "id": uuid.uuid4().hex,
            "service_id": service["id"],
            "region_id": "RegionOne",
            "interface": interface,
            "url": wanted["neutron_url"],
            "enabled": True,
        }
        providers.catalog_api.create_endpoint(endpoint["id"], endpoint)


if __name__ == "__main__":
    sys.exit(main())
