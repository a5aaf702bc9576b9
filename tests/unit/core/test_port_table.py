"""Whatever is put and deleted, the port_table answers as the records say, and so does one read anew."""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fairlead.core.warm.port_table import PortTable
from fairlead.model.records import FREE, Allocation, Use
from fairlead.ports.store import Record


class Rows:
    """A store in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}

    def put(self, record: Record) -> None:
        self.rows[record.id] = record

    def get(self, kind: Any, record_id: str) -> Any:
        return self.rows.get(record_id)

    def all(self, kind: Any) -> list[Any]:
        return list(self.rows.values())

    def delete(self, kind: Any, record_id: str) -> None:
        self.rows.pop(record_id, None)


ports = st.sampled_from("abcdef")
networks = st.sampled_from("mn")


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows()
        self.port_table = PortTable(self.rows)
        self.time = 0.0

    @rule(port=ports, network=networks)
    def make(self, port: str, network: str) -> None:
        self.time += 1
        if self.port_table.get(port) is None:
            address = IPv4Address(f"10.0.0.{ord(port)}")
            self.port_table.put(Allocation(port, network, self.time, addresses=(address,)))

    @rule(port=ports, use=st.sampled_from(Use))
    def change(self, port: str, use: Use) -> None:
        self.time += 1
        found = self.port_table.get(port)
        if found is None:
            return
        reserved = frozenset(found.addresses) if use in (Use.RESERVED, Use.ATTACHED) else frozenset()
        self.port_table.put(
            replace(
                found,
                since=self.time,
                reserved=reserved,
                owner=f"endpoint {port}" if use is Use.ATTACHED else "",
                rests_until={Use.RETURNED: self.time + 3, Use.FRESH: 0.0}.get(use, found.rests_until),
                leaving=use is Use.LEAVING,
            )
        )

    @rule(port=ports)
    def delete(self, port: str) -> None:
        self.port_table.delete(port)

    @invariant()
    def it_answers_as_the_records_say(self) -> None:
        records: list[Allocation] = self.rows.all(Allocation)
        for port_table in (self.port_table, PortTable(self.rows)):
            assert sorted(one.id for one in port_table) == sorted(one.id for one in records)
            assert len(port_table) == len(records)
            for one in records:
                assert port_table.get(one.id) == one
                assert port_table.of_address(one.joined_id, one.addresses[0]) == one
                if one.owner:
                    assert port_table.of_owner(one.owner) == one
            assert port_table.of_owner("") is None
            for network in "mn":
                for use in Use:
                    expected = [one for one in records if one.joined_id == network and one.use is use]
                    assert port_table.in_use(network, use) == sorted(expected, key=lambda one: one.since)
                    assert port_table.count(network, use) == len(expected)
                self.first_free_is_one_that_may_be_given(port_table, network)
            told = [one for one in records if not one.leaving and one.told != one.owner]
            assert {one.id for one in port_table.untold()} == {one.id for one in told}

    def first_free_is_one_that_may_be_given(self, port_table: PortTable, network: str) -> None:
        free = [one for use in FREE for one in port_table.in_use(network, use) if one.rests_until <= self.time]
        found = port_table.first_free(network, self.time)
        assert (found in free) if free else (found is None)


TestLedger = LedgerMachine.TestCase
