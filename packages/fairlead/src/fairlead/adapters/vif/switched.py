"""The data plane of Open vSwitch, joined with how the cloud's mechanism driver says that a port is wired.

That word is the one thing in which the two differ for a host: the plug is the same.
"""

from collections.abc import Callable

from fairlead.adapters.ovsdb.database import Ovsdb
from fairlead.adapters.vif.ovs import OvsDataplane, Step
from fairlead.adapters.wired.neutron import ActiveInNeutron
from fairlead.adapters.wired.ovn import InstalledByOvn
from fairlead.ports.clock import Clock
from fairlead.ports.network_service import NetworkService

BRIDGE = "br-int"
REMOTE = "unix:/run/openvswitch/db.sock"


def with_ovn(
    *,
    bridge: str = BRIDGE,
    ovsdb: str = REMOTE,
    timeout: float = 5.0,
    wiring_timeout: float = 10.0,
    on_step: Callable[[Step], None] = lambda _step: None,
) -> OvsDataplane:
    """Make the data plane of a host with ovn-controller (ML2/OVN).

    bridge: OVN's integration bridge. ovsdb: the database's address, as in ovsdb(7). timeout: seconds for one OVSDB
    transaction, connecting included. wiring_timeout: seconds for OVN to put a plugged port's flows in place. on_step is
    told of each step when it is done, from whatever thread did it.
    """
    database = _database(ovsdb, timeout, on_step)
    return OvsDataplane(database, InstalledByOvn(database, timeout=wiring_timeout), bridge=bridge, on_step=on_step)


def with_ml2_ovs(
    network_service: NetworkService,
    clock: Clock,
    *,
    bridge: str = BRIDGE,
    ovsdb: str = REMOTE,
    timeout: float = 5.0,
    wiring_timeout: float = 30.0,
    on_step: Callable[[Step], None] = lambda _step: None,
) -> OvsDataplane:
    """Make the data plane of a host with neutron-openvswitch-agent (ML2/OVS). Arguments as in `with_ovn`."""
    wired = ActiveInNeutron(network_service, clock, timeout=wiring_timeout)
    return OvsDataplane(_database(ovsdb, timeout, on_step), wired, bridge=bridge, on_step=on_step)


def _database(remote: str, timeout: float, on_step: Callable[[Step], None]) -> Ovsdb:
    return Ovsdb(remote, timeout=timeout, on_transaction=lambda seconds: on_step(Step("transaction", seconds, 1)))
