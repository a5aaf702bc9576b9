"""A lab is what its manual says: a real cloud, seen from the hosts and from this machine."""

import subprocess
import sys
import time
import uuid
from typing import Any

import pytest
import yaml
from keystoneauth1.exceptions import Forbidden
from keystoneauth1.loading import get_plugin_loader
from keystoneauth1.session import Session

from fairlead_lab import Lab

pytestmark = pytest.mark.real


def fairlead_lab(lab: Lab, command: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "fairlead", "lab", command, "--name", lab.spec.name, *arguments]
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)


class Client:
    """Neutron through loopback, as one of the clouds of the lab's clouds.yaml."""

    def __init__(self, lab: Lab, cloud: str) -> None:
        entry = yaml.safe_load(lab.clouds_yaml.read_text())["clouds"][cloud]
        self._session = Session(auth=get_plugin_loader("password").load_from_options(**entry["auth"]), timeout=30)
        self._url = entry["network_endpoint_override"]

    def get(self, path: str, **headers: str) -> Any:
        return self._session.get(f"{self._url}{path}", headers=headers).json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._session.post(f"{self._url}{path}", json=body).json()

    def delete(self, path: str) -> None:
        self._session.delete(f"{self._url}{path}")


def test_a_commands_status_output_and_input_are_passed_on(lab: Lab) -> None:
    done = fairlead_lab(lab, "exec", "h1", "--", "sh", "-c", "hostname; cat; exit 7", stdin="said\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "h1\nsaid\n", "")
    assert lab.host("h2").run(["cat"], input="said").stdout == "said"


def test_an_unknown_host_is_told_the_known_ones(lab: Lab) -> None:
    done = fairlead_lab(lab, "exec", "h99", "--", "true")
    known = ", ".join((*lab.spec.machine_names, "fabric"))
    assert done.stderr == f"fairlead: lab {lab.spec.name!r} has no host 'h99': it has {known}\n"
    assert done.returncode == 1


def test_up_leaves_a_lab_that_runs_as_it_is(lab: Lab) -> None:
    before = {one.name: one.pid for one in lab.status().components}
    done = fairlead_lab(lab, "up")
    assert done.stdout.startswith(f"Lab {lab.spec.name!r} runs already.")
    assert {one.name: one.pid for one in lab.status().components} == before


def test_the_user_of_the_containers_is_no_administrator(lab: Lab) -> None:
    assert Client(lab, "admin").get("/agents")["agents"]
    with pytest.raises(Forbidden):
        Client(lab, "demo").post("/networks", {"network": {"name": "mine", "provider:network_type": "flat"}})


def test_a_host_has_a_credential_and_no_password(lab: Lab) -> None:
    for host in lab.hosts:
        text = host.run(["cat", "/etc/openstack/clouds.yaml"]).stdout
        assert list(yaml.safe_load(text)["clouds"]) == ["fairlead"]
        assert "password" not in text
        assert host.run(["stat", "-c", "%a", "/etc/openstack/clouds.yaml"]).stdout.strip() == "600"


def test_a_port_keeps_the_tags_it_was_made_with(lab: Lab) -> None:
    demo = Client(lab, "demo")
    network = demo.post("/networks", {"network": {"name": "tagged"}})["network"]["id"]
    try:
        port = demo.post("/ports", {"port": {"network_id": network, "tags": ["one", "two"]}})["port"]
        assert sorted(demo.get(f"/ports/{port['id']}")["port"]["tags"]) == ["one", "two"]
        demo.delete(f"/ports/{port['id']}")
    finally:
        demo.delete(f"/networks/{network}")


def test_every_call_of_neutron_is_told_with_the_callers_id(lab: Lab) -> None:
    mine = f"req-{uuid.uuid4()}"
    before = len(lab.neutron_calls())
    Client(lab, "demo").get("/networks?name=none", **{"X-OpenStack-Request-ID": mine})
    (call,) = [call for call in lab.neutron_calls(before) if call["global_request_id"] == mine]
    told = (call["method"], call["path"], call["query"], call["status"])
    assert told == ("GET", "/v2.0/networks", "name=none", 200)
    assert call["request_id"].startswith("req-")
    assert call["request_id"] != mine
    assert 0 < call["seconds"] < 30
    assert abs(time.time() - call["time"]) < 60


def test_hosts_reach_each_other_with_their_first_packet(lab: Lab) -> None:
    for host in lab.hosts:
        for other in lab.hosts:
            if other.name != host.name:
                done = host.run(["busybox", "ping", "-c", "1", "-W", "1", other.name])
                assert "1 packets received" in done.stdout


def test_status_tells_the_memory_of_everything(lab: Lab) -> None:
    found = lab.status()
    assert found.ill == ()
    assert {one.name for one in found.components} >= {"neutron", "keystone", "mariadb", "h1/dockerd", "h2/ovsdb"}
    assert 0 < found.memory < 1.5 * 2**30
    assert found.timings.total > 0
