"""`fairlead completion`."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete fairlead's commands, for its start-up file.

    bash, zsh: eval "$(fairlead completion bash)"; fish: fairlead completion fish | source
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  # click has all three
    click.echo(kind(ctx.find_root().command, {}, "fairlead", "_FAIRLEAD_COMPLETE").source())
