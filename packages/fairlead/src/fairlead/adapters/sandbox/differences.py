"""What differs between a sandbox as it is and its config, in words for an operator. Pure."""

from fairlead.adapters.sandbox import plan
from fairlead.adapters.sandbox.seen import Seen
from fairlead.model.sandbox import SandboxConfig


def differences(seen: Seen, name: str, config: SandboxConfig) -> list[str]:
    """Say each difference in one sentence without a full stop; what is there beside the config is none."""
    device = seen.device
    if device is None:
        return [f"{name} is another device than Fairlead's" if seen.named else f"there is no device {name}"]
    said = []
    change = plan.link_change(device, name, config)
    if change.name:
        said.append(f"the device is called {device.name}, not {name}")
    if change.up:
        said.append(f"{name} is down")
    if change.mac:
        said.append(f"{name} has the MAC {device.mac}, not {config.mac.lower()}")
    if change.mtu:
        said.append(f"{name} has an MTU of {device.mtu}, not {config.mtu}")
    said += [f"{name} lacks the address {one}" for one in plan.lacking_addresses(seen.addresses, config)]
    said += [
        f"there is no route to {plan.in_words(one)}" for one in plan.lacking_routes(seen.routes, device.index, config)
    ]
    return said
