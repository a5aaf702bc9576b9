"""The data planes, one for each kind of VIF: a veth in a switch, a device over the NIC, a veth with routes.

In comes a Vif, with what Neutron says of how it is to be plugged; out go devices of the kernel's and rows of the
switch's, marked, in an order that survives a crash. They must never know an engine, a runtime, or what is inside of a
sandbox, and ask Neutron nothing: how one knows that a port is wired is a part that they are given.
"""
