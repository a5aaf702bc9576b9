"""Neutron's Networking API v2.0, spoken for one project (https://docs.openstack.org/api-ref/network/v2/)."""

from fairlead.adapters.neutron.credentials import CloudConfig, find_cloud
from fairlead.adapters.neutron.service import NeutronService

__all__ = ["CloudConfig", "NeutronService", "find_cloud"]
