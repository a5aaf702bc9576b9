"""Wired by Neutron's word: a port's status becomes ACTIVE when an agent on its host has wired it.

So it is with ML2/OVS, whose agent looks at the bridge every two seconds (`polling_interval`), marks a port that went as
DOWN, and has no word for it in the switch's database. Nova waits for the same, told by Neutron's notification
(`network-vif-plugged`), which only an administrator's service gets.

Sources: the Networking API v2.0 on a port's `status`; Neutron's contributor documentation on the Open vSwitch agent.
"""

from typing import Final

from fairlead.model.errors import CloudUnavailable, PortGone, WiringTimeout
from fairlead.model.vif import Vif
from fairlead.ports.clock import Clock
from fairlead.ports.network_service import NetworkService

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.25, 4.0, 2.0  # seconds, seconds, factor
_ACTIVE: Final = "ACTIVE"


class ActiveInNeutron:
    """Asks Neutron for the port, at once and then ever more rarely: 0.25, 0.5, 1, 2, 4, 4 … seconds later.

    timeout: seconds for the port to become ACTIVE. That Neutron does not answer meanwhile is no failure yet.
    """

    def __init__(self, network_service: NetworkService, clock: Clock, *, timeout: float = 30.0) -> None:
        self._network_service = network_service
        self._clock = clock
        self._timeout = timeout

    def is_wired(self, vif: Vif) -> bool:  # noqa: ARG002
        """Say yes: what Neutron thinks by now is not known here without a request."""
        return True

    async def wait(self, vif: Vif) -> None:
        """Return when Neutron calls the port ACTIVE.

        Raises WiringTimeout, PortGone where Neutron has no such port, AuthenticationFailed and PermissionDenied.
        """
        until, pause = self._clock.now() + self._timeout, _FIRST_PAUSE
        while True:
            silence: CloudUnavailable | None = None
            try:
                found = await self._network_service.find_ports(port_id=vif.port_id)
            except CloudUnavailable as error:
                silence = error
            else:
                if not found:
                    raise PortGone(f"Neutron has no port {vif.port_id}", remedy="start the container again")
                if found[0].status == _ACTIVE:
                    return
            if self._clock.now() + pause > until:
                raise self._not_wired(vif, silence) from silence
            await self._clock.sleep(pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)

    def _not_wired(self, vif: Vif, silence: CloudUnavailable | None) -> WiringTimeout:
        if silence:
            return WiringTimeout(
                f"whether port {vif.port_id} is wired can't be known: {silence.message}", remedy=silence.remedy
            )
        return WiringTimeout(
            f"Neutron did not call port {vif.port_id} ACTIVE within {self._timeout:g} s",
            remedy="is neutron-openvswitch-agent alive on this host (`openstack network agent list`), "
            "and is the port bound to this host (`openstack port show -c binding_host_id`)?",
        )
