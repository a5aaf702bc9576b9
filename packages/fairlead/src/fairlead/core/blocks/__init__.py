"""Blocks: the parts of a range that a node holds, with all that lets their packets through.

They serve mode `routed`, and the leases that a door announces. In comes a joined network or a lease, out come
addresses, routes, address pairs, security groups. It must never know of ports that wait.
"""
