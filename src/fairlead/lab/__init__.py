"""A real small OpenStack network cloud on one machine."""
