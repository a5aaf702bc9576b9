"""Run as a program: a sandbox's device is configured by a process that dies after so many exchanges with the kernel.

Arguments: the number of exchanges, the namespace's path, the device's name, the config pickled, in hexadecimal. Ends
with the status CRASHED, or 0 where the call came to its end first.
"""

import asyncio
import os
import pickle
import sys

from fairlead.adapters.sandbox.sandboxes import KernelSandboxes

CRASHED = 99

if __name__ == "__main__":
    _, steps, netns, name, pickled = sys.argv
    done = 0

    def crash_in_time(_messages: int, _seconds: float) -> None:
        global done  # noqa: PLW0603
        done += 1
        if done == int(steps):
            os._exit(CRASHED)

    sandboxes = KernelSandboxes(on_exchange=crash_in_time)
    asyncio.run(sandboxes.configure(netns, name, pickle.loads(bytes.fromhex(pickled))))
