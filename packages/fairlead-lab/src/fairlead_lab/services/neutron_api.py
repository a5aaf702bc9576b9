"""Neutron's API as a WSGI application, with an access log and a disturbance where the environment says."""

import os
import sys

from access_log import AccessLog
from disturbance import Disturbance

# Importing neutron.wsgi.api reads the command line, which is gunicorn's and means nothing to Neutron.
sys.argv = ["neutron-api"]

from neutron import policy  # noqa: E402
from neutron.wsgi import api  # noqa: E402

# Policies are loaded at the first request, without a lock: parallel first requests would be refused.
policy.init()

disturbed = Disturbance(api.application, os.environ["FAIRLEAD_DISTURBANCE"])
application = AccessLog(disturbed, os.environ["FAIRLEAD_ACCESS_LOG"])
