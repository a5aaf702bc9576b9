"""`fairlead lab`: what `fairlead_lab` does, for people at a terminal.

`fairlead_lab` is imported inside the commands, so that help and a mistyped command cost nothing.
"""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from fairlead_lab import LabSpec
    from fairlead_lab.graph import StageTime
    from fairlead_lab.status import LabStatus

_NAME = click.option("--name", default="lab", show_default=True, envvar="FAIRLEAD_LAB", help="Which lab.")
_INTERRUPTED = 130


class _Lines:
    """Progress: one line for each stage that is done."""

    def ended(self, time: "StageTime") -> None:
        """Say when a stage was done and how long it took."""
        click.echo(f"{time.began + time.seconds:7.2f} s  {time.name:<22} {time.seconds:6.2f} s")


@click.group()
def lab() -> None:
    """A real small OpenStack network cloud on one machine.

    Keystone, Neutron (ML2/OVN), MariaDB, and hosts h1, h2, … each with Open vSwitch, dockerd and a Fairlead agent, in
    network namespaces; on request also instances i1, i2, … whose NIC is a Neutron port. Needs root on a Debian-like
    machine. docs/lab.md is the manual.
    """


@lab.command()
@_NAME
@click.option("--hosts", type=int, help="How many Docker hosts [default: 2].")
@click.option(
    "--role",
    type=click.Choice(["member", "service"]),
    help="What the hosts' credentials may do; `service` may bind ports [default: member].",
)
@click.option("--agent/--no-agent", default=None, help="Run a Fairlead agent on each host [default: yes].")
@click.option("--mtu", type=int, help="MTU of the underlay in bytes [default: 1500].")
@click.option("--instances", type=int, help="How many instances, as of Nova's, the hosts carry [default: 0].")
@click.option("--instance-subnets", type=int, help="On how many subnets, joined by a router: 1 or 2 [default: 1].")
@click.option(
    "--tags-while-creating/--no-tags-while-creating",
    default=None,
    help="Let ports be tagged as they are made, by an extension that Neutron has not by default [default: yes].",
)
def up(name: str, **asked: Any) -> None:
    """Make a lab, or mend the one there is, which keeps the options it was made with."""
    from fairlead_lab import Lab, LabSpec
    from fairlead_lab.manifest import ManifestFile
    from fairlead_lab.paths import LabPaths

    known = ManifestFile(LabPaths(name).manifest).read()
    given = {option: value for option, value in asked.items() if value is not None}
    spec = replace(known.spec if known else LabSpec(name), **given)
    made = Lab(spec)
    option = _option(name)
    try:
        outcome = made.up(_Lines())
    except KeyboardInterrupt:
        click.echo(f"fairlead: interrupted: `fairlead lab down{option}` cleans up, `up` goes on", err=True)
        sys.exit(_INTERRUPTED)
    if not outcome.started:
        click.echo(f"Lab {name!r} runs already. `fairlead lab status{option}` says what is in it.")
        return
    if outcome.mended:
        click.echo(f"Lab {name!r} runs again. Started: {', '.join(outcome.started)}")
        return
    how = "from the snapshot of its databases" if outcome.timings.warm else "with its databases made anew"
    click.echo(f"Lab {name!r} is up after {outcome.timings.total:.1f} s, {how}. Now try:")
    for line in _suggestions(option, made.spec):
        click.echo(f"  {line}")


def _suggestions(option: str, spec: "LabSpec") -> list[str]:
    lines = [f"fairlead lab exec{option} h1 -- docker run --rm busybox ip address"]
    if spec.agent:
        create = "docker network create -d fairlead --ipam-driver fairlead --subnet 10.20.0.0/24 web"
        lines = [
            f"fairlead lab exec{option} h1 -- {create}",
            f"fairlead lab exec{option} h1 -- docker run --rm --network web busybox ip address",
        ]
    if spec.instances > 1:
        lines.append(f"fairlead lab exec{option} i1 -- busybox ping -c 1 i2")
    return [*lines, f'eval "$(fairlead lab env{option})"; openstack network list', f"fairlead lab down{option}"]


@lab.command()
@_NAME
@click.option("--all", "every", is_flag=True, help="All labs on this machine.")
def down(name: str, every: bool) -> None:
    """Take a lab down and leave nothing behind (but the caches)."""
    from fairlead.model.errors import LabError
    from fairlead_lab.down import down as take_down
    from fairlead_lab.install import require_root
    from fairlead_lab.paths import LabPaths, existing_labs

    require_root()
    names = existing_labs() if every else (name,)
    if not names:
        click.echo("There is no lab on this machine.")
    failures = []
    for one in names:
        try:
            removed = take_down(LabPaths(one))
        except LabError as error:
            failures.append(error)  # the other labs go all the same
            continue
        click.echo(f"Lab {one!r} is gone: {removed.processes} processes ended in {removed.seconds:.1f} s.")
    for failure in failures[:-1]:
        click.echo(f"fairlead: {failure}", err=True)
    if failures:
        raise failures[-1]


