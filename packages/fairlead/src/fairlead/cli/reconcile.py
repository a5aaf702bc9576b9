"""`fairlead reconcile`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

_PATIENCE = 300.0
"""Seconds that the agent may take: it looks twice, and then asks Neutron to delete things."""


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings [default: /etc/fairlead/fairlead.toml].")
@click.option("--dry-run", is_flag=True, help="Print the plan, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def reconcile(config: Path | None, dry_run: bool, as_json: bool) -> None:
    """Compare this host and Neutron with what its agent remembers, and bring them together.

    The agent does so itself all the time: this host every 30 seconds, Neutron every five minutes. Here it does it at
    once, and tells. A line for each finding says what it is, where it was seen and why it is one, and what is done
    about it:

    \b
    done    it has been done
    would   it would be done (--dry-run)
    waits   it was not there ten seconds ago; it is done when a later look finds it again
    failed  it could not be done, for the reason in the next line; the agent tries it again

    Nothing is taken away that was not found twice, ten seconds apart, so that this may take a while. What does not
    carry Fairlead's tags or marks is never touched. Exits with 0 when nothing was found or all of it was done (or is
    planned, or waits), with 1 when something failed, could not be looked at, or no agent answers. Run it as root.
    """
    from fairlead.agent.ask import ask
    from fairlead.agent.settings import load_settings

    settings = load_settings(config, os.environ)
    sockets = [path for path in (settings.agent.socket, settings.flannel.socket) if Path(path).is_socket()]
    path = next(iter(sockets), settings.agent.socket)
    remedy = "start `fairlead agent`, and run this as root"
    found = ask(path, "/reconcile", {"dry_run": dry_run}, timeout=_PATIENCE, remedy=remedy)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    failed = found["unseen"] or any(one["state"] == "failed" for one in found["findings"])
    sys.exit(1 if failed else 0)


def _print(found: dict[str, Any]) -> None:
    lines = [
        (one["state"], one["where"], one["what"], f"{one['why']}: {one['act']}", one["error"])
        for one in found["findings"]
    ]
    widths = [max((len(line[column]) for line in lines), default=0) for column in range(3)]
    for *columns, why, error in lines:
        cells = "  ".join(text.ljust(width) for text, width in zip(columns, widths, strict=True))
        click.echo(f"{cells}  {why}")
        if error:
            click.echo(f"{' ' * widths[0]}  → {error}")
    for one in found["unseen"]:
        click.echo(f"could not look at {one['where']}: {one['error']}")
    if not lines and not found["unseen"]:
        click.echo("nothing to do: host and Neutron are as remembered")
