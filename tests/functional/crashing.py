"""Run as a program: one call of the data plane in a process that dies after so many steps, without any clean-up.

Arguments: `apply` or `remove`, the number of steps, the database's address, the bridge, the attachment's fields in
JSON. Prints each step's name when it is done; ends with the status CRASHED, or 0 where the call came to its end first.
"""

import asyncio
import json
import os
import sys

from fairlead.adapters.vif.ovs import Step
from fairlead.adapters.vif.switched import with_ovn
from fairlead.model.network import VifDetails
from fairlead.model.vif import Vif

CRASHED = 99


async def main(call: str, steps: int, remote: str, bridge: str, attachment: Vif) -> None:
    done = 0

    def crash_in_time(step: Step) -> None:
        nonlocal done
        done += 1
        print(step.name, flush=True)
        if done == steps:
            os._exit(CRASHED)

    dataplane = with_ovn(bridge=bridge, ovsdb=remote, on_step=crash_in_time)
    await (dataplane.apply(attachment) if call == "apply" else dataplane.remove(attachment.id))
    await dataplane.close()


if __name__ == "__main__":
    _, call, steps, remote, bridge, fields = sys.argv
    read = json.loads(fields)
    vif = Vif(**{**read, "vif_details": VifDetails(**read["vif_details"])})
    asyncio.run(main(call, int(steps), remote, bridge, vif))
