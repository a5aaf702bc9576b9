"""Implementations of the ports, independent of each other."""
