"""Dataplane over netlink and OVSDB."""
