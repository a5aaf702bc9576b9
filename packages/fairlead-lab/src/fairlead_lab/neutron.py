"""Neutron as a user of the lab's sees it: for showing what is there, and for what a lab makes in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from keystoneauth1 import exceptions, loading, session

from fairlead.model.errors import LabError


class Neutron:
    """Asks Neutron through the lab's loopback address, as the user `demo` or another of the lab's clouds.yaml.

    Each method is one request that blocks, and raises LabError where Neutron refuses it or is out of reach.
    """

    def __init__(self, clouds_yaml: Path, cloud: str = "demo") -> None:
        entry = yaml.safe_load(clouds_yaml.read_text())["clouds"][cloud]
        auth = loading.get_plugin_loader(entry.get("auth_type", "password")).load_from_options(**entry["auth"])
        self._session = session.Session(auth=auth, timeout=30)
        self._url = entry["network_endpoint_override"].rstrip("/").removesuffix("/v2.0")

    def all(self, kind: str, **filters: str) -> list[dict[str, Any]]:
        """List resources of a kind (`networks`, `ports`, …) that match the filters."""
        answer = self._ask("GET", kind, params=filters)
        found: list[dict[str, Any]] = answer[kind.replace("-", "_")]
        return found

    def one(self, kind: str, **filters: str) -> dict[str, Any]:
        """Return the one that matches. Raises LabError where it is not exactly one."""
        found = self.all(kind, **filters)
        if len(found) != 1:
            raise LabError(f"Neutron has {len(found)} {kind} with {filters}, not one")
        return found[0]

    def add(self, kind: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Make a resource of a kind whose name in the plural ends with an s."""
        singular = kind.removesuffix("s")
        made: dict[str, Any] = self._ask("POST", kind, json={singular: dict(attributes)})[singular]
        return made

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change what is at a path below /v2.0, such as `ports/ID`; body and answer are Neutron's own objects."""
        return self._ask("PUT", path, json=dict(body))

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._session.request(f"{self._url}/v2.0/{path}", method, **more).json()
        except exceptions.ClientException as error:
            raise LabError(f"{method} {path}: {error}", remedy="see `fairlead lab logs neutron`") from error
        return answer
