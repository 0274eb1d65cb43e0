"""The sampler and its memory: all the Optuna there is, behind `ask` and `tell`."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import BaseModel, StudyModel
from optuna.trial import FixedTrial, FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy import func, inspect, select

from segsearch.errors import DatabaseError, SpaceError
from segsearch.settings.search import SearchSettings
from segsearch.space.draws import DrawCandidate
from segsearch.space.mutate import Params
from segsearch.store import Store, TrialRow
from segsearch.store.database import begin_immediate
from segsearch.store.explain import explained
from segsearch.store.worker import Worker
from segsearch.study import Study

Intervals = Mapping[str, tuple[float, float]]

# Told for a value that was never measured. NSGA-II orders what breaks a constraint by the constraints alone.
_UNKNOWN = 1e12
# Noted of a trial that was added in the place of one that can be told no more: that one's number.
_STANDS_FOR = "segsearch:stands_for"


@dataclass(frozen=True)
class Lesson:
    """What the sampler learns from a trial: a constraint is met where it is at most 0."""

    state: TrialState
    values: tuple[float, ...] | None = None
    constraints: Mapping[str, float] | None = None


def lesson(study: Study, trial: TrialRow, intervals: Intervals) -> Lesson:
    """The lesson of a finished trial; `intervals` are those of its values that have one.

    As a failure a rejected candidate would teach nothing, and TPE would propose it for ever: it is told as pruned with
    its constraints. NSGA-II overlooks pruned trials, so that it is told complete. A failed candidate breaks a
    constraint of its own, which every trial has. A trial that still runs, or was only looked at, teaches nothing.

    A rejected candidate breaks what the gate found broken: with the whole interval. (Earlier versions rejected by the
    value, and what they rejected is told so.) A trained one is told by its values, as its row is judged.
    """
    if trial.state in ("running", "screened"):
        return Lesson(TrialState.FAIL)
    known = [limit for limit in study.bounds if limit.objective in trial.values]
    excess = {limit: limit.excess(trial.values[limit.objective]) for limit in known}
    if trial.state == "rejected":
        sure = {limit: limit.sure_excess(trial.values[name := limit.objective], intervals.get(name)) for limit in known}
        excess = sure if any(over > 0 for over in sure.values()) else excess
    constraints = {str(limit): excess.get(limit, 0.0) for limit in study.bounds}
    constraints["failed"] = 1.0 if trial.state == "failed" else 0.0
    if trial.state != "trained" and study.search.sampler != "nsga2":
        return Lesson(TrialState.PRUNED, None, constraints)
    unknown = {goal.name: -_UNKNOWN if goal.direction == "maximize" else _UNKNOWN for goal in study.goals}
    return Lesson(
        TrialState.COMPLETE, tuple((unknown | dict(trial.values))[name] for name in study.objectives), constraints
    )


def trial_seed(seed: int, number: int) -> int:
    """The sampler's seed for one trial: the study's seed and the trial's number settle it."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big") >> 1


def make_sampler(settings: SearchSettings, *, seed: int, siblings: int = 0) -> BaseSampler:
    """A fresh sampler: everything that it knows it reads from the stored trials, of which so many are siblings."""
    if settings.sampler == "random":
        return RandomSampler(seed=seed)
    # Designs that a study begins with, and siblings, are no random ones: those come on top of them.
    startup = settings.startup_trials + siblings + (len(settings.first) if settings.startup_on_top else 0)
    if settings.sampler == "nsga2":
        # Its first generation is random, as TPE's start is.
        return NSGAIISampler(population_size=max(2, startup), seed=seed)
    with warnings.catch_warnings():
        # `group` is experimental by name only: without it TPE learns nothing about parameters inside a branch.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(n_startup_trials=startup, multivariate=True, group=True, constant_liar=True, seed=seed)


