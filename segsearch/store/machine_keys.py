"""How the machines of a database get today's keys: several that differed only in their cores become one.

A machine is renamed where its stored record makes its stored key. One that was stored without its flags and cores
(schema 1) stays what it is: nobody can tell on how many it was timed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, and_, delete, func, select, update

from segsearch.evidence.machines import former_key, machine_key
from segsearch.evidence.objectives import MACHINE_BOUND, intervals_of, values_of
from segsearch.evidence.timing import Machine, Timing
from segsearch.evidence.types import Evidence
from segsearch.space.keys import from_json, to_json
from segsearch.store.put import put
from segsearch.store.schema import evidence, machines, timings, trials


def name_machines_anew(connection: Connection) -> None:
    """Give every machine its key of schema 4, in its record, its timings, its trials and their evidence.

    Stages stay under the keys that they have: of a trial that was under way the gate and the measurement, seconds
    each, are done again, and nothing that was trained. Once `machine_key` changes, today's must be spelt out here.
    """
    found = [from_json(Machine, text) for text in connection.execute(select(machines.c.json)).scalars()]
    groups: dict[str, list[Machine]] = defaultdict(list)
    for machine in found:
        if machine.key == former_key(machine):
            groups[machine_key(machine)].append(machine)
    for key, group in groups.items():
        _become_one(connection, key, _most_used_first(connection, group))


def _most_used_first(connection: Connection, group: Sequence[Machine]) -> list[Machine]:
    """Machines by how many timings they have, then by when they came: the first one's unit touches the fewest."""

    def order(machine: Machine) -> tuple[int, float, str]:
        query = select(func.count(), func.min(timings.c.taken)).where(timings.c.machine == machine.key)
        count, first = connection.execute(query).one()
        return -count, first or 0.0, machine.key

    return sorted(group, key=order)


def _become_one(connection: Connection, key: str, group: Sequence[Machine]) -> None:
    names = [machine.key for machine in group]
    unit = {name: reference_ms for machine in reversed(group) for name, reference_ms in machine.references}
    kept = replace(group[0], key=key, references=tuple(sorted(unit.items())), aliases=tuple(sorted(names)))
    _keep_newest(connection, names)
    for machine in group:
        if any(unit[name] != reference_ms for name, reference_ms in machine.references):
            _change_unit(connection, machine.key, unit)
    for name in names:
        connection.execute(
            update(timings)
            .where(timings.c.machine == name)
            .values(machine=key, json=func.replace(timings.c.json, name, key))
        )
        of_machine = select(trials.c.number).where(
            trials.c.study == evidence.c.study, trials.c.number == evidence.c.trial, trials.c.machine == name
        )
        connection.execute(
            update(evidence).where(of_machine.exists()).values(json=func.replace(evidence.c.json, name, key))
        )
        connection.execute(update(trials).where(trials.c.machine == name).values(machine=key))
    connection.execute(delete(machines).where(machines.c.key.in_(names)))
    put(connection, machines, {"key": key}, {"json": to_json(kept)})


def _keep_newest(connection: Connection, names: Sequence[str]) -> None:
    """Of a trial that several of these machines timed, drop all timings but the newest."""
    query = select(timings.c.study, timings.c.trial, timings.c.machine).where(timings.c.machine.in_(names))
    seen: set[tuple[str, int]] = set()
    for row in connection.execute(query.order_by(timings.c.taken.desc(), timings.c.machine)).all():
        if (row.study, row.trial) in seen:
            connection.execute(
                delete(timings).where(
                    timings.c.study == row.study, timings.c.trial == row.trial, timings.c.machine == row.machine
                )
            )
        seen.add((row.study, row.trial))


def _change_unit(connection: Connection, name: str, unit: Mapping[str, float]) -> None:
    """Tell what one machine measured in another one's reference times.

    A measurement is a ratio to the reference; its milliseconds are that ratio times a time that each of the machines
    had calibrated for itself. In one front they must be the same milliseconds.
    """
    of_trial = and_(evidence.c.study == timings.c.study, evidence.c.trial == timings.c.trial)
    timed = select(timings.c.study, timings.c.trial, timings.c.json, evidence.c.json.label("evidence"))
    for row in connection.execute(timed.join(evidence, of_trial).where(timings.c.machine == name)).all():
        found = _in_unit(replace(from_json(Evidence, row.evidence), timing=from_json(Timing, row.json)), unit)
        values = {name: value for name, value in values_of(found).items() if name in MACHINE_BOUND}
        connection.execute(
            update(timings)
            .where(timings.c.study == row.study, timings.c.trial == row.trial, timings.c.machine == name)
            .values(json=to_json(found.timing), values=_dumps(values), intervals=_dumps(intervals_of(found)))
        )
    of_trial = and_(evidence.c.study == trials.c.study, evidence.c.trial == trials.c.number)
    first = select(evidence.c.study, evidence.c.trial, evidence.c.json)
    for one in connection.execute(first.join(trials, of_trial).where(trials.c.machine == name)).all():
        found = _in_unit(from_json(Evidence, one.json), unit)
        of_this = (trials.c.study == one.study, trials.c.number == one.trial)
        connection.execute(update(trials).where(*of_this).values(values=_dumps(values_of(found))))
        of_this = (evidence.c.study == one.study, evidence.c.trial == one.trial)
        connection.execute(update(evidence).where(*of_this).values(json=to_json(found)))


def _in_unit(found: Evidence, unit: Mapping[str, float]) -> Evidence:
    compared = found.timing.comparison
    if compared is None or compared.reference not in unit:
        return found
    compared = replace(compared, reference_ms=unit[compared.reference])
    return replace(found, timing=replace(found.timing, comparison=compared))


def _dumps(values: Mapping[str, object]) -> str:
    return json.dumps(values, sort_keys=True, allow_nan=False)
