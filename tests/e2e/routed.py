"""Instances whose agents are in mode `routed`, and Docker's networks on them."""

import re
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fairlead_lab import Lab
from fairlead_lab.flannel import Daemon
from tests.e2e.docker import Docker, Running
from tests.e2e.instance import Instance

PYTHON = Path(sys.executable)
CONFIGURATION = "/etc/fairlead/fairlead.toml"
WEB, WEB6 = "10.60.0.0/16", "fd00:60::/64"
DB, DB6 = "10.61.0.0/24", "fd00:61::/64"


class Node:
    """An instance with an agent, and Docker on it."""

    def __init__(self, instance: Instance, lab: Lab) -> None:
        self.instance = instance
        self.docker = Docker(instance.host, partial(lab.restart, "dockerd", instance.host.name))
        self.agent = Daemon(
            instance.host,
            (str(PYTHON), "-m", "fairlead", "agent"),
            lab.paths.log / f"{instance.host.name}-routed.log",
            {"FAIRLEAD_AGENT_MODE": "auto"},
        )

    def start(self) -> None:
        """Start the agent, and wait until it answers: a socket may be left from one that was killed."""

        def answers() -> bool:
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(str(self.instance.host.path("/run/docker/plugins/fairlead.sock"))) == 0

        self.agent.start(answers)

    def lose_memory(self) -> None:
        """Delete the agent's file; the agent must be down."""
        configured = self.instance.host.run(["sed", "-n", 's/^state_dir = "\\(.*\\)"/\\1/p', CONFIGURATION]).stdout
        self.instance.host.run(["sh", "-c", f"rm {configured.strip()}/routed.sqlite*"])

    def clear(self) -> None:
        """Remove the test's containers and networks."""
        self.start()
        self.docker.clear()
        self.docker.containers, self.docker.networks = [], []

    def left(self) -> list[str]:
        """What of Fairlead's is on the instance."""
        run = self.instance.host.run
        devices = re.findall(r"fl[hc]\w+", run(["ip", "-o", "link"]).stdout)
        rules = [line for line in run(["iptables", "-S", "FORWARD"]).stdout.splitlines() if "flh" in line]
        tables = [line for line in run(["nft", "list", "tables"]).stdout.splitlines() if "fairlead" in line]
        routes = [run(["ip", "route", "show", "proto", number]).stdout for number in ("170", "171")]
        return [*devices, *rules, *tables, *filter(None, routes)]


def left(demo: Any, nodes: dict[str, Node]) -> list[Any]:
    """What of Fairlead's is in Neutron."""
    (router,) = demo.routers(name="instances")
    return [
        *(group.name for group in demo.security_groups(tags="fairlead")),
        *(network.name for network in demo.networks(tags="fairlead")),
        *router.routes,
        *(pair for node in nodes.values() for pair in demo.get_port(node.instance.port).allowed_address_pairs),
    ]


@contextmanager
def routed_nodes(lab: Lab, demo: Any) -> Iterator[dict[str, Node]]:
    """Start an agent on every instance."""
    with ExitStack() as running:
        nodes = {}
        for host in lab.instances:
            node = nodes[host.name] = Node(Instance.of(host, demo), lab)
            running.callback(node.agent.stop)
            node.start()
        yield nodes


def clear(nodes: dict[str, Node]) -> None:
    """Remove all nodes' containers and networks."""
    with ThreadPoolExecutor(len(nodes)) as threads:
        for _ in threads.map(Node.clear, nodes.values()):
            pass


def join(nodes: dict[str, Node], name: str, *ranges: str) -> dict[str, Running]:
    """Make a network on every node at once, and run a container of it on each."""
    more = ("--ipv6", "--subnet", ranges[1]) if ranges[1:] else ()
    with ThreadPoolExecutor(len(nodes)) as threads:
        made = [threads.submit(node.docker.network_create, name, ranges[0], *more) for node in nodes.values()]
        for one in made:
            one.result()
    return {host: node.docker.run(f"{name}-{host}", name) for host, node in nodes.items()}


def blocks(demo: Any, range_: str) -> dict[str, str]:
    """Next hop by block."""
    (network,) = list(demo.networks(tags=f"fairlead:routed={range_}"))
    return {one.cidr: one.host_routes[0]["nexthop"] for one in demo.subnets(network_id=network.id)}


def reach(one: Running, other: Running) -> bool:
    return one.pings(other.address) and one.pings(other.address6)
