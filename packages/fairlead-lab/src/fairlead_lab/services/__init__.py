"""Programs run by the OpenStack environment's Python, never imported by Fairlead."""
