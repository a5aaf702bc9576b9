"""Warm starts and stops on the real cloud: what they ask of Neutron and OVSDB; and a memory that was lost."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.docker import Docker, eventually, tcp_works
from tests.e2e.metrics import asked, metrics, rpc_calls

pytestmark = pytest.mark.real

SUBNET, SUBNET6 = "10.20.0.0/24", "fd00:20::/64"
COOL_DOWN = 10
"""Seconds that a port rests before another container has it: the default."""


def ports(docker: Docker, use: str) -> float:
    return sum(
        value for name, value in metrics(docker).items() if name.startswith("fairlead_ports") and f'use="{use}"' in name
    )


def work(docker: Docker, step: str) -> float:
    return metrics(docker).get(f'fairlead_dataplane_work_total{{step="{step}"}}', 0.0)


def test_a_warm_start_and_stop_wait_for_nothing_and_two_transactions_follow(lab: Any, h1: Docker) -> None:
    h1.network_create("web", SUBNET)
    assert eventually(lambda: ports(h1, "fresh") == 2)
    assert eventually(lambda: len(h1.left()["switch"]) == 2)
    time.sleep(1)
    calls, transactions, waited = len(lab.neutron_calls()), work(h1, "transaction"), rpc_calls(h1)
    h1.run("a1", "web")
    assert work(h1, "transaction") == transactions
    h1.rm("a1")
    assert asked(lab, calls) == []
    assert rpc_calls(h1) == waited
    assert eventually(lambda: work(h1, "transaction") == transactions + 1, seconds=5)
    assert eventually(lambda: work(h1, "transaction") == transactions + 2)


def test_a_chosen_address_costs_one_request_and_the_metrics_say_so(lab: Any, h1: Docker) -> None:
    h1.network_create("web", SUBNET, "--ip-range", "10.20.0.128/25")
    assert eventually(lambda: ports(h1, "fresh") == 2)
    name = 'fairlead_rpc_neutron_calls_total{rpc="IpamDriver.RequestAddress"}'
    before, calls = metrics(h1).get(name, 0.0), len(lab.neutron_calls())
    h1.run("a1", "web", "--ip", "10.20.0.5")
    assert [(call["method"], call["path"]) for call in asked(lab, calls)] == [("POST", "/v2.0/ports")]
    assert metrics(h1)[name] == before + 1


def test_a_port_that_was_given_back_serves_another_container_as_well(h1: Docker, h2: Docker) -> None:
    """Every container of a small pool talks, and none hears what was meant for the one before it."""
    for docker in (h1, h2):
        docker.network_create("web", SUBNET, "--ipv6", "--subnet", SUBNET6)
    # A start that comes before the pool is filled is given a port of its own, and one that waits needs no refill.
    assert eventually(lambda: ports(h1, "fresh") == 2)
    other = h2.run("b1", "web")
    served: list[str] = []
    for number in range(3):
        one = h1.run(f"a{number}", "web")
        served.append(one.address)
        assert other.pings(one.address)
        assert one.pings(other.address6)
        assert tcp_works(one, other, one.address)
        h1.rm(one.name)
        assert not other.pings(one.address, count=1)
        assert eventually(lambda: ports(h1, "fresh") + ports(h1, "returned") == 2)
        time.sleep(COOL_DOWN)
    assert len(set(served)) == 1, served


def test_fifty_containers_at_once_all_start_talk_and_stop(h1: Docker, h2: Docker, demo: Any) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    other = h2.run("b1", "web")
    with ThreadPoolExecutor(50) as pool:
        containers = list(pool.map(lambda number: h1.run(f"c{number}", "web"), range(50)))
        assert len({one.address for one in containers}) == 50
    addresses = " ".join(one.address for one in containers)
    script = f"for i in {addresses}; do (ping -c 5 -W 3 -q $i >/dev/null || echo $i) & done; wait"
    assert other.command("sh", "-c", script).stdout == ""
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda one: h1("rm", "-f", one.name), containers))
    h1.containers.clear()
    h1.network_rm("web")
    assert eventually(lambda: not list(demo.network.ports(tags="fairlead:at=h1")), seconds=90)
    assert eventually(lambda: h1.left() == {"devices": [], "switch": []})


@pytest.mark.parametrize("damage", ["rm -f {0}*", "dd if=/dev/urandom of={0} bs=4096 count=8 conv=notrunc 2>/dev/null"])
def test_a_memory_that_is_lost_or_damaged_is_rebuilt_with_containers_running(
    lab: Any, h1: Docker, h2: Docker, demo: Any, damage: str
) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET, "--ipv6", "--subnet", SUBNET6)
    one, other = h1.run("a1", "web"), h2.run("b1", "web")
    lab.stop("agent", "h1")
    assert other.pings(one.address)
    memory = h1.host.run(["sed", "-n", 's/^state_dir = "\\(.*\\)"/\\1/p', "/etc/fairlead/fairlead.toml"]).stdout.strip()
    h1.host.run(["sh", "-c", damage.format(f"{memory}/node.sqlite")])
    lab.start("agent", "h1")
    assert eventually(lambda: ports(h1, "attached") == 1)
    assert "rebuilt this node's memory" in (lab.paths.log / "h1-agent.log").read_text()
    assert other.pings(one.address)
    assert tcp_works(one, other, one.address6)
    another = h1.run("a2", "web")
    assert another.pings(one.address)
    assert another.pings(other.address)
    h1.rm("a1", "a2")
    h2.rm("b1")
    for docker in (h1, h2):
        docker.network_rm("web")
    kinds = ("networks", "subnets", "ports")
    assert eventually(lambda: not any(list(getattr(demo.network, kind)()) for kind in kinds), seconds=120)
    assert eventually(lambda: h1.left() == {"devices": [], "switch": []})
    h1.host.run(["sh", "-c", f"rm -f {memory}/node.sqlite.damaged-*"])


def test_a_restarted_agent_lists_nothing_and_goes_on_from_its_memory(lab: Any, h1: Docker) -> None:
    h1.network_create("web", SUBNET)
    one = h1.run("a1", "web")
    assert eventually(lambda: ports(h1, "fresh") == 2)
    lab.restart("agent", "h1")
    calls = len(lab.neutron_calls())
    assert h1.run("a2", "web").pings(one.address)
    assert [call for call in asked(lab, calls) if "/ports" in call["path"] and call["method"] == "GET"] == []