def guessed(draw: DrawCandidate, rows: Sequence[TrialRow], study: Study, *, seed: int) -> Params:
    """All of the space's parameters as TPE guesses them that knows these rows and nothing else; no database is asked.

    What the space does not draw so any more teaches nothing. The random start is no affair of a guess: whoever asks has
    had one, so that neither first designs nor siblings prolong it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = [goal.direction for goal in study.goals]
    start = min(study.search.startup_trials, 10)
    settings = study.search.model_copy(update={"sampler": "tpe", "startup_trials": start, "first": ()})
    known = optuna.create_study(sampler=make_sampler(settings, seed=seed), directions=directions)
    for row in rows:
        learnt, fixed = lesson(study, row, {}), FixedTrial(dict(row.params))
        with suppress(ValueError, SpaceError):
            draw(fixed)
            taught = create_trial(
                state=learnt.state,
                values=learnt.values,
                params=fixed.params,
                distributions=fixed.distributions,
                constraints=dict(learnt.constraints or {}),
            )
            known.add_trial(taught)
    trial = known.ask()
    draw(trial)
    return trial.params


@dataclass(frozen=True)
class Asked:
    """A new trial of the sampler: a `Draw` whose trouble with the database is a `UserError`."""

    trial: Trial
    seed: int
    shown: str

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def params(self) -> dict[str, Any]:
        return self.trial.params

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
        with explained(self.shown):
            return self.trial.suggest_int(name, low, high, step=step)

    def suggest_float(self, name: str, low: float, high: float, /, *, step: float | None = None) -> float:
        with explained(self.shown):
            return self.trial.suggest_float(name, low, high, step=step)

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> Any:
        with explained(self.shown):
            return self.trial.suggest_categorical(name, choices)


@contextmanager
def open_memory(store: Store, study: Study, *, designs: Sequence[Params] = ()) -> Iterator[Memory]:
    """The memory of a stored study, in the store's own database; `designs` follow those that the study begins with.

    Raises `DatabaseError` as the store does.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Optuna makes its tables, its study and what is enqueued in many transactions, and fails where two do so at once.
    with explained(store.where), store.alone():
        storage = _open_storage(store)
        opened = optuna.create_study(
            study_name=study.name,
            storage=storage,
            sampler=RandomSampler(),  # never used: each trial gets its own
            directions=[goal.direction for goal in study.goals],
            load_if_exists=True,
        )
        for choices in (*study.search.first, *designs):
            opened.enqueue_trial(dict(choices), skip_if_exists=True)  # a worker killed here leaves the rest to the next
    try:
        yield Memory(store, study, opened, storage)
    finally:
        storage.remove_session()
        storage.engine.dispose()


