"""How a port that Neutron made becomes this node's: by the switch alone, as a trunk's sub-port, by address pairs.

In come ports, out comes what a device must know of each (MAC, VLAN). It must never know what the ports are for.
"""
