"""What the rest of segsearch asks of the database: studies, trials, stages, machines and picks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update

from segsearch.errors import DatabaseError, StudyError
from segsearch.evidence.machines import known_as
from segsearch.evidence.objectives import MACHINE_BOUND, intervals_of, values_of
from segsearch.evidence.timing import Machine, Timing
from segsearch.evidence.types import Evidence
from segsearch.space.candidate import Candidate
from segsearch.space.keys import from_json, to_json
from segsearch.store import schema
from segsearch.store.database import Location, check_file, check_schema, explained, locate, open_engine, use_wal
from segsearch.store.rows import Counts, Failure, Pick, PickRow, StageRow, State, StudyRow, TimingRow, TrialRow
from segsearch.store.stages import StoredWorkshop, put
from segsearch.study import Study, dump_study, load_study
from segsearch.workshop import Artifacts, Workshop

# What may differ where a study is carried on: it changes how many trials or where they run, never what they are.
_MAY_CHANGE = frozenset(
    {"trials", "search.give_up_after", "train.device", "train.threads", "timing.cores", "data.root", "space"}
)


def open_store(
    where: str | Path, *, create: bool = False, read_only: bool = False, timeout_seconds: float = 30.0
) -> Store:
    """Open the database at a path or a SQLAlchemy URL; with `create`, make it where there is none.

    Raises `DatabaseError` for one that is missing, not ours, of a newer schema, locked, or not writable.
    """
    location = locate(where, mode="ro" if read_only else "rwc" if create else "rw", timeout_seconds=timeout_seconds)
    if location.file is not None:
        check_file(location.file, create=create)
    try:
        return _open(location, read_only=read_only, timeout_seconds=timeout_seconds)
    except DatabaseError:
        if not read_only or location.file is None or not _stands(location.file):
            raise
    # SQLite writes a file beside the database even to read it. Where the folder forbids that, and no other process
    # left changes there, the file can be read as it stands.
    location = locate(where, mode="ro", timeout_seconds=timeout_seconds, immutable=True)
    return _open(location, read_only=True, timeout_seconds=timeout_seconds)


def _stands(file: Path) -> bool:
    """Whether nobody can be writing a database: its folder forbids it, and no process left changes beside it."""
    writable = os.access(file.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
    return not writable and not Path(f"{file}-wal").exists()


def _open(location: Location, *, read_only: bool, timeout_seconds: float) -> Store:
    engine = open_engine(location)
    try:
        with explained(location.shown):
            check_schema(engine, location, read_only=read_only)
            if location.file is not None and not read_only:
                use_wal(engine, timeout_seconds=timeout_seconds)  # only now: a foreign file stays as it is
    except BaseException:
        engine.dispose()
        raise
    return Store(where=location.shown, location=location, engine=engine)


@dataclass(frozen=True)
class Store:
    """An open database. `where` is how messages name it."""

    where: str
    location: Location = field(repr=False)
    engine: Engine = field(repr=False)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that holds the write lock: all of it happens or none."""
        with explained(self.where), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that sees the database as it was when it began, and waits for nobody."""
        with explained(self.where), self.engine.connect().execution_options(only_reads=True) as connection:
            yield connection

    def begin_study(self, study: Study, *, artifacts: Path, space: str, data_key: str) -> StudyRow:
        """Store a new study, or check that the stored one of that name asks for the same and update what may change.

        `space` names the artifact that holds the space's source. May change: `trials` (never below what is trained),
        `search.give_up_after`, `train.device`, `train.threads`, `timing.cores` (another number of them is another
        machine), `data.root` (the same pixels elsewhere) and `space` (the same source elsewhere). Raises `StudyError`
        naming the first key that differs.
        """
        table = schema.studies
        folder = self._portable(artifacts)
        with self.writing() as connection:
            row = connection.execute(select(table).where(table.c.name == study.name).with_for_update()).one_or_none()
            if row is None:
                connection.execute(
                    insert(table).values(
                        name=study.name,
                        settings=dump_study(study),
                        space=space,
                        data_key=data_key,
                        artifacts=folder,
                        created=time.time(),
                    )
                )
            else:
                self._demand_same(self._study_row(row), study, space=space, data_key=data_key)
                _put_settings(connection, study)
                connection.execute(update(table).where(table.c.name == study.name).values(artifacts=folder))
        return self.study(study.name)

    def ask_for(self, study: str, trials: int) -> None:
        """Change how many trained trials a stored study asks for, though never below what is trained."""
        settings = self.study(study).study.model_copy(update={"trials": trials})
        table = schema.studies
        with self.writing() as connection:
            connection.execute(select(table.c.name).where(table.c.name == study).with_for_update())
            _put_settings(connection, settings)

    def studies(self) -> tuple[StudyRow, ...]:
        """All studies, oldest first."""
        with self.reading() as connection:
            rows = connection.execute(select(schema.studies).order_by(schema.studies.c.created)).all()
        return tuple(self._study_row(row) for row in rows)

    def study(self, name: str | None = None) -> StudyRow:
        """The study of that name; without a name the only one. Raises `StudyError` naming those that are there."""
        rows = self.studies()
        found = [row for row in rows if name is None or row.name == name]
        if len(found) == 1:
            return found[0]
        names = ", ".join(row.name for row in rows)
        if not rows:
            raise StudyError(f"{self.where}: no study was ever stored here. `segsearch run STUDY` starts one.")
        if name is None:
            raise StudyError(f"{self.where}: holds {len(rows)} studies; choose one with --study: {names}.")
        raise StudyError(f"{self.where}: holds no study {name!r}; it holds: {names}.")

    def trials(self, study: str, states: Collection[State] | None = None, *, first: int = 0) -> tuple[TrialRow, ...]:
        """Trials by number from `first` on; all of them, or those in `states`."""
        table = schema.trials
        query = select(table).where(table.c.study == study, table.c.number >= first).order_by(table.c.number)
        if states is not None:
            query = query.where(table.c.state.in_(states))
        with self.reading() as connection:
            return tuple(trial_row(row) for row in connection.execute(query))

    def trial(self, study: str, number: int) -> TrialRow:
        """One trial. Raises `StudyError` where there is none of that number."""
        table = schema.trials
        with self.reading() as connection:
            row = connection.execute(
                select(table).where(table.c.study == study, table.c.number == number)
            ).one_or_none()
        if row is None:
            raise StudyError(f"{self.where}: study {study} has no trial {number}. `segsearch status` counts them.")
        return trial_row(row)

    def evidence(self, study: str, number: int, *, machine: str | None = None) -> Evidence | None:
        """The raw evidence of a trial: None before it is measured and for a failed one.

        With `machine` its timing is the one taken there, where there is one.
        """
        table = schema.evidence
        with self.reading() as connection:
            text = connection.execute(
                select(table.c.json).where(table.c.study == study, table.c.trial == number)
            ).scalar_one_or_none()
            there = schema.timings.c
            where = (there.study == study, there.trial == number, there.machine == machine)
            timing = connection.execute(select(there.json).where(*where)).scalar_one_or_none()
        found = None if text is None else from_json(Evidence, text)
        return found if found is None or timing is None else replace(found, timing=from_json(Timing, timing))

    def timings(self, study: str, *, since: float = 0.0) -> tuple[TimingRow, ...]:
        """What every measured trial costs on every machine that it was measured on, by trial, the oldest first.

        With `since`, only what was taken then or later.
        """
        table = schema.timings
        columns = (table.c.trial, table.c.machine, table.c["values"], table.c.intervals, table.c.taken)
        query = select(*columns).where(table.c.study == study, table.c.taken >= since)
        query = query.order_by(table.c.trial, table.c.taken)
        with self.reading() as connection:
            return tuple(
                TimingRow(
                    trial=row.trial,
                    machine=row.machine,
                    values=json.loads(row._mapping["values"]),
                    intervals={name: (low, high) for name, (low, high) in json.loads(row.intervals).items()},
                    taken=row.taken,
                )
                for row in connection.execute(query)
            )

    def keep_timing(self, study: str, trial: int, evidence: Evidence) -> None:
        """Store what a trial costs on the machine that its evidence names, over what was stored of that machine."""
        with self.writing() as connection:
            put_timing(connection, study, trial, evidence)

    def counts(self, study: str) -> Counts:
        """How many trials are in each state."""
        table = schema.trials
        query = select(table.c.state, func.count()).where(table.c.study == study).group_by(table.c.state)
        with self.reading() as connection:
            return Counts(**{row[0]: row[1] for row in connection.execute(query)})

    def stages(self, study: str, trial: int | None = None) -> tuple[StageRow, ...]:
        """Finished stages in the order they finished; those that `trial` did, or all."""
        table = schema.stages
        query = select(table).where(table.c.study == study).order_by(table.c.finished)
        if trial is not None:
            query = query.where(table.c.trial == trial)
        with self.reading() as connection:
            return tuple(
                StageRow(
                    trial=row.trial,
                    name=row.name,
                    key=row.key,
                    outcome=json.loads(row.outcome),
                    seconds=row.seconds,
                    finished=row.finished,
                )
                for row in connection.execute(query)
            )

    def picks(self, study: str) -> tuple[PickRow, ...]:
        """Recorded picks, oldest first."""
        table = schema.picks
        query = select(table).where(table.c.study == study).order_by(table.c.number)
        with self.reading() as connection:
            return tuple(
                PickRow(Pick(row.trial, row.reason), row.created, row.number) for row in connection.execute(query)
            )

    def add_pick(self, study: str, pick: Pick) -> None:
        """Record a pick."""
        with self.writing() as connection:
            connection.execute(
                insert(schema.picks).values(study=study, trial=pick.trial, reason=pick.reason, created=time.time())
            )

    def undo_pick(self, study: str, number: int, *, created: float | None = None) -> None:
        """Take the newest pick back; the one before it counts again. Raises `StudyError` where another is newer.

        A number may be given again once its pick was undone: `created` tells them apart.
        """
        table = schema.picks
        with self.writing() as connection:
            query = select(table).where(table.c.study == study).order_by(table.c.number.desc()).limit(1)
            newest = connection.execute(query).one_or_none()
            if newest is None or newest.number != number or created not in (None, newest.created):
                raise StudyError(f"{self.where}: only the newest pick can be undone, and it has changed meanwhile.")
            connection.execute(delete(table).where(table.c.number == number))

    def mark(self, study: str) -> str:
        """A short text that changes whenever a listing of the study would: cheap to ask again and again."""
        trials, timings, picks = schema.trials, schema.timings, schema.picks
        of_trials = select(trials.c.state, func.count(), func.max(trials.c.number)).where(trials.c.study == study)
        of_timings = select(func.count(), func.max(timings.c.taken)).where(timings.c.study == study)
        of_picks = select(func.count(), func.max(picks.c.number), func.max(picks.c.created)).where(
            picks.c.study == study
        )
        with self.reading() as connection:
            states = connection.execute(of_trials.group_by(trials.c.state).order_by(trials.c.state)).all()
            found = [*states, *(connection.execute(query).one() for query in (of_timings, of_picks))]
        return ";".join(",".join(map(str, row)) for row in found)

    def machines(self) -> tuple[Machine, ...]:
        """Every machine that a latency in here was taken on."""
        with self.reading() as connection:
            texts = connection.execute(select(schema.machines.c.json).order_by(schema.machines.c.key)).scalars().all()
        return tuple(from_json(Machine, text) for text in texts)

    def keep_machine(self, machine: Machine) -> Machine:
        """Store a machine under its key, and return it as it is stored.

        Reference times that are there already stay, whoever was first: they are the unit of its latencies.
        """
        table = schema.machines
        with self.writing() as connection:
            query = select(table.c.json).where(table.c.key == machine.key).with_for_update()
            text = connection.execute(query).scalar_one_or_none()
            kept = machine if text is None else known_as(machine, from_json(Machine, text))
            put(connection, table, {"key": kept.key}, {"json": to_json(kept)})
        return kept

    def workshop(self, study: str, trial: int) -> Workshop:
        """The artifacts and the stage memory that `evaluate` works with. Stages are shared by all trials of a study."""
        return StoredWorkshop(self.study(study).artifacts, self.reading, self.writing, study=study, trial=trial)

    def _study_row(self, row: Row[Any]) -> StudyRow:
        folder = Path(row.artifacts)
        if self.location.file is not None:
            folder = self.location.file.parent / folder
        return StudyRow(
            name=row.name,
            study=load_study(row.settings),
            space=row.space,
            data_key=row.data_key,
            artifacts=Artifacts(folder),
            created=row.created,
        )

    def _portable(self, folder: Path) -> str:
        """A folder beside the database is stored relative to it, so that both can be moved together."""
        folder = folder.resolve()
        beside = self.location.file.resolve().parent if self.location.file is not None else None
        if beside is None or not folder.is_relative_to(beside):
            return str(folder)
        return os.path.relpath(folder, beside)

    def _demand_same(self, stored: StudyRow, study: Study, *, space: str, data_key: str) -> None:
        cure = f"Give the changed study another name or --out, or undo the change; {self.where} keeps what it has."
        before, after = _flat(stored.study.model_dump()), _flat(study.model_dump())
        for key in (*before, *(key for key in after if key not in before)):
            if key not in _MAY_CHANGE and before.get(key) != after.get(key):
                was, now = before.get(key), after.get(key)
                raise StudyError(
                    f"A study is carried on as it began; {key} of {study.name} was {was!r}, now it is {now!r}. {cure}"
                )
        if stored.space != space:
            raise StudyError(
                f"A study is carried on as it began; the source of its space {study.space} changed. {cure}"
            )
        if stored.data_key != data_key:
            raise StudyError(f"A study is carried on as it began; the images or masks of {study.name} changed. {cure}")


def _put_settings(connection: Connection, study: Study) -> None:
    """Write the settings of a study whose row is locked. One that asks for fewer than are trained asks for these."""
    table, trials = schema.studies, schema.trials
    trained = connection.execute(
        select(func.count()).where(trials.c.study == study.name, trials.c.state == "trained")
    ).scalar_one()
    enough = study.model_copy(update={"trials": max(study.trials, trained)})
    connection.execute(update(table).where(table.c.name == study.name).values(settings=dump_study(enough)))


def put_timing(connection: Connection, study: str, trial: int, evidence: Evidence) -> None:
    """Write the timing of an evidence into the caller's transaction."""
    values = {name: value for name, value in values_of(evidence).items() if name in MACHINE_BOUND}
    put(
        connection,
        schema.timings,
        {"study": study, "trial": trial, "machine": evidence.timing.machine},
        {
            "values": json.dumps(values, sort_keys=True, allow_nan=False),
            "intervals": json.dumps(intervals_of(evidence), sort_keys=True, allow_nan=False),
            "json": to_json(evidence.timing),
            "taken": time.time(),
        },
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def trial_row(row: Row[Any]) -> TrialRow:
    """A row of the trials table as the rest of segsearch sees it."""
    return TrialRow(
        number=row.number,
        state=row.state,
        candidate=from_json(Candidate, row.candidate),
        key=row.key,
        params=json.loads(row.params),
        values=json.loads(row._mapping["values"]),
        artifact=row.artifact,
        machine=row.machine,
        failure=None if row.failure_kind is None else Failure(row.failure_kind, row.failure_reason),
        twin=row.twin,
        seed=row.seed,
        attempts=row.attempts,
        worker=row.worker,
        started=row.started,
        finished=row.finished,
    )
