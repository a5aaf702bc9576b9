"""Keystone and Neutron in memory, over real HTTP: for tests of Fairlead and of what is built on it."""

from fairlead_lab.fakes.cloud import FakeCloud
from fairlead_lab.fakes.record import Call, Fault

__all__ = ["Call", "FakeCloud", "Fault"]
