"""A worker's side of the database: a lease, and trials that are claimed, kept, put back and told of, once each."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from segsearch.errors import UserError
from segsearch.evidence.objectives import values_of
from segsearch.evidence.types import Evidence
from segsearch.space.candidate import Candidate
from segsearch.space.keys import to_json
from segsearch.store import schema
from segsearch.store.clock import database_now, stamp
from segsearch.store.lease import LEASE_SECONDS, RENEW_SECONDS, all_workers, is_alive, others, this_process
from segsearch.store.put import put
from segsearch.store.rows import Failure, State, TrialRow
from segsearch.store.screenings import forget_evidence, give_way, looks_in, note_promotion, put_screening
from segsearch.store.siblings import known_keys, put_sibling, trained_in, trials_with_origin
from segsearch.store.spreads import put_spread
from segsearch.store.store import Store
from segsearch.store.trials import put_timing, trial_row

# A trial whose worker died gets one more, and one more again for each stage that it finished since.
_DEATHS_ALLOWED = 1

trials = schema.trials
workers = schema.workers
claims = schema.claims


@dataclass(frozen=True)
class Claimed:
    """A trial that an earlier worker left; this worker holds it now."""

    trial: TrialRow


@dataclass(frozen=True)
class GivenUp:
    """A trial that killed its workers; it has just failed."""

    trial: TrialRow


# `ask`: a new trial may be asked for, and no other worker may have its place. `wait`: those that others evaluate
# would be enough. `done`: all are trained.
Work = Claimed | GivenUp | Literal["ask", "wait", "done"]


@contextmanager
def at_work(store: Store, study: str) -> Iterator[Worker]:
    """A worker with a lease that a thread renews; given back at the end, however that comes."""
    worker = Worker(store, study, uuid.uuid4().hex)
    worker.renew()
    worker.bury()
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(RENEW_SECONDS):
            with suppress(UserError):  # a full or locked database may have recovered by the next beat
                worker.renew()

    heart = threading.Thread(target=beat, name="segsearch-lease", daemon=True)
    heart.start()
    try:
        yield worker
    finally:
        stop.set()
        heart.join()
        with suppress(UserError):  # the lease of a process that ended counts for nothing anyway
            worker.leave()


def living(store: Store) -> frozenset[str]:
    """The ids of the workers that can still finish what they hold. It only reads."""
    with store.reading() as connection:
        return frozenset(row.id for row in all_workers(connection) if is_alive(row))


@dataclass(frozen=True)
class Worker:
    """One process at work on one study. Each method is one transaction."""

    store: Store
    study: str
    id: str

    def renew(self) -> None:
        """Take the lease, or take it again."""
        host, pid, pid_started = this_process()
        with self.store.writing() as connection:
            until = database_now(connection) + LEASE_SECONDS
            lease = {"host": host, "pid": pid, "pid_started": pid_started, "lease_until": until}
            put(connection, workers, {"id": self.id}, lease)

    def bury(self) -> bool:
        """Forget workers that are known to be dead, and their claims; whether there were any."""
        with self.store.reading() as connection:
            _, dead = others(connection, self.id)
        if not dead:
            return False
        with self.store.writing() as connection:
            for one in dead:
                # Unless it took its lease again meanwhile: its host may have slept.
                same = (workers.c.id == one.id, workers.c.lease_until == one.lease_until)
                connection.execute(delete(workers).where(*same))
            connection.execute(delete(claims).where(claims.c.worker.not_in(select(workers.c.id))))
        return True

    def leave(self) -> None:
        with self.store.writing() as connection:
            connection.execute(delete(workers).where(workers.c.id == self.id))
            connection.execute(delete(claims).where(claims.c.worker == self.id))

    def next(self, asked: int) -> Work:
        """What to do towards `asked` trained trials. Running trials and promised ones count as trained ones here.

        Siblings do not count, and one that was left is carried on in any case: it costs no training.
        """
        with self._alone() as connection:
            alive, _ = others(connection, self.id)
            trained = trained_in(connection, self.study)
            running = connection.execute(self._select().where(trials.c.state == "running")).all()
            left = [row for row in running if row.worker not in alive]
            if siblings := [row for row in left if row.origin is not None]:
                return self._claim(connection, siblings[0])
            if trained >= asked:
                return "done"
            held = [row for row in running if row.worker in alive and row.origin is None]
            promised = sum(1 for other in alive.values() if other.asking == self.study)
            if trained + len(held) + promised >= asked:
                return "wait"
            if left:
                return self._claim(connection, left[0])
            connection.execute(update(workers).where(workers.c.id == self.id).values(asking=self.study))
            return "ask"

    def enter(
        self,
        number: int,
        candidate: Candidate,
        *,
        params: Mapping[str, Any],
        seed: int,
        origin: int | None = None,
        gate_only: bool = False,
    ) -> TrialRow:
        """Store the trial that `next` promised: running, or a finished duplicate of one with an equal candidate.

        `origin` is the trial whose training makes it, too; such a sibling was not promised. One that is `gate_only`
        is looked at and waits to be promoted; any other takes the place of an equal one that waits.
        """
        no_twins = ("duplicate",) if gate_only else ("duplicate", "screened")
        with self._alone() as connection:
            now = stamp(connection)
            twin = connection.execute(
                select(func.min(trials.c.number)).where(
                    trials.c.study == self.study, trials.c.key == candidate.key, trials.c.state.not_in(no_twins)
                )
            ).scalar_one()
            connection.execute(
                insert(trials).values(
                    study=self.study,
                    number=number,
                    state="running" if twin is None else "duplicate",
                    candidate=to_json(candidate),
                    key=candidate.key,
                    params=json.dumps(dict(params), sort_keys=True),
                    values="{}",
                    twin=twin,
                    seed=seed,
                    attempts=1 if twin is None else 0,
                    stages_before=0,
                    stalled=0,
                    worker=self.id,
                    told=0,
                    started=now,
                    finished=None if twin is None else now,
                )
            )
            connection.execute(update(workers).where(workers.c.id == self.id).values(asking=None))
            if origin is not None:
                put_sibling(connection, self.study, number, origin)
            if gate_only:
                put_screening(connection, self.study, number)
            elif twin is None:
                give_way(connection, self.study, candidate.key, number)
            return self._trial(connection, number)

    def looks(self) -> int:
        """How many trials were entered to be looked at since the last promotion."""
        with self.store.reading() as connection:
            return looks_in(connection, self.study)

    def promote(self, number: int, *, looks: int) -> TrialRow | None:
        """Take a trial that was looked at, to train it: running, and this worker's.

        None where it waits no more, or where fewer than so many were looked at since another promotion: another worker
        was first.
        """
        with self._alone() as connection:
            if looks_in(connection, self.study) < looks:
                return None
            begun = {"attempts": 1, "stalled": 0, "stages_before": self._stages(connection, number)}
            taken = connection.execute(
                update(trials)
                .where(self._is(number), trials.c.state == "screened")
                .values(state="running", worker=self.id, started=stamp(connection), finished=None, **begun)
            )
            if taken.rowcount == 0:
                return None
            note_promotion(connection, self.study, number)
            forget_evidence(connection, self.study, [number])  # of the untrained file: another machine may train it
            connection.execute(update(workers).where(workers.c.id == self.id).values(asking=None))
            return self._trial(connection, number)

    def keys(self) -> frozenset[str]:
        """The content keys of all candidates that the study has a trial of, but for those that were only looked at."""
        with self.store.reading() as connection:
            return known_keys(connection, self.study)

    def keep(
        self, number: int, state: State, *, evidence: Evidence | None = None, failure: Failure | None = None
    ) -> TrialRow | None:
        """Store how a trial ended; None where another worker took it over while this one was thought dead."""
        with self._alone() as connection:
            ended = connection.execute(
                update(trials)
                .where(self._is(number), trials.c.state == "running", trials.c.worker == self.id)
                .values(
                    state=state,
                    values=json.dumps(values_of(evidence) if evidence else {}, sort_keys=True, allow_nan=False),
                    artifact=evidence.artifact if evidence else None,
                    machine=evidence.timing.machine if evidence else None,
                    failure_kind=failure.kind if failure else None,
                    failure_reason=failure.reason if failure else None,
                    finished=stamp(connection),
                )
            )
            if ended.rowcount == 0:
                return None
            if evidence is not None:
                kept = {"json": to_json(replace(evidence, images=None))}
                put(connection, schema.evidence, {"study": self.study, "trial": number}, kept)
                put_timing(connection, self.study, number, evidence)
                if evidence.images is not None:
                    put_spread(connection, self.study, number, evidence.images)
            else:
                forget_evidence(connection, self.study, [number])  # of the gate that it passed
            return self._trial(connection, number)

    def put_back(self) -> TrialRow | None:
        """Leave the trial that this worker holds, unharmed, to whoever carries on; None where it holds none."""
        with self._alone() as connection:
            held = connection.execute(
                self._select().where(trials.c.state == "running", trials.c.worker == self.id)
            ).one_or_none()
            if held is None:
                return None
            connection.execute(update(trials).where(self._is(held.number)).values(worker=None))
            return self._trial(connection, held.number)

    def told(self, number: int) -> None:
        """Note that the sampler's memory holds the result of a trial."""
        with self.store.writing() as connection:
            connection.execute(update(trials).where(self._is(number)).values(told=1))

    def untold(self, *, screened: bool = False) -> tuple[TrialRow, ...]:
        """Finished trials that the sampler was not told of, and that no other living worker is about to tell.

        With `screened` also those that wait to be promoted: of them there is nothing to tell while the search screens.
        """
        under_way = ("running",) if screened else ("running", "screened")
        with self.store.reading() as connection:
            alive, _ = others(connection, self.id)
            query = self._select().where(trials.c.told == 0, trials.c.state.not_in(under_way))
            rows = connection.execute(query).all()
        return tuple(trial_row(row) for row in rows if row.worker not in alive)

    def strays(self, numbers: Collection[int]) -> tuple[int, ...]:
        """Of trials that the sampler's memory held running before this call, those that nobody will ever enter.

        None while another worker is between asking and entering: one of them may be its.
        """
        with self.store.reading() as connection:
            alive, _ = others(connection, self.id)
            if any(other.asking == self.study for other in alive.values()):
                return ()
            known = connection.execute(
                select(trials.c.number).where(trials.c.study == self.study, trials.c.number.in_(numbers))
            ).scalars()
            return tuple(sorted(set(numbers).difference(known)))

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction that no other worker of the study is in: SQLite locks the file, others lock the row."""
        studies = schema.studies
        with self.store.writing() as connection:
            connection.execute(select(studies.c.name).where(studies.c.name == self.study).with_for_update())
            yield connection

    def _claim(self, connection: Connection, row: Row[Any]) -> Claimed | GivenUp:
        finished = self._stages(connection, row.number)
        died = row.worker is not None  # a trial that was put back has no worker: nothing died
        stalled = (row.stalled if finished == row.stages_before else 0) + (1 if died else 0)
        if stalled > _DEATHS_ALLOWED:
            reason = f"its worker died {stalled} times in a row before it could finish a stage (out of memory?)"
            change: dict[str, Any] = {
                "state": "failed",
                "failure_kind": "worker_died",
                "failure_reason": reason,
                "finished": stamp(connection),
            }
        else:
            change = {"attempts": row.attempts + 1, "started": stamp(connection)}
        connection.execute(update(workers).where(workers.c.id == self.id).values(asking=None))
        connection.execute(
            update(trials)
            .where(self._is(row.number))
            .values(worker=self.id, stalled=stalled, stages_before=finished, **change)
        )
        trial = self._trial(connection, row.number)
        return GivenUp(trial) if trial.state == "failed" else Claimed(trial)

    def _stages(self, connection: Connection, number: int) -> int:
        """How many stages a trial has finished."""
        done = schema.stages.c
        query = select(func.count()).where(done.study == self.study, done.trial == number)
        return int(connection.execute(query).scalar_one())

    def _select(self) -> Any:
        return trials_with_origin().where(trials.c.study == self.study).order_by(trials.c.number)

    def _is(self, number: int) -> Any:
        return and_(trials.c.study == self.study, trials.c.number == number)

    def _trial(self, connection: Connection, number: int) -> TrialRow:
        return trial_row(connection.execute(trials_with_origin().where(self._is(number))).one())
