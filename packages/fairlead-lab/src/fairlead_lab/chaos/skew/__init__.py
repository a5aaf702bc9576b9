"""What an agent's Python imports as it starts, in place of its own `sitecustomize`."""
