"""The rules of routers: interfaces at the gateways of subnets, and extra routes by way of neighbours there."""

from ipaddress import ip_address, ip_network
from typing import Any

from fairlead_lab.fakes.addresses import read_address
from fairlead_lab.fakes.caller import Caller
from fairlead_lab.fakes.ports import ROUTER_INTERFACE, Ports
from fairlead_lab.fakes.refusal import Refusal, invalid
from fairlead_lab.fakes.store import Resource, Store

Route = dict[str, str]


class Routers:
    """Makes routers in a store, and changes what they are on and where they send."""

    def __init__(self, store: Store, ports: Ports) -> None:
        self._store = store
        self._ports = ports

    def create(self, wanted: Resource, caller: Caller) -> Resource:
        """Make a router without interfaces."""
        return self._store.keep(
            "routers",
            caller.project_id,
            {
                "name": wanted.get("name", ""),
                "description": wanted.get("description", ""),
                "admin_state_up": True,
                "status": "ACTIVE",
                "external_gateway_info": None,
                "routes": [],
            },
        )

    def act(self, router_id: str, action: str, body: Resource, caller: Caller) -> Resource:
        """Do what PUT /routers/{id}/{action} does, and give the body of its answer."""
        router = self._store.owned("routers", router_id, caller, action)
        match action:
            case "add_router_interface":
                return self._add_interface(router, body["subnet_id"], caller)
            case "remove_router_interface":
                return self._remove_interface(router, body["subnet_id"], caller)
            case "add_extraroutes":
                added = [_route(one) for one in body["router"]["routes"]]
                routes = [*router["routes"], *(one for one in added if one not in router["routes"])]
            case "remove_extraroutes":
                removed = [_route(one) for one in body["router"]["routes"]]
                routes = [one for one in router["routes"] if one not in removed]
            case _:
                raise Refusal(404, "HTTPNotFound", "The resource could not be found.")
        self.check_routes(router, routes)
        if routes != router["routes"]:
            self._store.change("routers", router, {"routes": routes})
        return {"router": router}

    def check_routes(self, router: Resource, routes: list[Route]) -> None:
        """Refuse routes by way of who is no neighbour, then more of them than the project's quota lets a router have.

        All that the router will have are checked, those it has already and those that stay as well.
        """
        fixed_ips = [fixed for port in self._interfaces(router) for fixed in port["fixed_ips"]]
        subnets = self._store.resources["subnets"]
        for route in routes:
            nexthop = read_address(route["nexthop"], "nexthop")
            if not any(nexthop in ip_network(subnets[fixed["subnet_id"]]["cidr"]) for fixed in fixed_ips):
                raise _invalid_routes(routes, "the nexthop is not connected with router")
            if any(nexthop == ip_address(fixed["ip_address"]) for fixed in fixed_ips):
                raise _invalid_routes(routes, "the nexthop is used by router")
        limit = self._store.quota(router["project_id"])["router_route"]
        if 0 <= limit < len(routes):
            raise Refusal(409, "OverQuota", "Quota exceeded for resources: ['router_route'].")

    def release(self, router: Resource) -> None:
        """Let a router go, unless it has interfaces."""
        if ports := self._interfaces(router):
            names = ", ".join(port["id"] for port in ports)
            message = f"Router {router['id']} has ports still attached: {names}."
            raise Refusal(409, "RouterInUse", message)

    def _interfaces(self, router: Resource) -> list[Resource]:
        return [port for port in self._store.resources["ports"].values() if port["device_id"] == router["id"]]

    def _add_interface(self, router: Resource, subnet_id: str, caller: Caller) -> Resource:
        subnet = self._store.get("subnets", subnet_id, caller)
        if not subnet["gateway_ip"]:
            raise _bad("Subnet for router interface must have a gateway IP")
        if subnet["project_id"] != caller.project_id and not caller.admin:
            # Unless the network is shared with this one project, which the fake does not know.
            raise _bad(
                f"Cannot add interface to router because subnet {subnet_id} is not owned by project making the request"
            )
        wanted = {
            "device_id": router["id"],
            "device_owner": ROUTER_INTERFACE,
            "fixed_ips": [{"subnet_id": subnet_id, "ip_address": subnet["gateway_ip"]}],
        }
        network = self._store.resources["networks"][subnet["network_id"]]
        port = self._ports.make(wanted, network, caller, router["project_id"])
        return _interface(router, port, subnet_id)

    def _remove_interface(self, router: Resource, subnet_id: str, caller: Caller) -> Resource:
        subnet = self._store.get("subnets", subnet_id, caller)
        range_ = ip_network(subnet["cidr"])
        for port in self._interfaces(router):
            if all(fixed["subnet_id"] != subnet_id for fixed in port["fixed_ips"]):
                continue
            if any(ip_address(route["nexthop"]) in range_ for route in router["routes"]):
                raise Refusal(
                    409,
                    "RouterInterfaceInUseByRoute",
                    f"Router interface for subnet {subnet_id} on router {router['id']} cannot be deleted, "
                    "as it is required by one or more routes.",
                )
            self._store.drop("ports", port["id"])
            return _interface(router, port, subnet_id)
        message = f"Router {router['id']} has no interface on subnet {subnet_id}."
        raise Refusal(404, "RouterInterfaceNotFoundForSubnet", message)


def _route(wanted: Any) -> Route:
    return {"destination": wanted["destination"], "nexthop": wanted["nexthop"]}


def _interface(router: Resource, port: Resource, subnet_id: str) -> Resource:
    return {
        "id": router["id"],
        "project_id": router["project_id"],
        "tenant_id": router["project_id"],
        "port_id": port["id"],
        "network_id": port["network_id"],
        "subnet_id": subnet_id,
        "subnet_ids": [subnet_id],
    }


def _invalid_routes(routes: list[Route], reason: str) -> Refusal:
    return Refusal(400, "InvalidRoutes", invalid(f"Invalid format for routes: {routes}, {reason}").message)


def _bad(message: str) -> Refusal:
    return Refusal(400, "BadRequest", f"Bad router request: {message}.")
