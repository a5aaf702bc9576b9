"""`fairlead`: the group of all commands, each imported only when it is called."""

from importlib import import_module

import click

from fairlead import __version__
from fairlead.model.errors import FairleadError

# A command and its one line of help, so that listing the commands imports none of them.
_COMMANDS = {
    "agent": "Serve Docker's network and IPAM driver on this host.",
    "completion": "Print the completion script for a shell.",
    "flannel": "Neutron under flannel: what flanneld runs, its configuration, the state of it all.",
    "lab": "A real small OpenStack network cloud on one machine.",
}


class _LazyGroup(click.Group):
    """Finds a command `x` in module `fairlead.cli.x`, and says Fairlead's errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"fairlead.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except FairleadError as error:
            click.echo(f"fairlead: {error}", err=True)
            ctx.exit(1)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="fairlead")
def main() -> None:
    """OpenStack (Neutron) networking for containers, under the tools people already use."""
