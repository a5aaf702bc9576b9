"""The world compared with what is remembered: memory rebuilt, half-done things finished, orphans removed.

In come Neutron's, the store's and the host's views, out come acts that bring them together. It must never make anything
that nobody asked for.
"""
