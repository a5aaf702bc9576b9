"""The doors a request comes in by, independent of each other."""
