"""Serve a WSGI application by gunicorn on an address of this namespace and on a socket made in another one.

    serve.py ADDRESS SERVICE-PORT FILE-DESCRIPTOR GUNICORN-OPTION… MODULE

The application is MODULE's `application`. gunicorn binds no address once it is given a file descriptor, so the address
is bound here and given as one too.
"""

import socket
import sys
from importlib import import_module
from typing import Any

from gunicorn.app import wsgiapp  # type: ignore[import-untyped]  # in Neutron's environment, untyped


def load(module: str) -> Any:
    """Return a module's application; raises RuntimeError where importing it ends the process.

    gunicorn takes an exception for the end of a hopeless service, and an exit for the end of a worker, to be replaced:
    a service that doesn't like its configuration, and exits, would be started for ever.
    """
    try:
        return import_module(module).application
    except SystemExit as leaving:
        raise RuntimeError(f"{module} exited at its start with status {leaving.code}") from leaving


def main() -> None:
    """Bind, then be gunicorn."""
    address, service_port, inherited, *options, module = sys.argv[1:]
    # gunicorn closes what it binds. A socket closed here too would fail as a worker leaves, and change the status by
    # which gunicorn knows that the service can't start.
    own = socket.create_server((address, int(service_port)), backlog=128).detach()
    sys.argv = ["gunicorn", "--bind", f"fd://{own}", "--bind", f"fd://{inherited}", *options, f"serve:load('{module}')"]
    wsgiapp.run()


if __name__ == "__main__":
    main()
