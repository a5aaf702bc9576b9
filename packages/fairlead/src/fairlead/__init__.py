"""Fairlead: OpenStack (Neutron) networking for containers, under the tools people already use."""

__version__ = "0.1.0"
