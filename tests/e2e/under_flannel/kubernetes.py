"""A real kube-apiserver in a lab's fabric, and its nodes: all that flannel's Kubernetes subnet manager needs."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlead_lab.flannel import Daemon
from fairlead_lab.host import Host
from fairlead_lab.spec import FABRIC_ADDRESS

APISERVER = Path(__file__).parents[3] / "build/kubernetes/bin/kube-apiserver"
TOKEN, URL = "lab", f"https://{FABRIC_ADDRESS}:6443"
_FOLDER = "/run/kubernetes"

KUBECONFIG = json.dumps({
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "lab", "cluster": {"server": URL, "insecure-skip-tls-verify": True}}],
    "users": [{"name": "lab", "user": {"token": TOKEN}}],
    "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
    "current-context": "lab",
})  # fmt: skip

_ASK = """
import ssl, sys, urllib.request
method, url, token = sys.argv[1:]
headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
request = urllib.request.Request(url, sys.stdin.buffer.read() or None, headers, method=method)
print(urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=20).read().decode())
"""


@dataclass(frozen=True)
class Kubernetes:
    """The API of a cluster that has nodes and nothing else."""

    fabric: Host

    def ask(self, method: str, path: str, body: object = None, *, check: bool = True) -> Any:
        """Ask the API server, by the fabric's Python; returns its answer, None where it refuses and check is False."""
        text = "" if body is None else json.dumps(body)
        done = self.fabric.run([sys.executable, "-c", _ASK, method, f"{URL}{path}", TOKEN], input=text, check=check)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def add_node(self, name: str, *parts: str) -> None:
        """Make a node as kubelet and controller manager do, with its parts of the range.

        flanneld 0.28.9 ends in a panic where a node has no annotations, and each real one has this.
        """
        node = {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {"name": name, "annotations": {"node.alpha.kubernetes.io/ttl": "0"}},
            "spec": {"podCIDR": parts[0], "podCIDRs": list(parts)},
        }
        self.ask("POST", "/api/v1/nodes", node)

    def delete_node(self, name: str) -> None:
        self.ask("DELETE", f"/api/v1/nodes/{name}")

    def annotations(self, name: str) -> dict[str, str]:
        """Return what flannel wrote down of a node, by the last part of its name."""
        found = self.ask("GET", f"/api/v1/nodes/{name}")["metadata"].get("annotations", {})
        return {key.rpartition("/")[2]: value for key, value in found.items()}


@contextmanager
def kubernetes(fabric: Host, etcd_url: str, logs: Path) -> Iterator[Kubernetes]:
    """Run an API server over an etcd that runs."""
    fabric.run(["mkdir", "-p", _FOLDER])
    fabric.run(["openssl", "genrsa", "-out", f"{_FOLDER}/sa.key", "2048"])
    fabric.run(["tee", f"{_FOLDER}/tokens"], input=f"{TOKEN},admin,admin,system:masters\n")
    argv = (
        str(APISERVER),
        f"--etcd-servers={etcd_url}",
        f"--bind-address={FABRIC_ADDRESS}",
        f"--advertise-address={FABRIC_ADDRESS}",
        f"--cert-dir={_FOLDER}",
        f"--token-auth-file={_FOLDER}/tokens",
        f"--service-account-key-file={_FOLDER}/sa.key",
        f"--service-account-signing-key-file={_FOLDER}/sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=AlwaysAllow",
    )
    daemon, api = Daemon(fabric, argv, logs / "kube-apiserver.log"), Kubernetes(fabric)
    try:
        daemon.start(lambda: api.ask("GET", "/api/v1/nodes", check=False) is not None)
        yield api
    finally:
        daemon.stop()
        fabric.run(["rm", "-rf", _FOLDER])
