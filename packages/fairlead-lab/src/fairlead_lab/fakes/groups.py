"""The rules of security groups and of what is in them."""

from ipaddress import ip_network

from fairlead_lab.fakes.caller import Caller
from fairlead_lab.fakes.refusal import Refusal, missing
from fairlead_lab.fakes.store import Resource, Store


class Groups:
    """Makes and releases security groups and their rules in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, wanted: Resource, caller: Caller) -> Resource:
        """Make a group, which lets everything out."""
        self._store.default_group(caller.project_id)
        name, description = wanted.get("name", ""), wanted.get("description", "")
        if name.lower() == "default":
            raise Refusal(409, "SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
        return self._store.keep_group(caller.project_id, name, description)

    def create_rule(self, wanted: Resource, caller: Caller) -> Resource:
        """Make a rule in a group of the caller's project."""
        group = self._store.resources["security_groups"].get(wanted["security_group_id"])
        if group is None or not (caller.admin or group["project_id"] == caller.project_id):
            raise missing("SecurityGroup", wanted["security_group_id"])
        rule = {
            "direction": wanted["direction"],
            "ethertype": wanted.get("ethertype", "IPv4"),
            "remote_ip_prefix": wanted.get("remote_ip_prefix"),
            "remote_group_id": wanted.get("remote_group_id"),
            "protocol": wanted.get("protocol"),
            "port_range_min": wanted.get("port_range_min"),
            "port_range_max": wanted.get("port_range_max"),
        }
        prefix = rule["remote_ip_prefix"]
        if prefix and rule["ethertype"] != f"IPv{ip_network(prefix, strict=False).version}":
            message = f"Conflicting value ethertype {rule['ethertype']} for CIDR {prefix}."
            raise Refusal(400, "SecurityGroupRuleParameterConflict", message)
        for other in group["security_group_rules"]:
            if rule.items() <= other.items():
                message = f"Security group rule already exists. Rule id is {other['id']}."
                raise Refusal(409, "SecurityGroupRuleExists", message)
        return self._store.keep_rule(group, rule)

    def release(self, group: Resource, caller: Caller) -> None:
        """Take a group's rules away, unless it is needed."""
        if group["name"] == "default" and not caller.admin:
            raise Refusal(
                409,
                "SecurityGroupCannotRemoveDefault",
                "Insufficient rights for removing default security group.",
            )
        if any(group["id"] in port["security_groups"] for port in self._store.resources["ports"].values()):
            raise Refusal(409, "SecurityGroupInUse", f"Security Group {group['id']} in use.")
        for rule in list(group["security_group_rules"]):
            self._store.drop("security_group_rules", rule["id"])

    def release_rule(self, rule: Resource) -> None:
        """Take a rule out of its group."""
        group = self._store.resources["security_groups"][rule["security_group_id"]]
        group["security_group_rules"].remove(rule)
        self._store.revise(group)