@dataclass(frozen=True)
class Memory:
    """Optuna's study, for one worker."""

    store: Store
    study: Study
    optuna_study: optuna.Study
    storage: RDBStorage

    def ask(self) -> Asked:
        """A new trial with a sampler of its own: a sampler's state is not stored, so that it must not have one."""
        with explained(self.store.where):
            trial = self.optuna_study.ask()
        seed = trial_seed(self.study.seed, trial.number)
        # Optuna samples at the first suggestion, not in `ask`.
        siblings = self.store.counts(self.study.name).siblings
        self.optuna_study.sampler = make_sampler(self.study.search, seed=seed, siblings=siblings)
        return Asked(trial, seed, self.store.where)

    def begin(self, draw: DrawCandidate, params: Params) -> int:
        """The number of a new trial that nobody asked for: `params` are all that `draw` asks for."""
        fixed = FixedTrial(dict(params))
        draw(fixed)
        running = create_trial(state=TrialState.RUNNING, params=fixed.params, distributions=fixed.distributions)
        with explained(self.store.where):
            study_id = self.storage.get_study_id_from_name(self.study.name)
            trial_id = self.storage.create_new_trial(study_id, template_trial=running)
            return self.storage.get_trial_number_from_id(trial_id)

    def tell(self, trial: TrialRow, worker: Worker) -> None:
        """Tell of a finished trial, unless that was done, and note that it is told. A duplicate teaches as its twin."""
        teacher = trial if trial.twin is None else self.store.trial(self.study.name, trial.twin)
        timed = self.store.timings(self.study.name, trial=teacher.number) if teacher.state == "rejected" else ()
        intervals = next((timing.intervals for timing in timed if timing.machine == teacher.machine), {})
        self._tell(trial.number, lesson(self.study, teacher, intervals), is_twin=trial.twin is not None)
        worker.told(trial.number)

    def reconcile(self, worker: Worker) -> None:
        """Tell of trials that dead workers kept but did not tell of, and fail those that they never entered.

        Trials that wait to be promoted stay running while the study screens: they become complete once they are
        trained. A study that screens no more fails them, so that a sampler does not take them for trials under way.
        """
        with explained(self.store.where):
            running = self.optuna_study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in worker.untold(screened=not self.study.search.screen):
            self.tell(trial, worker)
        for number in worker.strays([trial.number for trial in running]):
            self._tell(number, Lesson(TrialState.FAIL))

    def _tell(self, number: int, learnt: Lesson, *, is_twin: bool = False) -> None:
        with explained(self.store.where), suppress(UpdateFinishedTrialError):  # where a killed worker had told already
            study_id = self.storage.get_study_id_from_name(self.study.name)
            trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
            there = self.storage.get_trial(trial_id)
            if there.state == TrialState.FAIL and learnt.state == TrialState.COMPLETE:
                # It waited while the study did not screen, which failed it, and was trained once it did again. (A twin
                # of what was running then was told so, by a worker that was killed before it noted that.)
                if not is_twin:
                    self._stand_in(there, learnt)
                return
            trial = Trial(self.optuna_study, trial_id)
            known = trial.constraints
            # In one order in every trial: samplers match constraints by position.
            for name, value in (learnt.constraints or {}).items():
                if name not in known:
                    trial.set_constraint(name, value)
            self.optuna_study.tell(number, learnt.values, state=learnt.state, skip_if_finished=True)

    def _stand_in(self, failed: FrozenTrial, learnt: Lesson) -> None:
        """Teach by one more trial what a failed one can teach no more; once, however often a worker is killed here."""
        stands = {_STANDS_FOR: failed.number}
        complete = self.optuna_study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if any(stands.items() <= one.user_attrs.items() for one in complete):
            return
        self.optuna_study.add_trial(
            create_trial(
                values=learnt.values,
                params=failed.params,
                distributions=failed.distributions,
                constraints=dict(learnt.constraints or {}),
                user_attrs=stands,
            )
        )


def _make_tables(store: Store) -> None:
    """Make Optuna's tables and their indexes, all or none.

    Optuna itself makes one after the other and never looks for the indexes of a table that stands: killed between the
    two, names of studies are not unique, the next worker makes the study a second time, and no worker opens it again.
    What earlier versions left so is mended.
    """
    with explained(store.where), store.engine.begin() as connection:
        studies = StudyModel.__table__
        if inspect(connection).has_table(studies.name):
            first = select(func.min(studies.c.study_id)).group_by(studies.c.study_name)
            connection.execute(studies.delete().where(studies.c.study_id.not_in(first)))
        BaseModel.metadata.create_all(connection)
        for table in BaseModel.metadata.tables.values():
            for index in table.indexes:
                index.create(connection, checkfirst=True)


def _open_storage(store: Store) -> RDBStorage:
    """Optuna's own tables, on the store's connector."""
    _make_tables(store)
    attempts = 5
    while True:
        try:
            storage = RDBStorage(store.location.url, engine_kwargs=dict(store.location.options))
            break
        except Exception as error:
            # Where the disk or the system has no lock for `alone`, two may make the tables: the slower one looks again.
            attempts -= 1
            lost_race = "already exists" in str(error) or "alembic_version" in str(error)
            if lost_race and attempts:
                time.sleep(0.1)
            elif type(error) is RuntimeError:  # tables of another Optuna; its message says which
                raise DatabaseError(f"{store.where}: {error}") from None
            else:
                raise
    if store.location.file is not None:
        begin_immediate(storage.engine)
    return storage
