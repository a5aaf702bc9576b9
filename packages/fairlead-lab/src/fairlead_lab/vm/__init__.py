"""Real virtual machines in a lab: Debian's cloud kernel under qemu, whose only NIC is a port of Neutron's."""
