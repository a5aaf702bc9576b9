"""libnetwork's remote network and IPAM drivers."""
