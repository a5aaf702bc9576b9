"""What a member of the lab's project sees of Neutron, for showing it."""

from pathlib import Path
from typing import Any

import yaml
from keystoneauth1 import loading, session

from fairlead.model.errors import LabError


class NeutronView:
    """Reads Neutron through the lab's loopback address, as the user `demo`."""

    def __init__(self, clouds_yaml: Path, cloud: str = "demo") -> None:
        entry = yaml.safe_load(clouds_yaml.read_text())["clouds"][cloud]
        auth = loading.get_plugin_loader(entry.get("auth_type", "password")).load_from_options(**entry["auth"])
        self._session = session.Session(auth=auth, timeout=30)
        self._url = entry["network_endpoint_override"].rstrip("/").removesuffix("/v2.0")

    def all(self, kind: str, **filters: str) -> list[dict[str, Any]]:
        """List resources of a kind (`networks`, `ports`, …) that match the filters."""
        answer = self._session.get(f"{self._url}/v2.0/{kind}", params=filters)
        found: list[dict[str, Any]] = answer.json()[kind.replace("-", "_")]
        return found

    def one(self, kind: str, **filters: str) -> dict[str, Any]:
        """Return the one that matches. Raises LabError where it is not exactly one."""
        found = self.all(kind, **filters)
        if len(found) != 1:
            raise LabError(f"Neutron has {len(found)} {kind} with {filters}, not one")
        return found[0]
