"""Ports, one for each attachment, that wait for it: the table, the pools, their keeper, the devices plugged ahead.

In comes a joined network, out comes a port with its addresses, given at once where one waits. It must never know of a
door's protocol, nor of blocks.
"""
