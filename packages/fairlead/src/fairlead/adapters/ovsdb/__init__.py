"""Open vSwitch's database: a replica of a few of its columns, changes made in transactions, and news of Interfaces.

In come changes, plain functions over the replica; out go their results and what the database reports later, handed
over to the event loop. It must never touch a device of the kernel's: what ovs-vswitchd makes of a row is read from the
row. Only `replica` imports ovsdbapp, and lives in a thread of its own.
"""
