"""Neutron's API as a WSGI application, with an access log where FAIRLEAD_ACCESS_LOG says."""

import os
import sys

from access_log import AccessLog

# Importing neutron.wsgi.api reads the command line, which is gunicorn's and means nothing to Neutron.
sys.argv = ["neutron-api"]

from neutron import policy  # noqa: E402
from neutron.wsgi import api  # noqa: E402

# Policies are loaded at the first request, without a lock: parallel first requests would be refused.
policy.init()

application = AccessLog(api.application, os.environ["FAIRLEAD_ACCESS_LOG"])
