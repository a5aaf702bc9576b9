"""Starts that a short wait mends, addresses that people choose, and neighbours that know the MAC, on the real cloud."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.docker import IMAGE, Docker, Running, eventually

pytestmark = pytest.mark.real

SUBNET, SUBNET6 = "10.20.0.0/24", "fd00:20::/64"
ADDRESS = "10.20.0.5"


@pytest.fixture
def peers(h1: Docker, h2: Docker) -> list[Running]:
    """A container on each host, on one network of both families."""
    for docker in (h1, h2):
        docker.network_create("web", SUBNET, "--ipv6", "--subnet", SUBNET6)
    return [docker.run(f"p{number}", "web") for number, docker in enumerate((h1, h2))]


def unanswered(peers: list[Running], target: Running) -> dict[str, str]:
    """Ping from each peer in both families; say which of 25 pings, from the first on, got no answer."""
    pings = [(peer, address) for peer in peers for address in (target.address, target.address6)]
    with ThreadPoolExecutor(len(pings)) as pool:
        answers = list(pool.map(lambda ping: ping[0].probe("echo", ping[1], "25", "0.2"), pings))
    assert not any(answer.returncode for answer in answers), answers
    return {
        f"{peer.name} to {address}": lost
        for (peer, address), answer in zip(pings, answers, strict=True)
        if (lost := answer.stdout.strip())
    }


def test_a_container_that_ends_again_and_again_on_a_full_range_is_started_each_time(h1: Docker) -> None:
    h1.network_create("web", "10.20.0.0/29")
    other, *_ = [h1.run(f"a{number}", "web") for number in range(4)]
    h1.containers.append("again")
    h1("run", "-d", "--name", "again", "--restart", "always", "--network", "web", IMAGE, "sh", "-c", "sleep 8; exit 1")
    assert eventually(lambda: h1.inspect("again")["RestartCount"] >= 3, seconds=90)

    def is_reached() -> bool:
        address = h1.running("again", "web").address
        return bool(address) and other.pings(address, count=1)

    assert eventually(is_reached)


def test_a_range_that_was_emptied_is_filled_again_at_once(h1: Docker) -> None:
    h1.network_create("web", "10.20.0.0/28")
    with ThreadPoolExecutor(13) as pool:
        for _ in range(2):
            containers = list(pool.map(lambda number: h1.run(f"a{number}", "web"), range(13)))
            assert len({one.address for one in containers}) == 13
            h1.rm(*(one.name for one in containers))


def test_services_with_fixed_low_addresses_start_beside_others_every_time(h1: Docker) -> None:
    h1.network_create("web", "10.20.0.0/27")
    services = [("one", "10.20.0.2"), ("two", "10.20.0.3"), *((f"s{number}", "") for number in range(6))]

    def start(service: tuple[str, str]) -> Running:
        name, address = service
        return h1.run(name, "web", *(("--ip", address) if address else ()))

    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            containers = list(pool.map(start, reversed(services)))
        assert [one.address for one in containers[-2:]] == ["10.20.0.3", "10.20.0.2"]
        assert containers[0].pings("10.20.0.2")
        h1.rm(*(one.name for one in containers))


def test_a_container_that_is_restarted_with_its_address_is_reached_by_all_who_knew_it(
    h1: Docker, peers: list[Running]
) -> None:
    before = h1.run("a1", "web", "--ip", ADDRESS)
    assert unanswered(peers, before) == {}
    h1("restart", "-t", "0", "a1")
    after = h1.running("a1", "web")
    assert unanswered(peers, after) == {}
    assert (after.mac, after.address, after.address6) == (before.mac, before.address, before.address6)


def test_a_container_that_is_made_anew_with_its_address_is_reached_by_all_who_knew_it(
    h1: Docker, peers: list[Running]
) -> None:
    before = h1.run("a1", "web", "--ip", ADDRESS, "--ip6", "fd00:20::5")
    assert unanswered(peers, before) == {}
    h1.rm("a1")
    after = h1.run("a1", "web", "--ip", ADDRESS, "--ip6", "fd00:20::5")
    assert unanswered(peers, after) == {}
    # So late that its port is gone.
    h1.rm("a1")
    time.sleep(15)
    after = h1.run("a1", "web", "--ip", ADDRESS, "--ip6", "fd00:20::5")
    assert unanswered(peers, after) == {}


def test_an_address_that_moves_to_another_host_is_reached_by_all_who_knew_it(
    h1: Docker, h2: Docker, peers: list[Running]
) -> None:
    before = h1.run("a1", "web", "--ip", ADDRESS, "--ip6", "fd00:20::5")
    assert unanswered(peers, before) == {}
    h1.rm("a1")
    after = h2.run("b1", "web", "--ip", ADDRESS, "--ip6", "fd00:20::5")
    assert after.mac == before.mac
    assert unanswered(peers, after) == {}


def test_an_address_that_a_container_on_the_other_host_has_is_refused_by_its_name(h1: Docker, h2: Docker) -> None:
    for docker in (h1, h2):
        docker.network_create("web", SUBNET)
    h1.run("a1", "web", "--ip", ADDRESS)
    assert "a container on host h1" in h2.refused("run", "--rm", "--network", "web", "--ip", ADDRESS, IMAGE, "true")


def test_a_range_too_small_for_a_container_is_refused_by_its_flag(h1: Docker) -> None:
    for cidr in ("10.20.0.0/31", "10.20.0.0/32"):
        assert "give a larger --subnet" in h1.refused(*Docker.network_command("web", cidr))
