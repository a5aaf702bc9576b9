"""The rules of subnets: ranges that do not overlap, gateways and allocation pools that fit."""

from ipaddress import ip_address, ip_network

from fairlead.model.network import IPAddress, IPNetwork
from fairlead_lab.fakes import addresses
from fairlead_lab.fakes.caller import Caller
from fairlead_lab.fakes.refusal import Refusal, forbidden, invalid
from fairlead_lab.fakes.store import Resource, Store


class Subnets:
    """Makes and releases subnets in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, wanted: Resource, caller: Caller) -> Resource:
        """Make a subnet of a network."""
        network = self._store.get("networks", wanted["network_id"], caller)
        if network["project_id"] != caller.project_id and not caller.admin:
            raise forbidden("rule:create_subnet")
        cidr = addresses.read_network(wanted["cidr"])
        if wanted.get("ip_version", cidr.version) != cidr.version:
            raise invalid(f"cidr '{cidr}' does not match the ip_version '{wanted['ip_version']}'")
        gateway = self._gateway(wanted, cidr)
        for other in self._store.subnets_of(network):
            range_ = ip_network(other["cidr"])
            if range_.version == cidr.version and cidr.overlaps(range_):
                raise invalid(
                    f"Requested subnet with cidr: {cidr} for network: {network['id']} overlaps with another subnet"
                )
        pools = wanted.get("allocation_pools")
        ranges = addresses.default_pools(cidr, gateway) if pools is None else addresses.read_pools(pools, cidr, gateway)
        subnet = self._store.keep(
            "subnets",
            caller.project_id,
            {
                "name": wanted.get("name", ""),
                "description": wanted.get("description", ""),
                "network_id": network["id"],
                "cidr": str(cidr),
                "ip_version": cidr.version,
                "gateway_ip": str(gateway) if gateway else None,
                "allocation_pools": [{"start": str(pool.first), "end": str(pool.last)} for pool in ranges],
                "host_routes": wanted.get("host_routes") or [],
                "dns_nameservers": wanted.get("dns_nameservers") or [],
                "enable_dhcp": wanted.get("enable_dhcp", True),
                "subnetpool_id": None,
            },
        )
        network["subnets"].append(subnet["id"])
        self._store.revise(network)
        return subnet

    def prepare_change(self, subnet: Resource, change: Resource) -> None:
        """Check a change of a subnet's allocation pools."""
        if "allocation_pools" in change:
            gateway = ip_address(subnet["gateway_ip"]) if subnet["gateway_ip"] else None
            addresses.read_pools(change["allocation_pools"], ip_network(subnet["cidr"]), gateway)
            self._store.books.look_anew(subnet["id"])

    @staticmethod
    def _gateway(wanted: Resource, cidr: IPNetwork) -> IPAddress | None:
        if "gateway_ip" not in wanted:
            return addresses.usable(cidr).first
        if wanted["gateway_ip"] is None:
            return None
        gateway = addresses.read_address(wanted["gateway_ip"], "gateway_ip")
        if gateway.version != cidr.version:
            raise invalid(f"gateway_ip '{gateway}' does not match the ip_version '{cidr.version}'")
        addresses.check_gateway(cidr, gateway)
        return gateway

    def usage(self, network: Resource) -> Resource:
        """Say how full a network is: extensions network-ip-availability and network-ip-availability-details."""
        subnets = [self._usage(subnet) for subnet in self._store.subnets_of(network)]
        return {
            "network_id": network["id"],
            "network_name": network["name"],
            "project_id": network["project_id"],
            "tenant_id": network["project_id"],
            "subnet_ip_availability": subnets,
            "total_ips": sum(subnet["total_ips"] for subnet in subnets),
            "used_ips": sum(subnet["used_ips"] for subnet in subnets),
        }

    def _usage(self, subnet: Resource) -> Resource:
        pools = addresses.pools_of(subnet)
        total, used = sum(pool.size for pool in pools), self._store.books.taken(subnet["id"])
        return {
            "subnet_id": subnet["id"],
            "subnet_name": subnet["name"],
            "ip_version": subnet["ip_version"],
            "cidr": subnet["cidr"],
            "total_ips": total,
            "used_ips": used,
            "ip_availability_details": {
                "total_ips_in_subnet": addresses.usable(ip_network(subnet["cidr"])).size,
                "total_ips_in_allocation_pool": total,
                "used_ips_in_subnet": used,
                "used_ips_in_allocation_pool": self._store.books.taken(subnet["id"], pools),
            },
        }

    def release(self, subnet: Resource) -> None:
        """Take a subnet off its network, unless a port has an address of it."""
        if self._store.books.taken(subnet["id"]):
            raise Refusal(
                409,
                "SubnetInUse",
                f"Unable to complete operation on subnet {subnet['id']}: "
                "One or more ports have an IP allocation from this subnet.",
            )
        network = self._store.resources["networks"][subnet["network_id"]]
        network["subnets"].remove(subnet["id"])
        self._store.revise(network)
