"""A real small OpenStack network cloud on one machine: Keystone, Neutron, OVN, Open vSwitch and Docker hosts.

from fairlead.lab import Lab, LabSpec

lab = Lab(LabSpec("mine", hosts=2))
lab.up()
lab.host("h1").run(["docker", "ps"])
lab.down()
"""

from fairlead.lab.lab import Lab
from fairlead.lab.spec import LabSpec

__all__ = ["Lab", "LabSpec"]
