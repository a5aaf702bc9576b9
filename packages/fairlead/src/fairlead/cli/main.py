"""`fairlead`: the group of all commands, each imported only when it is called.

Another distribution brings a command by an entry point of the group `fairlead.commands`, as fairlead-lab does `lab`.
"""

from importlib import import_module
from importlib.metadata import EntryPoints, entry_points

import click

from fairlead import __version__
from fairlead.model.errors import FairleadError

# A command and its one line of help, so that listing the commands imports none of them.
_COMMANDS = {
    "agent": "Serve Docker's network and IPAM driver on this host.",
    "completion": "Print the completion script for a shell.",
    "reconcile": "Compare this host and Neutron with what the agent remembers, and mend.",
    "flannel": "Neutron under flannel: what flanneld runs, its configuration, the state of it all.",
}


class _LazyGroup(click.Group):
    """Finds a command `x` in module `fairlead.cli.x` or by an entry point, and says Fairlead's errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted({*_COMMANDS, *_plugins().names})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name in _COMMANDS:
            command = getattr(import_module(f"fairlead.cli.{cmd_name}"), cmd_name)
        elif cmd_name in (plugins := _plugins()).names:
            command = plugins[cmd_name].load()
        else:
            return None
        assert isinstance(command, click.Command)  # noqa: S101
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = {name: _COMMANDS.get(name) or self._help(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines.items()))

    def _help(self, ctx: click.Context, name: str) -> str:
        try:
            command = self.get_command(ctx, name)
        except ImportError as error:
            return f"Can't be loaded: {error}"
        return command.get_short_help_str(limit=100) if command else ""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except FairleadError as error:
            click.echo(f"fairlead: {error}", err=True)
            ctx.exit(1)


def _plugins() -> EntryPoints:
    return entry_points(group="fairlead.commands")


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fairlead")
def main() -> None:
    """OpenStack (Neutron) networking for containers, under the tools people already use."""