@lab.command("list")
def list_labs() -> None:
    """Name the labs on this machine."""
    from fairlead_lab.manifest import ManifestFile
    from fairlead_lab.paths import LabPaths, existing_labs

    for name in existing_labs():
        manifest = ManifestFile(LabPaths(name).manifest).read()
        state = f"{manifest.state}, {_machines(manifest.spec)}" if manifest else "remains of a lab"
        click.echo(f"{name:<20} {state}")


def _machines(spec: "LabSpec") -> str:
    instances = f", {spec.instances} instances" if spec.instances else ""
    return f"{spec.hosts} hosts{instances}"


@lab.command()
@_NAME
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(name: str, as_json: bool) -> None:
    """Say what runs and what it costs; exit status 1 when something that should run doesn't."""
    from fairlead_lab import Lab

    found = Lab.load(name).status()
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        _print_status(found)
    sys.exit(1 if found.ill else 0)


def _print_status(found: "LabStatus") -> None:
    spec = found.spec
    click.echo(f"{spec.name}: {found.state}, {_machines(spec)}, role {spec.role}, datapath {found.datapath}")
    for one in found.components:
        pid = str(one.pid) if one.pid else "-"
        click.echo(f"  {one.name:<22} {one.state:<8} {pid:>8} {one.memory / 2**20:7.0f} MB")
    for instance in found.instances:
        told = f"on {instance.host}, network {instance.network}, {' '.join(instance.addresses)}"
        click.echo(f"  {instance.name:<22} {told}")
    click.echo(f"  {'all processes':<40} {found.memory / 2**20:7.0f} MB (PSS)")
    if found.timings.stages:
        click.echo(f"last start: {found.timings.total:.1f} s ({'warm' if found.timings.warm else 'cold'})")
        for time in found.timings.stages:
            click.echo(f"  {time.name:<22} from {time.began:6.2f} s for {time.seconds:6.2f} s")


@lab.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_NAME
@click.argument("host")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(name: str, host: str, command: tuple[str, ...]) -> None:
    """Run a command on a host or an instance (or in the `fabric`); its exit status is passed on."""
    from fairlead_lab import Lab

    # `exec h1 -- cmd`: click leaves the dashes in when options may not be interspersed.
    words = command[1:] if command[0] == "--" else command
    if not words:
        raise click.UsageError("Missing argument 'COMMAND...'.")
    _become(Lab.load(name).host(host), words)


@lab.command()
@_NAME
@click.argument("host")
def shell(name: str, host: str) -> None:
    """Open a shell on a host or an instance."""
    from fairlead_lab import Lab

    _become(Lab.load(name).host(host), (os.environ.get("SHELL", "/bin/sh"),))


def _become(host: object, argv: tuple[str, ...]) -> None:
    from fairlead_lab.host import Host

    assert isinstance(host, Host)  # noqa: S101
    words = host.command(argv, Path.cwd())
    environment = host.environment()
    os.execvpe(words[0], words, environment)  # noqa: S606  the command takes this one's place


@lab.command()
@_NAME
@click.option("--admin", is_flag=True, help="As the cloud's administrator.")
@click.option("--clouds-yaml", is_flag=True, help="Print clouds.yaml itself.")
def env(name: str, admin: bool, clouds_yaml: bool) -> None:
    """Print what the openstack client needs: eval "$(fairlead lab env)"."""
    from fairlead.model.errors import LabError
    from fairlead_lab import Lab

    file = Lab.load(name).clouds_yaml
    if not file.is_file():
        raise LabError(f"lab {name!r} is not up yet", remedy=f"`fairlead lab up{_option(name)}`")
    if clouds_yaml:
        click.echo(file.read_text(), nl=False)
    else:
        click.echo(f"export OS_CLIENT_CONFIG_FILE={file} OS_CLOUD={'admin' if admin else 'demo'}")


@lab.command()
@_NAME
@click.option("-f", "--follow", is_flag=True, help="Go on as the log grows.")
@click.option("-n", "--lines", default=0, help="How many lines [default: all of one component's, 10 of each of all].")
@click.argument("component", required=False)
def logs(name: str, follow: bool, lines: int, component: str | None) -> None:
    """Show the log of a component (`neutron`, `h1/agent`), or the ends of all."""
    from fairlead.model.errors import LabError
    from fairlead_lab import Lab

    paths = Lab.load(name).paths
    known = sorted(paths.log.glob("*.log"))
    wanted = component.replace("/", "-") if component else None
    files = [file for file in known if wanted is None or file.stem == wanted]
    if not files:
        raise LabError(f"no log of {component!r}", remedy=f"there are {', '.join(file.stem for file in known)}")
    count = str(lines) if lines else "+1" if component else "10"
    words = ["tail", "-n", count, *(["-F"] if follow else []), "--", *map(str, files)]
    os.execvp("tail", words)  # noqa: S606  likewise


