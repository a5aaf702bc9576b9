"""NetworkService over Neutron's API."""
