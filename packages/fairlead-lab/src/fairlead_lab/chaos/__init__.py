"""Chaos: Docker's commands at random on a lab, while what is under them fails, and what is true after each round.

In comes a lab and a seed; out go a table of what was done, and the first thing that was not as it should be. It knows
an agent by what anybody sees of it: Docker's answers, packets, devices, the switch's rows, Neutron's resources.
"""