@lab.command()
@_NAME
@click.argument("component")
@click.argument("host", required=False)
def restart(name: str, component: str, host: str | None) -> None:
    """End a component, start it and wait until it is ready: `restart agent h1`, `restart neutron`."""
    from fairlead_lab import Lab

    click.echo(f"restarted {', '.join(Lab.load(name).restart(component, host))}")


@lab.command()
@_NAME
@click.argument("component")
@click.argument("host", required=False)
@click.option("--kill", is_flag=True, help="At once, as a crash would.")
def stop(name: str, component: str, host: str | None, kill: bool) -> None:
    """End a component until it is started again."""
    from fairlead_lab import Lab

    click.echo(f"stopped {', '.join(Lab.load(name).stop(component, host, kill=kill))}")


@lab.command()
@_NAME
@click.argument("component")
@click.argument("host", required=False)
def start(name: str, component: str, host: str | None) -> None:
    """Start a component that was stopped or died."""
    from fairlead_lab import Lab

    click.echo(f"started {', '.join(Lab.load(name).start(component, host))}")


@lab.command()
@click.option("--keep", is_flag=True, help="Leave the lab up afterwards.")
@click.option(
    "--flannel",
    is_flag=True,
    help="Show flannel on two instances instead; needs what packaging/build-flannel builds (`make demo-flannel`).",
)
@click.option(
    "--programs",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/flannel/bin"),
    show_default=True,
    help="With --flannel: where flanneld is.",
)
def demo(keep: bool, flannel: bool, programs: Path) -> None:
    """Show the main job step by step on a lab of its own: one Neutron network under two Docker hosts."""
    from fairlead_lab import Lab, LabSpec
    from fairlead_lab.demo import Story
    from fairlead_lab.flannel_demo import FlannelStory

    shown = Lab(LabSpec("demo-flannel", instances=2) if flannel else LabSpec("demo"))
    try:
        shown.up(_Lines())
        (FlannelStory(shown, programs.resolve(), click.echo) if flannel else Story(shown, click.echo)).tell()
    finally:
        if not keep:
            shown.down()
    click.echo(f"\n`fairlead lab down --name {shown.spec.name}` takes it down." if keep else "\nThe lab is gone again.")


@lab.command()
@click.option("--name", default="chaos", show_default=True, help="Which lab; made, and taken down, unless it is there.")
@click.option("--seconds", type=float, default=900.0, show_default=True, help="How long rounds begin.")
@click.option("--seed", type=int, help="Repeat a run [default: a new one].")
@click.option("--mode", type=click.Choice(["ovs", "routed"]), help="Of one mode's machines alone [default: of both].")
@click.option("--keep", is_flag=True, help="Leave the lab up where something was found.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("build/chaos.md"),
    show_default=True,
    help="Where the tables go; beside it goes a folder of what was there at a violation.",
)
def chaos(*, name: str, seconds: float, seed: int | None, mode: str | None, keep: bool, report: Path) -> None:
    """Run Docker's commands at random while what is under them fails; exit status 1 at the first thing wrong after."""
    import secrets

    from fairlead_lab.chaos.command import Request, run

    modes: Any = (mode,) if mode else ("ovs", "routed")
    chosen = secrets.randbelow(10**6) if seed is None else seed
    try:
        done = run(Request(name, modes, seconds, chosen, keep, report.resolve()), click.echo)
    except KeyboardInterrupt:
        click.echo(f"fairlead: interrupted: `--seed {chosen}` repeats the run", err=True)
        sys.exit(_INTERRUPTED)
    click.echo(f"\n{done.markdown()}", nl=False)
    sys.exit(1 if done.violations else 0)


@lab.command()
@click.option(
    "--virtual-machines", "machines", is_flag=True, help="Also what virtual machines need: qemu and a kernel."
)
def install(machines: bool) -> None:
    """Install what a lab needs, and start nothing: Debian packages and the services' Python environment."""
    from fairlead_lab.install import install as install_all

    try:
        done = asyncio.run(install_all(_Lines(), machines=machines))
    except KeyboardInterrupt:
        click.echo("fairlead: interrupted: `fairlead lab install` goes on", err=True)
        sys.exit(_INTERRUPTED)
    click.echo("All is installed." if done else "All was installed already.")


@lab.command()
def purge() -> None:
    """Remove the caches in /var/cache/fairlead: the next `up` is a cold one."""
    import shutil

    from fairlead.model.errors import LabError
    from fairlead_lab.install import require_root
    from fairlead_lab.paths import CACHE_ROOT, existing_labs

    require_root()
    if running := existing_labs():
        raise LabError(f"lab {', '.join(running)} uses the caches", remedy="`fairlead lab down --all` first")
    shutil.rmtree(CACHE_ROOT, ignore_errors=True)
    click.echo(f"{CACHE_ROOT} is gone.")


def _option(name: str) -> str:
    return "" if name == "lab" else f" --name {name}"
