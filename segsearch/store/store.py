"""What the rest of segsearch asks of the database: studies, trials, stages, machines and picks."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from sqlalchemy import Connection, Engine, func, select

from segsearch.errors import DatabaseError, StudyError
from segsearch.evidence.images import PerImage
from segsearch.evidence.timing import Machine, Timing
from segsearch.evidence.types import Evidence
from segsearch.space.candidate import Candidate
from segsearch.space.keys import from_json
from segsearch.store import picks, schema, studies
from segsearch.store.clock import database_now
from segsearch.store.database import check_file, check_schema, only_reads, open_engine, set_up_alone, use_wal
from segsearch.store.explain import explained
from segsearch.store.given import Given
from segsearch.store.location import Location, locate
from segsearch.store.machines import put_machine
from segsearch.store.mark import mark_of
from segsearch.store.references import put_reference, references_of
from segsearch.store.rows import (
    ConfirmationRow,
    Counts,
    Failure,
    Pick,
    PickRow,
    ReferenceRow,
    StageRow,
    State,
    StudyRow,
    TimingRow,
    TrialRow,
)
from segsearch.store.siblings import trained_in
from segsearch.store.spreads import confirmations_of, images_of, put_confirmation, trials_with_spread
from segsearch.store.stages import StoredWorkshop, stages_of
from segsearch.store.trials import put_timing, slowdowns_of, timing_row, trial_row
from segsearch.study import Study
from segsearch.workshop import Outcome, Workshop


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
        """One transaction that writes, all of it or none; on SQLite it holds the write lock."""
        with explained(self.where), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that sees the database as it was when it began, and waits for nobody."""
        with explained(self.where), self.engine.connect() as connection:
            yield connection.execution_options(**only_reads(self.engine))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process sets anything up in this database meanwhile."""
        with explained(self.where), set_up_alone(self.engine, self.location):
            yield

    def now(self) -> float:
        """The database's clock, seconds since 1970."""
        with self.reading() as connection:
            return float(connection.execute(select(database_now(connection))).scalar_one())

    def begin_study(
        self,
        study: Study,
        *,
        artifacts: Path,
        space: str,
        data_key: str,
        texts: str | None = None,
        start: str | None = None,
        given: Given | None = None,
        earlier: str | None = None,
    ) -> StudyRow:
        """Store a new study, or check that the stored one of that name asks for the same and update what may change.

        The artifacts are named as in `StudyRow`. May change: `trials` (never below what is trained), what
        `studies.MAY_CHANGE` names, and where the same pixels, source and weights lie. Raises `StudyError` naming the
        first key that differs, `DatabaseError` where a server's workers share no folder.
        """
        with self.writing() as connection:
            named = studies.Named(space, data_key, texts, start, given or {}, earlier)
            studies.begin(connection, self.location, study, artifacts, named)
        return self.study(study.name)

    def demand_shared(self, study: str, artifacts: Path) -> None:
        """Raise `DatabaseError` where the workers of a study in here do not share that folder with this one."""
        with self.reading() as connection:
            studies.demand_shared(connection, self.location, study, artifacts)

    def ask_for(self, study: str, trials: int) -> None:
        """Change how many trained trials a stored study asks for, though never below what is trained."""
        settings, table = self.study(study).study.model_copy(update={"trials": trials}), schema.studies
        with self.writing() as connection:
            connection.execute(select(table.c.name).where(table.c.name == study).with_for_update())
            studies.put_settings(connection, settings)

    def studies(self) -> tuple[StudyRow, ...]:
        """All studies, oldest first."""
        with self.reading() as connection:
            return studies.study_rows(connection, self.location)

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
        query = trials_with_spread().where(table.c.study == study, table.c.number >= first).order_by(table.c.number)
        if states is not None:
            query = query.where(table.c.state.in_(states))
        with self.reading() as connection:
            return tuple(trial_row(row) for row in connection.execute(query))

    def trial(self, study: str, number: int) -> TrialRow:
        """One trial. Raises `StudyError` where there is none of that number."""
        table = schema.trials
        with self.reading() as connection:
            row = connection.execute(
                trials_with_spread().where(table.c.study == study, table.c.number == number)
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

    def timings(self, study: str, *, since: float = 0.0, trial: int | None = None) -> tuple[TimingRow, ...]:
        """What every measured trial costs on every machine that it was measured on, by trial, the oldest first.

        With `since`, only what was taken then or later; with `trial`, only that trial's.
        """
        table = schema.timings
        columns = (table.c.trial, table.c.machine, table.c["values"], table.c.intervals, table.c.taken)
        query = select(*columns).where(table.c.study == study, table.c.taken >= since)
        query = query.order_by(table.c.trial, table.c.taken)
        if trial is not None:
            query = query.where(table.c.trial == trial)
        with self.reading() as connection:
            return tuple(timing_row(row) for row in connection.execute(query))

    def slowdowns(self, study: str) -> dict[str, float]:
        """Of each machine the least `Comparison.slowdown` of the newest timings, by its key."""
        with self.reading() as connection:
            return slowdowns_of(connection, study)

    def keep_timing(self, study: str, trial: int, evidence: Evidence) -> None:
        """Store what a trial costs on the machine that its evidence names, over what was stored of that machine."""
        with self.writing() as connection:
            put_timing(connection, study, trial, evidence)

    def images(self, study: str, number: int) -> PerImage | None:
        """The pixel counts of each validation image of a trial; None where none were kept."""
        with self.reading() as connection:
            return images_of(connection, study, number)

    def confirmations(self, study: str) -> tuple[ConfirmationRow, ...]:
        """What trials scored from other seeds, by trial and seed."""
        with self.reading() as connection:
            return confirmations_of(connection, study)

    def keep_confirmation(
        self, study: str, trial: int, seed: int, *, artifact: str, miou: float, images: PerImage | None
    ) -> None:
        """Store what a trial scored from another seed, over what was stored of that seed."""
        with self.writing() as connection:
            put_confirmation(connection, study, trial, seed, artifact=artifact, miou=miou, images=images)

    def references(self, study: str) -> tuple[ReferenceRow, ...]:
        """Networks of the field that were compared with the study's trials, by name, precision and machine."""
        with self.reading() as connection:
            return references_of(connection, study)

    def keep_reference(
        self,
        study: str,
        name: str,
        candidate: Candidate,
        found: Evidence | Failure,
        *,
        precision: str,
        machine: str,
        train_seconds: float | None,
    ) -> None:
        """Store how a network of the field did on a machine, over what was stored of it there."""
        about = {"precision": precision, "machine": machine}
        with self.writing() as connection:
            put_reference(connection, study, name, candidate, found, **about, train_seconds=train_seconds)

    def counts(self, study: str) -> Counts:
        """How many trials are in each state."""
        table = schema.trials
        query = select(table.c.state, func.count()).where(table.c.study == study).group_by(table.c.state)
        with self.reading() as connection:
            counts = Counts(**{row[0]: row[1] for row in connection.execute(query)})
            trained = trained_in(connection, study)
        return replace(counts, trained=trained, siblings=counts.trained - trained)

    def stages(self, study: str, trial: int | None = None, *, name: str | None = None) -> tuple[StageRow, ...]:
        """Finished stages in the order they finished; those that `trial` did, those of that name, or all."""
        with self.reading() as connection:
            return stages_of(connection, study, trial, name=name)

    def picks(self, study: str) -> tuple[PickRow, ...]:
        """Recorded picks, oldest first."""
        with self.reading() as connection:
            return picks.picks_of(connection, study)

    def add_pick(self, study: str, pick: Pick) -> None:
        """Record a pick."""
        with self.writing() as connection:
            picks.add(connection, study, pick)

    def undo_pick(self, study: str, number: int, *, created: float | None = None) -> None:
        """Take the newest pick back; the one before it counts again. Raises `StudyError` where another is newer.

        A number may be given again once its pick was undone: `created` tells them apart.
        """
        with self.writing() as connection:
            if not picks.undo(connection, study, number, created=created):
                raise StudyError(f"{self.where}: only the newest pick can be undone, and it has changed meanwhile.")

    def mark(self, study: str) -> str:
        """A short text that changes whenever a listing of the study would: cheap to ask again and again."""
        with self.reading() as connection:
            return mark_of(connection, study)

    def machines(self) -> tuple[Machine, ...]:
        """Every machine that a latency in here was taken on."""
        with self.reading() as connection:
            texts = connection.execute(select(schema.machines.c.json).order_by(schema.machines.c.key)).scalars().all()
        return tuple(from_json(Machine, text) for text in texts)

    def keep_machine(self, machine: Machine) -> Machine:
        """Store a machine under its key, and return it as it is stored.

        Reference times that are there already stay, whoever was first: they are the unit of its latencies.
        """
        with self.writing() as connection:
            return put_machine(connection, machine)

    def workshop(
        self,
        study: str,
        trial: int,
        *,
        worker: str | None = None,
        on_wait: Callable[[str], None] = lambda stage: None,
        on_made: Callable[[str, Outcome], None] = lambda stage, outcome: None,
    ) -> Workshop:
        """The artifacts and the stage memory that `evaluate` works with. Stages are shared by all trials of a study.

        With `worker`, one at work here, no stage is made that another living worker makes: `on_wait` hears of it.
        `on_made` hears of each stage that was made and is stored.
        """
        artifacts = self.study(study).artifacts
        return StoredWorkshop(artifacts, self.reading, self.writing, study, trial, worker, on_wait, on_made)
