"""Whom the agent asks which containers there still are."""

from pathlib import Path

from fairlead.adapters.dockerd.endpoints import DockerEndpoints
from fairlead.agent.settings import Settings
from fairlead.ports.runtime import Runtime


def runtime_of(settings: Settings) -> Runtime | None:
    """Return dockerd where its socket is set; None: nobody is asked."""
    return DockerEndpoints(Path(settings.docker.socket)) if settings.docker.socket else None
