"""Containers up and down with the agents of two checkouts, in turn on one lab: whether a change costs a start anything.

    .venv/bin/python -m benchmarks.beside /path/to/another/checkout

Each has an environment of its own (`packaging/setup`), and a memory of its own, so that neither reads the other's.
Docker's bridge has its turn as well: where its ratio is not near 1 between the two halves, the machine was not quiet.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.labs import docker, lab_for, remove_containers, run_command
from benchmarks.report import Column, number, p50, ratio, say, table
from fairlead_lab import Lab, LabSpec
from fairlead_lab.flannel import Daemon
from fairlead_lab.host import Host

ONE_BY_ONE = 10
"""Containers one after another in each turn; as many come at once after them."""

SOCKET = "/run/docker/plugins/fairlead.sock"
Samples = defaultdict[tuple[str, str, str], list[float]]


@contextmanager
def agent(lab: Lab, host: Host, checkout: Path, name: str) -> Iterator[None]:
    """Run a checkout's agent on a host."""
    python = checkout / ".venv/bin/python"
    # As many ports wait as come in a turn: what a start costs the agent is compared, not Neutron's time for a port.
    state = {
        "FAIRLEAD_AGENT_STATE_DIR": str(lab.paths.log / f"beside-{name}"),
        "FAIRLEAD_POOL_FLOOR": str(2 * ONE_BY_ONE),
    }
    daemon = Daemon(host, (str(python), "-m", "fairlead", "agent"), lab.paths.log / f"beside-{name}.log", state)
    daemon.start(host.path(SOCKET).is_socket)
    try:
        yield
    finally:
        daemon.stop()


def turn(host: Host, name: str, network: str, samples: Samples) -> None:
    """Let containers of one network come and go, alone and at once."""
    one_by_one = [f"{name}-{number}" for number in range(ONE_BY_ONE)]
    runs = [partial(host.run, run_command(one, network), timeout=120) for one in one_by_one]
    removals = [partial(docker, host, "rm", "-f", one) for one in one_by_one]
    for run, remove in zip(runs, removals, strict=True):
        samples[name, "run", "1"].append(_timed(run))
        samples[name, "rm", "1"].append(_timed(remove))
    with ThreadPoolExecutor(ONE_BY_ONE) as pool:
        samples[name, "run", "10"] += pool.map(_timed, runs)
        samples[name, "rm", "10"] += pool.map(_timed, removals)


def measure(lab: Lab, checkouts: dict[str, Path], rounds: int) -> Samples:
    """Give each its turns, the other way round in each second round; the first round is not counted."""
    samples: Samples = defaultdict(list)
    host = lab.hosts[0]
    for number_ in range(rounds + 1):
        say(f"round {number_} of {rounds}")
        counted: Samples = samples if number_ else defaultdict(list)
        for name, checkout in list(checkouts.items())[:: -1 if number_ % 2 else 1]:
            with agent(lab, host, checkout, name):
                try:
                    docker(
                        host, "network", "create", "-d", "fairlead", "--ipam-driver", "fairlead",
                        "--subnet", "10.77.0.0/24", f"beside-{name}",
                    )  # fmt: skip
                    time.sleep(18)  # the pool fills, and its ports are plugged
                    turn(host, name, f"beside-{name}", counted)
                finally:
                    remove_containers(host)
                    docker(host, "network", "rm", f"beside-{name}", check=False)
            turn(host, f"bridge-beside-{name}", "bridge", counted)
    return samples


def render(samples: Samples) -> str:
    """Write the table."""
    other, this = "other", "this"
    rows = []
    for operation in ("run", "rm"):
        for level in ("1", "10"):
            base, mine = p50(samples[other, operation, level]), p50(samples[this, operation, level])
            bridges = [p50(samples[f"bridge-beside-{name}", operation, level]) for name in (other, this)]
            rows.append(
                [
                    f"docker {operation}",
                    level,
                    f"{1000 * base:.0f} ms",
                    f"{1000 * mine:.0f} ms",
                    number(ratio(mine, base), 2),
                    number(ratio(bridges[1], bridges[0]), 2),
                ]
            )
    columns = [Column(one) for one in ("command", "at once", "the other, p50", "this one, p50", "÷", "bridge ÷ bridge")]
    return table(columns, rows)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout with an environment in .venv")
    parser.add_argument("--rounds", type=int, default=6, help="[6]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the samples there too")
    chosen = parser.parse_args(arguments)
    checkouts = {"other": chosen.other.resolve(), "this": Path(__file__).resolve().parents[1]}
    with lab_for(LabSpec("beside", hosts=1)) as lab:
        for component in ("agent", "agent-socket"):
            lab.stop(component, "h1")
        samples = measure(lab, checkouts, chosen.rounds)
    print(render(samples))
    record = {" ".join(key): values for key, values in samples.items()}
    Path("build/beside.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main()
