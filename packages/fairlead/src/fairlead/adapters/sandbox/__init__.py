"""Devices in containers' network namespaces."""
