"""How long the background leaves half-done things to whoever is at work on them."""

UNCLAIMED = 300.0
"""Seconds after which an address that no attachment took is taken back."""

GRACE = 120.0
"""Seconds after an answer was given up on in which Neutron may still do what it was asked for."""
