"""dockerd, asked which endpoints it has.

In comes a Docker network's id, out come the ids of its endpoints, or nothing where dockerd does not tell. It must never
change anything of Docker's, and nobody may depend on an answer.
"""
