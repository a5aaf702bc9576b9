"""The doors of an agent: one module for each protocol that requests come in by, each served on a socket of its own.

Which mode the node has is no business of theirs: any door is built over any node's parts. A new one is a module here
and a line in `known`.
"""
