"""The stages that give a lab its instances, once Neutron and the hosts' switches are there."""

import asyncio
from functools import cache, partial

from fairlead_lab import nic
from fairlead_lab.graph import Stage
from fairlead_lab.instances import InstanceCloud
from fairlead_lab.site import Site
from fairlead_lab.spec import Placement
from fairlead_lab.supervisor import Supervisor


def instance_stages(site: Site, supervisor: Supervisor) -> list[Stage]:
    """Return stages from what instances share in Neutron to instances that reach the cloud's services.

    An instance's namespaces and its dockerd are of other stages, which don't wait for Neutron.
    """
    plugging = _Plugging(site, supervisor)
    spec = site.spec
    controllers = tuple(f"{host}/ovn-controller" for host in spec.host_names)
    nics = [
        Stage(f"{one.name}/nic", partial(plugging.plug, one), (one.name, "instance-networks", *controllers))
        for one in spec.placements
    ]
    return [
        Stage("instance-networks", plugging.make_networks, ("clouds.yaml", "ovn-northd", *controllers)),
        Stage("instance-router", plugging.make_router, ("instance-networks",)),
        *nics,
        Stage("instances", plugging.await_way_out, ("instance-router", "tunnels", *(stage.name for stage in nics))),
    ]


class _Plugging:
    """What the stages do, with one token of each user's for all of them."""

    def __init__(self, site: Site, supervisor: Supervisor) -> None:
        self._site = site
        self._supervisor = supervisor
        self._cloud = cache(self._connect)

    async def make_networks(self) -> None:
        cloud, spec = self._cloud(), self._site.spec
        await cloud.await_hosts(spec.host_names)
        await asyncio.gather(cloud.make_external(), *map(cloud.make_network, spec.instance_networks))

    async def make_router(self) -> None:
        await self._cloud().make_router(self._site.spec.instance_networks)

    async def plug(self, placement: Placement) -> None:
        wanted = await self._cloud().make_port(placement)
        instance, offload = self._supervisor.place(placement.name), self._site.datapath == "system"
        purpose = f"plugging {placement.name} into {placement.host}"
        script = nic.plug(wanted, instance.holder.pid, offload=offload)
        await self._supervisor.run_in(placement.host, script, purpose=purpose)
        await self._supervisor.run_in(placement.name, nic.configure(wanted, offload=offload), purpose=purpose)

    async def await_way_out(self) -> None:
        await asyncio.gather(
            *(
                self._supervisor.run_in(name, nic.way_out(), purpose=f"waiting for the way out of {name}")
                for name in self._site.spec.instance_names
            )
        )

    def _connect(self) -> InstanceCloud:
        # A lab without instances need not wait for keystoneauth to be imported.
        from fairlead_lab.neutron import Neutron  # noqa: PLC0415

        file = self._site.paths.clouds_yaml
        return InstanceCloud(self._site.spec.name, Neutron(file), Neutron(file, "admin"))
