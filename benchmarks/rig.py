"""An agent on its own: a real `fairlead agent` process, a private Open vSwitch, and the fake cloud in a third process.

All of it is in one network namespace, which the caller must be in already.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
from tests.functional.controller import Controller
from tests.functional.switch import Switch

from benchmarks.production import PYTHON
from fairlead_lab.fakes import FakeCloud
from fairlead_lab.readiness import last_line

HOST = "bench"
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Rig:
    """The folder of everything, and what the agent is told in its environment."""

    folder: Path
    switch: Switch
    requests: Path

    @property
    def socket(self) -> Path:
        """Where the agent listens."""
        return self.folder / "fairlead.sock"

    def asked(self) -> int:
        """Count the requests that the fake Neutron was asked so far."""
        return int(self.requests.read_text())

    def environment(self) -> dict[str, str]:
        """Return the environment of the agent."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "FAIRLEAD_"))}
        return kept | {
            "OS_CLIENT_CONFIG_FILE": str(self.folder / "clouds.yaml"),
            "FAIRLEAD_CLOUD_NAME": "demo",
            "FAIRLEAD_AGENT_SOCKET": str(self.socket),
            "FAIRLEAD_AGENT_STATE_DIR": str(self.folder / "state"),
            "FAIRLEAD_AGENT_HOST": HOST,
            "FAIRLEAD_AGENT_MODE": "ovs",
            "FAIRLEAD_OVS_DB": self.switch.remote,
            "FAIRLEAD_OVS_WIRING_TIMEOUT": "30",
        }


@contextmanager
def rig(folder: Path) -> Iterator[Rig]:
    """Start the switch, its controller's stand-in and the cloud; end them."""
    switch = Switch(folder)
    try:
        switch.start_database()
        switch.start_daemon()
        switch.make_bridge()
        switch.vsctl("set", "Open_vSwitch", ".", f"external_ids:hostname={HOST}")
        with _controlled(switch), _cloud(folder) as requests:
            yield Rig(folder, switch, requests)
    finally:
        switch.close()


class Agent:
    """One run of the agent, while the context lasts.

    started: seconds from exec to its first answer; asked: requests to Neutron in that time.
    """

    def __init__(self, rig: Rig) -> None:
        self._log = (rig.folder / "agent.log").open("ab")
        before, began = rig.asked(), time.perf_counter()
        self._process = subprocess.Popen(
            [PYTHON, "-m", "fairlead", "agent"], env=rig.environment(), stdout=self._log, stderr=self._log
        )
        try:
            asyncio.run(self._answering(rig.socket))
        except BaseException:
            self.stop()
            raise
        self.started = time.perf_counter() - began
        time.sleep(0.2)  # the cloud writes its count every 20 ms
        self.asked = rig.asked() - before

    def __enter__(self) -> "Agent":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def memory(self) -> float:
        """Resident memory in MB (VmRSS)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024

    def cpu(self) -> float:
        """Seconds of processor time so far, user and system (fields 14 and 15 of /proc/PID/stat)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def stop(self) -> None:
        """End it as an operator does."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    async def _answering(self, socket: Path) -> None:
        limit = time.monotonic() + _PATIENCE
        while True:
            with suppress(OSError, aiohttp.ClientError):
                async with Dockerd(socket) as dockerd:
                    await dockerd.rpc("Plugin.Activate", {})
                return
            if self._process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"the agent does not answer: {last_line(Path(self._log.name))}")
            await asyncio.sleep(0.005)


@dataclass(slots=True)
class Endpoint:
    """A container's end of the network, as dockerd keeps it."""

    id: str
    address: str = ""


