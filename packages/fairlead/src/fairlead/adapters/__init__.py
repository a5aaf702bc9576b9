"""Implementations of the ports, a room for each kind of neighbour; which may know which, import-linter checks."""
