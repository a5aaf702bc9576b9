"""LeaseStore over a file beside the node."""
