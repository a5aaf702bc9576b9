"""A real small OpenStack network cloud on one machine: Keystone, Neutron, OVN, Open vSwitch and Docker hosts.

from fairlead_lab import Lab, LabSpec

lab = Lab(LabSpec("mine", hosts=2))
lab.up()
lab.host("h1").run(["docker", "ps"])
lab.down()
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairlead_lab.lab import Lab
    from fairlead_lab.spec import LabSpec

__all__ = ["Lab", "LabSpec"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what is asked for: the command line, which is in this package too, starts without."""
    if name == "Lab":
        from fairlead_lab.lab import Lab  # noqa: PLC0415

        return Lab
    if name == "LabSpec":
        from fairlead_lab.spec import LabSpec  # noqa: PLC0415

        return LabSpec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
