"""Single tags, added and removed without touching the others (extension standard-attr-tag)."""

from dataclasses import dataclass

from fairlead.adapters.neutron.client import NeutronClient
from fairlead.adapters.neutron.resources import Resources, segment
from fairlead.model.errors import CloudUnavailable, InvalidInput, NotFound


@dataclass(frozen=True, slots=True)
class Tags:
    """Adds and removes tags of what a collection (`networks`, `ports`) has."""

    client: NeutronClient
    resources: Resources

    async def add(self, collection: str, resource_id: str, tag: str) -> None:
        """Add a tag. Raises NotFound, and InvalidInput for a tag that a URL of Neutron's can't carry."""
        try:
            await self.client.call("PUT", _path(collection, resource_id, tag))
        except CloudUnavailable:
            if await self._exists(collection, resource_id):
                raise
            raise NotFound(
                f"there is no {collection.removesuffix('s')} {resource_id} to tag", remedy="make it again"
            ) from None

    async def remove(self, collection: str, resource_id: str, tag: str) -> None:
        """Take a tag off; fine where it is not there. Raises InvalidInput as add."""
        try:
            await self.resources.delete(_path(collection, resource_id, tag))
        except CloudUnavailable:
            if await self._exists(collection, resource_id):
                raise

    async def _exists(self, collection: str, resource_id: str) -> bool:
        """Tell what is gone from trouble: Neutron 29 answers 500 to both where a tag is asked for."""
        try:
            await self.client.call("GET", f"/{collection}/{segment(resource_id)}", query=[("fields", "id")])
        except NotFound:
            return False
        return True


def _path(collection: str, resource_id: str, tag: str) -> str:
    # Neutron 29 routes %2F as a slash, reads a path's bytes as Latin-1, and drops a last ".json" as a format.
    if "/" in tag or not tag.isascii():
        raise InvalidInput(f"the tag {tag!r} can't be added alone", remedy="use ASCII without a slash")
    suffix = ".json" if tag.endswith(".json") else ""
    return f"/{collection}/{segment(resource_id)}/tags/{segment(tag)}{suffix}"
