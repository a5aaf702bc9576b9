"""`fairlead agent`."""

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fairlead.agent.settings import Settings


_TELL_EVERY = 30.0
"""Seconds between two words on what is waited for."""


@click.group(invoke_without_command=True)
@click.option("--config", type=click.Path(path_type=Path), help="Settings [default: /etc/fairlead/fairlead.toml].")
@click.option("--check", "only_check", is_flag=True, help="Say whether everything needed is there, and exit.")
@click.option("--json", "as_json", is_flag=True, help="With --check: for machines.")
@click.pass_context
def agent(context: click.Context, config: Path | None, only_check: bool, as_json: bool) -> None:
    """Serve Docker's network and IPAM driver `fairlead` on this host, and flannel where `agent.doors` has it.

    Listens on /run/docker/plugins/fairlead.sock, where dockerd looks for it. The cloud comes from clouds.yaml or the
    OS_* variables, the rest from fairlead.toml; docs/agent.md tells all settings.
    """
    from fairlead.agent.settings import load_settings

    settings = load_settings(config, os.environ)
    if context.invoked_subcommand:
        context.obj = settings
        return
    if not only_check:
        from fairlead.agent.run import run_agent

        asyncio.run(run_agent(settings, os.environ))
        return
    from fairlead.agent.check import check
    from fairlead.agent.logs import configure_logs
    from fairlead.agent.settings import LogSettings

    # Standard output is the report's alone, and the report says what a log would.
    configure_logs(LogSettings(level="error"))
    findings = asyncio.run(check(settings, os.environ))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.what:<7} {finding.text}")
            if finding.remedy:
                click.echo(f"              → {finding.remedy}")
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


@agent.command()
@click.argument("host")
@click.option("--dry-run", is_flag=True, help="Only say what there is.")
@click.option("--now", is_flag=True, help="Do not ask first whether it lives: you know that it is off.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.pass_obj
def retire(settings: "Settings", host: str, dry_run: bool, now: bool, as_json: bool) -> None:
    """Remove from Neutron what is left of a HOST that is dead for good: ports, marks on networks, blocks.

    HOST is its name, or its node's id where several have that name. Works from any machine with the project's
    credentials. A host that lives is refused: its agent is asked, by a tag on one of its ports, and has ten minutes to
    take that off; of an instance in mode `routed` Neutron tells whether it runs.
    """
    from fairlead.agent.retire import retire as retire_host

    said = float("inf")

    def waiting(left: float) -> None:
        nonlocal said
        if left <= said - _TELL_EVERY:
            said = left
            click.echo(f"asked {host} whether it lives: {left:.0f} s left to answer", err=True)

    found = asyncio.run(retire_host(settings, os.environ, host, dry_run=dry_run, now=now, waiting=waiting))
    lines = list(found.lines()) if found else []
    if as_json:
        node = {"host": found.host, "node": found.node} if found else {"host": host, "node": ""}
        click.echo(json.dumps({**node, "removed": not dry_run and bool(found), "found": lines}, indent=2))
    elif not lines:
        click.echo(f"nothing of host {host} is in Neutron")
    else:
        click.echo("\n".join(f"{'would remove' if dry_run else 'removed'}  {line}" for line in lines))
