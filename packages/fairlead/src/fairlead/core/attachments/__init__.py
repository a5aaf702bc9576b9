"""Attachments: what a door calls to give a container its addresses and its device, and to take them back.

In comes a key (owner, interface, network) with what is asked for, out comes what the sandbox needs. It must never know
a door's words, nor whose packets these are.
"""
