"""What is said to the Linux kernel: devices, addresses, routes, the packet filter, and a host's own stack.

In come names, indexes and numbers; out go messages of rtnetlink, writes below /proc/sys, an ioctl, and what `nft` and
`iptables` are given to read. It knows the mark by which a device is Fairlead's, and must never know a switch, a
database, Neutron, or how one mode differs from another. Everything here works on one network namespace, the calling
thread's unless it says otherwise.
"""
