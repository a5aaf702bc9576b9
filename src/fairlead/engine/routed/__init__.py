"""Routed mode: a node holds a part of a network's range, and Neutron and the kernel route it there."""
