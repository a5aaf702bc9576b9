"""Serve a WSGI application by gunicorn on an address of this namespace and on a socket made in another one.

    serve.py ADDRESS SERVICE-PORT FILE-DESCRIPTOR GUNICORN-OPTION… MODULE:APPLICATION

gunicorn binds no address once it is given a file descriptor, so the address is bound here and given as one too.
"""

import socket
import sys

from gunicorn.app import wsgiapp  # type: ignore[import-untyped]


def main() -> None:
    """Bind, then be gunicorn."""
    address, service_port, inherited, *options = sys.argv[1:]
    with socket.create_server((address, int(service_port)), backlog=128) as own:
        sys.argv = ["gunicorn", "--bind", f"fd://{own.fileno()}", "--bind", f"fd://{inherited}", *options]
        wsgiapp.run()


if __name__ == "__main__":
    main()
