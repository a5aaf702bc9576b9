"""Short commands of the lab, run without holding up the other stages."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairlead.model.errors import LabError
from fairlead_lab.processes import clean_environment


async def run(
    argv: Sequence[str],
    *,
    purpose: str,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    patience: float = 60.0,
    log: Path | None = None,
) -> str:
    """Run a command to its end and return its standard output. Its standard error is appended to `log`, where given.

    Raises LabError, beginning with `purpose`, with the last line the command wrote to standard error, and when the
    command has not ended after `patience` seconds.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=dict(environment) if environment is not None else clean_environment(),
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(patience):
            output, errors = await process.communicate(stdin)
    except TimeoutError:
        raise LabError(f"{purpose}: {argv[0]} did not end in {patience:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if log is not None and errors:
        with log.open("ab") as file:
            file.write(errors)
    if process.returncode != 0:
        lines = [line.strip() for line in errors.decode(errors="replace").splitlines() if line.strip()]
        raise LabError(
            f"{purpose}: {lines[-1] if lines else f'exit status {process.returncode}'}",
            remedy=f"see {log}" if log else "",
        )
    return output.decode(errors="replace")
