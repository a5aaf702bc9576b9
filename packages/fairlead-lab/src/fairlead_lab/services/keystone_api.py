"""Keystone's API as a WSGI application."""

import sys

from keystone.server.wsgi import initialize_public_application

# Keystone reads the command line, which is gunicorn's and means nothing to it.
sys.argv = ["keystone-api"]

application = initialize_public_application()
