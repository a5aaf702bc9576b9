"""A sandbox's device, finished where no runtime does it: moved, named, addressed, routed, brought up, and read back.

In come a namespace's path and a SandboxConfig; out go messages of rtnetlink, on sockets of the host's namespace and of
the sandbox's, and differences in words. It must never know Neutron or a switch, nor which mode a device is of: it finds
the device by its mark, which all modes set.
"""
