"""Fairlead beside Magnum: a cluster driver whose network is Neutron's. Nothing is in it yet."""

__version__ = "0.1.0"
