"""The machine a benchmark ran on."""

import os
import platform
import subprocess
import time
from pathlib import Path

from benchmarks.report import Record

_PROGRAMS = {"Docker": ["dockerd", "--version"], "Open vSwitch": ["ovs-vswitchd", "--version"]}


def machine() -> Record:
    """Kernel, processors, memory, versions, and the load of the last minute before the run."""
    return {
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "cpu": _cpu(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "date": time.strftime("%Y-%m-%d"),
        "versions": {name: _version(command) for name, command in _PROGRAMS.items()},
    }


def describe(record: Record) -> str:
    """One line of it for below a table."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items() if version)
    return (
        f"Linux {record['kernel']}, {record['cpus']} x {record['cpu']}, {record['memory_gb']} GB, {versions},"
        f" Python {record['python']}; load before the run {record['load']}; {record['date']}"
    )


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(command: list[str]) -> str:
    """The first word with digits and dots of what a program says of itself; empty where it isn't there."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
    return next((word.strip(",") for word in said.split() if word[0].isdigit() and "." in word), "")
