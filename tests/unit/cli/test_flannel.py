"""`fairlead flannel` as flanneld and its operator run it, against an agent's socket that a test serves."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fairlead.cli import flannel as command
from fairlead.cli.main import main


class AgentSocket:
    """Answers every question with `answer`, and remembers what was asked."""

    def __init__(self, path: Path) -> None:
        self.answer: dict[str, Any] = {}
        self.status = 200
        self.asked: list[tuple[str, Any]] = []
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                agent.asked.append((self.path, json.loads(body)))
                answer = json.dumps(agent.answer).encode()
                self.send_response(agent.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

            def address_string(self) -> str:
                return "unix"

        self._server = UnixStreamServer(str(path), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def socket_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAIRLEAD_FLANNEL_SOCKET", str(tmp_path / "flannel.sock"))
    monkeypatch.setattr(command, "_PATIENCE", 0.5)
    return tmp_path / "flannel.sock"


@pytest.fixture
def agent(socket_path: Path) -> Iterator[AgentSocket]:
    agent = AgentSocket(socket_path)
    yield agent
    agent.close()


def run(*arguments: str, stdin: str = "", **environment: str) -> Result:
    return CliRunner().invoke(main, ["flannel", *arguments], input=stdin, env=environment)


def test_pre_startup_prints_the_nodes_data_and_nothing_else(agent: AgentSocket) -> None:
    agent.answer = {"data": '{"port":"p"}'}
    assert run("pre-startup").output == '{"port":"p"}\n'


def test_post_startup_hands_on_what_flanneld_sets_and_is_silent(agent: AgentSocket) -> None:
    variables = {
        "NETWORK": "10.5.0.0/16",
        "SUBNET": "10.5.1.0/24",
        "IPV6SUBNET": "::/0",
        "PUBLIC_IP": "10.30.0.11",
        "PUBLIC_IPV6": "<nil>",
    }
    assert run("post-startup", "--ipv6-network", "fd00::/48", **variables).output == ""
    assert agent.asked == [("/flannel/post-startup", variables | {"IPV6NETWORK": "fd00::/48"})]


@pytest.mark.parametrize("name", ["subnet-add", "subnet-remove"])
def test_a_peers_data_come_on_standard_input(agent: AgentSocket, name: str) -> None:
    done = run(name, stdin='{"port":"p"}\n', SUBNET="10.5.2.0/24", PUBLIC_IP="10.30.0.12")
    assert (done.exit_code, done.output) == (0, "")
    assert agent.asked == [
        (f"/flannel/{name}", {"SUBNET": "10.5.2.0/24", "PUBLIC_IP": "10.30.0.12", "DATA": '{"port":"p"}\n'})
    ]


def test_what_the_agent_refuses_is_said_in_its_words(agent: AgentSocket) -> None:
    agent.status, agent.answer = 404, {"error": "no port of this project has the MAC fa:16:3e:00:00:01"}
    done = run("pre-startup")
    assert done.exit_code == 1
    assert done.output == "fairlead: no port of this project has the MAC fa:16:3e:00:00:01\n"


def test_a_command_waits_for_an_agent_that_restarts(socket_path: Path) -> None:
    started: list[AgentSocket] = []
    timer = threading.Timer(0.2, lambda: started.append(AgentSocket(socket_path)))
    timer.start()
    try:
        assert run("post-startup").exit_code == 0
    finally:
        timer.join()
        started[0].close()


@pytest.mark.usefixtures("socket_path")
def test_without_an_agent_the_remedy_is_told() -> None:
    done = run("status")
    assert done.exit_code == 1
    assert 'start `fairlead agent` with `mode = "routed"`' in done.output


def test_status_exits_with_one_where_something_is_not_as_wanted(agent: AgentSocket) -> None:
    lease = {"subnets": ["10.5.1.0/24"], "node": ["10.30.0.11"], "port": "p", "state": "own"}
    agent.answer = {"leases": [lease], "trouble": {}}
    assert run("status").exit_code == 0
    agent.answer = {"leases": [lease], "trouble": {"routes": "a foreign one"}}
    done = run("status")
    assert done.exit_code == 1
    assert "TROUBLE  routes: a foreign one" in done.output
    assert json.loads(run("status", "--json").output) == agent.answer


def test_the_configuration_runs_fairlead_at_every_turn_of_a_lease() -> None:
    dual = ("--network", "10.5.0.0/16", "--ipv6-network", "fd00:5::/48", "--executable", "/opt/fairlead")
    found = json.loads(run("config", *dual).output)
    assert found["Network"] == "10.5.0.0/16"
    assert (found["EnableIPv6"], found["IPv6Network"]) == (True, "fd00:5::/48")
    assert found["Backend"] == {
        "Type": "extension",
        "PreStartupCommand": "/opt/fairlead flannel pre-startup",
        "PostStartupCommand": "/opt/fairlead flannel post-startup --ipv6-network fd00:5::/48",
        "SubnetAddCommand": "/opt/fairlead flannel subnet-add",
        "SubnetRemoveCommand": "/opt/fairlead flannel subnet-remove",
    }
    shown = json.loads(run("config", *dual, "--kubernetes").output)
    assert json.loads(shown["data"]["net-conf.json"]) == found


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--network", "10.5.0.1/16"], "is not a range"),
        (["--network", "fd00::/48"], "wrong IP version"),
        (["--network", "10.5.0.0/24"], "no room for subnets of /24"),
        (["--network", "10.5.0.0/16", "--ipv6-network", "fd00::/64"], "no room for subnets of /64"),
        (["--network", "10.5.0.0/16", "--etcd", "etcd:2379"], "is no URL of etcd's"),
        (["--network", "10.5.0.0/16", "--etcd", "http://127.0.0.1:9"], "no etcd takes the configuration"),
    ],
)
def test_a_configuration_that_can_not_be_is_refused(arguments: list[str], said: str) -> None:
    done = run("config", *arguments)
    assert done.exit_code == 1
    assert said in done.output


def test_a_node_without_leases_is_told_what_to_look_for(agent: AgentSocket) -> None:
    agent.answer = {"leases": [], "trouble": {}}
    done = run("status")
    assert (done.exit_code, done.output) == (
        0,
        "no leases: has flanneld run `fairlead flannel post-startup` yet?\n",
    )
