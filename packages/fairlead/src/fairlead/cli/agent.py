"""`fairlead agent`."""

import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings [default: /etc/fairlead/fairlead.toml].")
@click.option("--check", "only_check", is_flag=True, help="Say whether everything needed is there, and exit.")
@click.option("--json", "as_json", is_flag=True, help="With --check: for machines.")
def agent(config: Path | None, only_check: bool, as_json: bool) -> None:
    """Serve Docker's network and IPAM driver `fairlead` on this host, and flannel where `agent.doors` has it.

    Listens on /run/docker/plugins/fairlead.sock, where dockerd looks for it. The cloud comes from clouds.yaml or the
    OS_* variables, the rest from fairlead.toml; docs/agent.md tells all settings.
    """
    from fairlead.agent.settings import load_settings

    settings = load_settings(config, os.environ)
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
