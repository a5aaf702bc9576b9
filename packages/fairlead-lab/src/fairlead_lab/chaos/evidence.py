"""What is needed to look into a violation, kept when its lab is gone."""

import json
import shutil
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.lab import Lab
from fairlead_lab.neutron import Neutron

_ASKED = {
    "docker-ps": "docker ps -a --no-trunc",
    "docker-networks": "docker network ls -q --filter driver=fairlead | xargs -r docker network inspect",
    "docker-containers": "docker ps -aq | xargs -r docker inspect",
    "links": "ip -d link",
    "routes": "ip route; ip -6 route",
    "nft": "nft list ruleset",
    "switch": "ovs-vsctl list Interface",
    "flows": "ovs-ofctl dump-flows br-int",
}
_OF_A_SWITCH = ("switch", "flows")
_KINDS = ("networks", "subnets", "ports", "routers", "security-groups")


def collect(lab: Lab, folder: Path) -> None:
    """Copy logs, agents' memories, and what the machines and Neutron show into a folder that is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(lab.paths.log, folder / "log")
    for name in lab.spec.machine_names:
        (folder / name).mkdir()
        for what, script in _ASKED.items():
            if what not in _OF_A_SWITCH or name in lab.spec.host_names:
                shown = lab.host(name).run(["sh", "-c", script], check=False)
                (folder / name / what).write_text(shown.stdout + shown.stderr)
        memory = lab.paths.host(name) / "agent"
        if memory.is_dir():
            shutil.copytree(memory, folder / name / "agent")
    neutron = Neutron(lab.clouds_yaml)
    for kind in _KINDS:
        try:
            told: object = neutron.all(kind)
        except LabError as error:
            told = str(error)
        (folder / f"{kind}.json").write_text(json.dumps(told, indent=1))
