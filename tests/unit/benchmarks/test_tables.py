"""What was measured is shown whole: ratios to the right base, failures, and what was left out."""

from typing import Any

import pytest
from benchmarks import agent_cost, containers, dataplane, flannel

MACHINE: dict[str, Any] = {
    "kernel": "6.1", "cpus": 2, "cpu": "CPU", "memory_gb": 4.0, "python": "3.11", "load": 0.1, "date": "2026-01-01",
    "versions": {"Docker": "20.10", "Open vSwitch": ""},
}  # fmt: skip


def sample(kind: str, seconds: list[float], failures: list[str], calls: int) -> dict[str, Any]:
    done = len(seconds) + len(failures)
    counted = {"bursts": [max(seconds)], "during": [calls], "behind": [0], "done": done}
    return {"kind": kind, "level": 10, "operation": "run", "seconds": seconds, "failures": failures, **counted}


def test_containers_are_compared_with_the_bridge_and_failures_are_told() -> None:
    record = {
        "machine": MACHINE,
        "rounds": 1,
        "kinds": ["bridge", "kuryr", "fairlead"],
        "levels": [10, 50],
        "limits": {"kuryr": [1, 10]},
        "samples": [
            sample("bridge", [0.2, 0.4], [], 0),
            sample("fairlead", [0.6], ["no address"], 4),
        ],
    }
    text = containers.render(record)
    assert "| 10 | bridge | 300 | 1.00 | 400 | 1.00 | 0.4 | 2 | 0 | 0 | 0 |" in text
    assert "| 10 | fairlead | 600 | 2.00 | 600 | 1.50 | 0.6 | 2 | 1 | 2.0 | 0.0 |" in text
    assert "kuryr was not asked for 50 at once" in text
    assert "Failed 1 times: fairlead, docker run -d, 10 at once: no address" in text
    assert "Linux 6.1, 2 x CPU, 4.0 GB, Docker 20.10, Python 3.11" in text


def path(name: str, scale: int, failures: list[str]) -> dict[str, Any]:
    values = {"tcp": [scale * 1e9], "latency": [scale * 50_000], "datagrams": [scale * 1000.0]}
    return {"path": name, "mtu": 1500, "inner": 1400, "failures": failures, **values}


def measured(switch: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    return {"machine": MACHINE, "rounds": 1, "seconds": 3.0, "switch": switch, "mtus": [1500], "samples": samples}


def test_paths_are_compared_with_the_hosts_and_the_overlay() -> None:
    samples = [path("host", 4, []), path("overlay", 2, []), path("fairlead", 1, ["iperf3: no route"])]
    text = dataplane.render(measured("netdev", samples))
    assert "| 1500 | fairlead | 1400 | 1,000 | 0.25 | 0.50 | 50 | 0.25 | 0.50 | 50 | 1,000 | 0.25 | 0.50 | 1 |" in text
    assert "Failed: fairlead at 1500: iperf3: no route" in text
    assert "the switch is Open vSwitch's, in user space" in text


def test_paths_between_instances_are_compared_on_each_switch_by_itself() -> None:
    slow = [path(name, 2, []) for name in flannel.PATHS]
    quick = [path(name, 40 if name == "node" else 10, []) for name in flannel.PATHS]
    text = flannel.render({"switches": [measured("shortcut", quick), measured("netdev", slow)]})
    fast, usual = text.split("the switch is the kernel's VXLAN in the place of Open vSwitch")
    assert "| 1500 | vxlan | 1400 | 10,000 | 0.25 |" in fast
    assert "| 1500 | vxlan | 1400 | 2,000 | 1.00 |" in usual


def test_imports_are_added_up_by_package() -> None:
    told = (
        "import time: self [us] | cumulative | imported package\n"
        "import time:      1000 |       1500 | yaml\n"
        "import time:      2000 |       2000 |   click.core\n"
        "import time:       500 |       2500 | click\n"
        "something else\n"
    )
    assert agent_cost.heaviest(told) == [("click", 2.5), ("yaml", 1.0)]


@pytest.mark.parametrize("module", [agent_cost, containers, dataplane, flannel])
def test_a_benchmark_says_what_it_is_for(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        module.main(["--help"])
    shown = capsys.readouterr().out
    for option in ("--json", "--from", "--write-docs"):
        assert option in shown
