"""Networks: which Neutron network is meant, made by one of many hosts, left by the last.

In comes what a door wants of a network (a spec: ranges, a reference), out comes the record of a network that this node
has joined. It must never know how containers get their addresses: ports or blocks are the rooms' above.
"""
