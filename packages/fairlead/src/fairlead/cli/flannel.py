"""`fairlead flannel`: what flanneld's extension backend runs, and what its operator does."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

_EXECUTABLE = "fairlead"
_PATIENCE = 30.0
"""Seconds that flanneld's commands wait for an agent that restarts: flanneld itself tries nothing twice."""


@click.group()
@click.option("--config", type=click.Path(path_type=Path), help="Settings [default: /etc/fairlead/fairlead.toml].")
@click.pass_context
def flannel(context: click.Context, config: Path | None) -> None:
    """Neutron under flannel: pods on different instances talk without a second encapsulation.

    An agent with door `flannel` must run on each node. `fairlead flannel config` prints the network configuration that
    makes flanneld call the other commands; docs/flannel.md tells the whole of it.
    """
    context.obj = config


@flannel.command("pre-startup")
@click.pass_obj
def pre_startup(config: Path | None) -> None:
    """Print the data that this node's lease shall carry (PreStartupCommand)."""
    click.echo(_tell(config, "pre-startup", {})["data"])


@flannel.command("post-startup")
@click.option("--ipv6-network", default="", metavar="CIDR", help="flannel's IPv6Network, which flanneld does not tell.")
@click.pass_obj
def post_startup(config: Path | None, ipv6_network: str) -> None:
    """Take this node's lease, from flanneld's variables (PostStartupCommand)."""
    names = ("NETWORK", "SUBNET", "IPV6SUBNET", "PUBLIC_IP", "PUBLIC_IPV6")
    _tell(config, "post-startup", {**_variables(*names), "IPV6NETWORK": ipv6_network})


@flannel.command("subnet-add")
@click.pass_obj
def subnet_add(config: Path | None) -> None:
    """Take another node's lease down (SubnetAddCommand); its data are read from standard input."""
    _tell(config, "subnet-add", {**_variables("SUBNET", "PUBLIC_IP"), "DATA": sys.stdin.read()})


@flannel.command("subnet-remove")
@click.pass_obj
def subnet_remove(config: Path | None) -> None:
    """Take down that another node's lease has ended (SubnetRemoveCommand)."""
    _tell(config, "subnet-remove", {**_variables("SUBNET", "PUBLIC_IP"), "DATA": sys.stdin.read()})


@flannel.command()
@click.pass_obj
def leave(config: Path | None) -> None:
    """Give this node's lease up, before the node goes: its pair, routes and group are removed from Neutron."""
    _ask(config, "leave", {})
    click.echo("this node leaves; `fairlead flannel status` shows what is not done yet")


@flannel.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.pass_obj
def status(config: Path | None, as_json: bool) -> None:
    """Show leases, and what is not as they want it. Exits with 1 where something is not."""
    found = _ask(config, "status", {})
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for lease in found["leases"]:
            subnets, node = ", ".join(lease["subnets"]), ", ".join(lease["node"])
            click.echo(f"{lease['state']:<6}  {subnets:<40}  at {node:<40}  port {lease['port'] or '-'}")
        for what, error in found["trouble"].items():
            click.echo(f"TROUBLE  {what}: {error}")
        if not found["leases"]:
            click.echo("no leases: has flanneld run `fairlead flannel post-startup` yet?")
    sys.exit(1 if found["trouble"] else 0)


@flannel.command("config")
@click.option("--network", required=True, metavar="CIDR", help="The range of all pods, outside of every node's subnet.")
@click.option("--subnet-len", type=click.IntRange(10, 30), default=24, show_default=True, help="Of each node's part.")
@click.option("--ipv6-network", default="", metavar="CIDR", help="For dual stack.")
@click.option("--executable", default=_EXECUTABLE, show_default=True, help="How flanneld finds this program.")
@click.option("--etcd", default="", metavar="URL", help="Write it there instead of printing it.")
@click.option("--etcd-prefix", default="/coreos.com/network", show_default=True)
@click.option("--kubernetes", is_flag=True, help="Print a ConfigMap for `kubectl apply -f -`.")
def print_config(  # noqa: PLR0917  click hands them over by name
    network: str,
    subnet_len: int,
    ipv6_network: str,
    executable: str,
    etcd: str,
    etcd_prefix: str,
    kubernetes: bool,
) -> None:
    """Print flannel's network configuration with Fairlead as its backend.

    Packets are not wrapped, so pods have the nodes' own MTU; flanneld takes it from the node's interface.
    """
    from fairlead.agent import flannel_config

    found = flannel_config.network_config(network, subnet_len, ipv6_network, executable)
    if etcd:
        flannel_config.write_to_etcd(etcd, etcd_prefix, found)
        click.echo(f"wrote {etcd_prefix}/config to {etcd}")
    elif kubernetes:
        click.echo(json.dumps(flannel_config.config_map(found), indent=2))
    else:
        click.echo(json.dumps(found, indent=2))


def _variables(*names: str) -> dict[str, str]:
    return {name: os.environ.get(name, "") for name in names}


def _tell(config: Path | None, command: str, body: dict[str, Any]) -> dict[str, Any]:
    return _ask(config, command, body, patience=_PATIENCE)


def _ask(config: Path | None, command: str, body: dict[str, Any], *, patience: float = 0.0) -> dict[str, Any]:
    from fairlead.agent.ask import ask
    from fairlead.agent.settings import load_settings

    return ask(load_settings(config, os.environ).flannel.socket, f"/flannel/{command}", body, patience=patience)