class Dockerd:
    """Sends an agent the RPCs that dockerd sends, in its order; use with `async with`. Raises RuntimeError.

    pool: what `create_network` returned, where the network is there already.
    """

    def __init__(self, socket: Path, pool: str = "") -> None:
        self._socket = socket
        self._network = "b" * 64
        self._pool = pool

    async def __aenter__(self) -> "Dockerd":
        self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._socket)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def rpc(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send one RPC and return its answer."""
        async with self._session.post(f"http://agent/{name}", json=body) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
        if response.status != 200:
            raise RuntimeError(f"{name}: {answer}")
        return answer

    async def create_network(self, subnet: str) -> str:
        """Make the network on which the endpoints will be, and return the id of its pool."""
        spaces = await self.rpc("IpamDriver.GetDefaultAddressSpaces", {})
        space = spaces["LocalDefaultAddressSpace"]
        pool = await self.rpc(
            "IpamDriver.RequestPool", {"AddressSpace": space, "Pool": subnet, "SubPool": "", "Options": {}, "V6": False}
        )
        self._pool = pool["PoolID"]
        gateway = pool["Data"].get("com.docker.network.gateway")
        if not gateway:
            request = {"Address": "", "Options": {"RequestAddressType": "com.docker.network.gateway"}}
            gateway = (await self.rpc("IpamDriver.RequestAddress", {"PoolID": self._pool, **request}))["Address"]
        ranges = [{"AddressSpace": space, "Pool": pool["Pool"], "Gateway": gateway}]
        options = {"com.docker.network.enable_ipv6": False, "com.docker.network.generic": {}}
        await self.rpc(
            "NetworkDriver.CreateNetwork",
            {"NetworkID": self._network, "Options": options, "IPv4Data": ranges, "IPv6Data": []},
        )
        return self._pool

    async def request_address(self, endpoint: Endpoint) -> None:
        """Ask for an address."""
        answer = await self.rpc("IpamDriver.RequestAddress", {"PoolID": self._pool, "Address": "", "Options": {}})
        endpoint.address = answer["Address"]

    async def create_endpoint(self, endpoint: Endpoint) -> None:
        """Create the endpoint that has the address."""
        interface = {"Address": endpoint.address, "AddressIPv6": "", "MacAddress": ""}
        await self.rpc("NetworkDriver.CreateEndpoint", {**self._ids(endpoint), "Interface": interface, "Options": {}})

    async def join(self, endpoint: Endpoint) -> None:
        """Join it to a sandbox."""
        sandbox = f"/var/run/docker/netns/{endpoint.id[:12]}"
        await self.rpc("NetworkDriver.Join", {**self._ids(endpoint), "SandboxKey": sandbox, "Options": {}})

    async def leave(self, endpoint: Endpoint) -> None:
        """Leave the sandbox."""
        await self.rpc("NetworkDriver.Leave", self._ids(endpoint))

    async def delete_endpoint(self, endpoint: Endpoint) -> None:
        """Delete the endpoint."""
        await self.rpc("NetworkDriver.DeleteEndpoint", self._ids(endpoint))

    async def release_address(self, endpoint: Endpoint) -> None:
        """Give the address back."""
        address = endpoint.address.partition("/")[0]
        await self.rpc("IpamDriver.ReleaseAddress", {"PoolID": self._pool, "Address": address})

    def _ids(self, endpoint: Endpoint) -> dict[str, str]:
        return {"NetworkID": self._network, "EndpointID": endpoint.id}


def endpoint() -> Endpoint:
    """Return an endpoint that nobody has heard of."""
    return Endpoint(uuid4().hex * 2)


@contextmanager
def _controlled(switch: Switch) -> Iterator[None]:
    """Let ovn-controller's stand-in work in a thread of its own."""
    loop = asyncio.new_event_loop()
    work = loop.create_task(Controller(switch.remote).run())

    def serve() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(work)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(work.cancel)
        thread.join(5)


@contextmanager
def _cloud(folder: Path) -> Iterator[Path]:
    """Run this module as the cloud's process; yields the file in which it counts requests."""
    requests = folder / "requests"
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.rig", str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the fake cloud did not start")
        yield requests
    finally:
        process.terminate()
        process.wait()


async def _serve_cloud(folder: Path) -> None:
    async with FakeCloud() as cloud:
        cloud.set_quota(port=-1)
        cloud.write_clouds_yaml(folder / "clouds.yaml")
        requests, served = folder / "requests", 0
        requests.write_text("0")
        print("ready", flush=True)
        while True:
            await asyncio.sleep(0.02)
            # What was asked is counted and forgotten: ten thousand bodies are nobody's to keep.
            if cloud.calls:
                served += len(cloud.calls)
                cloud.calls.clear()
                fresh = requests.with_suffix(".new")
                fresh.write_text(json.dumps(served))
                fresh.rename(requests)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve_cloud(Path(sys.argv[1])))
