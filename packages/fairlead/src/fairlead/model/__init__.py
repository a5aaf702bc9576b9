"""The words of the domain: frozen values and the one tree of errors. Standard library only."""
