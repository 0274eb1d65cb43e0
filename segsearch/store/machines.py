"""Machines as they are written inside a transaction: whoever comes first settles the unit of a machine's latencies."""

from __future__ import annotations

from sqlalchemy import Connection, select

from segsearch.evidence.machines import known_as
from segsearch.evidence.timing import Machine
from segsearch.space.keys import from_json, to_json
from segsearch.store.put import put, put_first
from segsearch.store.schema import machines


def put_machine(connection: Connection, machine: Machine) -> Machine:
    """Write a machine into the caller's transaction, and return it as it is stored: kept reference times stay."""
    # Written first and looked at then: of two that come at once the second sees what the first one wrote.
    if put_first(connection, machines, {"key": machine.key}, {"json": to_json(machine)}):
        return machine
    query = select(machines.c.json).where(machines.c.key == machine.key).with_for_update()
    kept = known_as(machine, from_json(Machine, connection.execute(query).scalar_one()))
    put(connection, machines, {"key": kept.key}, {"json": to_json(kept)})
    return kept
