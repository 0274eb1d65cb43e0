"""Train and time networks of the field by a study's own recipe, through the stages of its trials, beside its front."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segsearch import launch
from segsearch.commands.showing import report_of
from segsearch.errors import StudyError, TrialFailed
from segsearch.evidence.objectives import values_of
from segsearch.evidence.timing import Machine
from segsearch.evidence.types import Evidence
from segsearch.judging.fronts import Report
from segsearch.judging.references import chosen_references
from segsearch.judging.words import duration, in_words
from segsearch.references.names import demand_references, known_references, small_references
from segsearch.space.candidate import Candidate
from segsearch.space.steps import Quantize
from segsearch.store import NO_TRIAL, Failure, ReferenceRow, Store, StudyRow, open_store
from segsearch.store.worker import at_work
from segsearch.study import Study
from segsearch.trial.order import order_of_row
from segsearch.workshop import Noted

if TYPE_CHECKING:
    from segsearch.progress import Watch
    from segsearch.trial.contained import Contained

# How a reference ships: as floats, as int8, and as int8 but for its first convolutions, as the built-in spaces draw it.
FORMS: Mapping[str, tuple[Quantize, ...]] = {
    "fp32": (),
    "int8": (Quantize(),),
    "mixed": (Quantize(float_convolutions=3),),
}
# A reference's name, and in which forms it is still to be evaluated.
Left = tuple[str, Mapping[str, Candidate]]


@dataclass(frozen=True)
class Comparing:
    """What came of it: the study on this machine, the chosen references that are there, and those that failed."""

    report: Report
    trained: tuple[ReferenceRow, ...]
    failed: tuple[ReferenceRow, ...]
    files: Path


def compare(
    where: str, *, name: str | None, wanted: Sequence[str], data: Path | None, again: bool, watch: Watch
) -> Comparing:
    """Evaluate what is not stored of the references `wanted`, of the study's own, or of all small ones.

    Each is kept as soon as it is there; what failed is tried once more only with `again`. Raises `StudyError` before
    anything is trained where there is no such reference, no trained trial on this machine, or the data changed.
    """
    with open_store(where) as store:
        row = store.study(name)
        store.demand_shared(row.name, row.artifacts.folder)
        names = chosen_names(row.study, wanted)
        here = _this_machine(store, row, watch)
        _evaluate_all(store, row, names, here, data=data, again=again, watch=watch)
        report = report_of(store, row.name, None, here.key)
        stored = [one for one in store.references(row.name) if one.machine == here.key and one.name in names]
    failed = tuple(one for one in stored if one.state == "failed")
    return Comparing(report, chosen_references(report, names), failed, row.artifacts.folder)


def chosen_names(study: Study, wanted: Sequence[str]) -> tuple[str, ...]:
    """The references that are meant. Raises `StudyError` for a name that is none."""
    if wanted:
        return demand_references(wanted, where="--references")
    if study.search.references:
        return demand_references(study.search.references, where="search.references of the study")
    return small_references()


def candidates_of(name: str) -> Mapping[str, Candidate]:
    """A reference in each of its forms, which share one training."""
    architecture = known_references()[name].make()
    return {form: Candidate(architecture, after_export=steps) for form, steps in FORMS.items()}


def without_limits(study: Study) -> Study:
    """The study as its references are evaluated: no limit turns one away.

    They are timed as its trials are: a percentile among the limits asks for as many samples as it did there.
    """
    asked = dict.fromkeys((*study.objectives, *(limit.objective for limit in study.bounds)))
    return study.model_copy(update={"limits": (), "objectives": tuple(asked)})


def _this_machine(store: Store, row: StudyRow, watch: Watch) -> Machine:
    """This machine, where models of the study were timed: latencies of two machines never meet."""
    trained = {trial.number for trial in store.trials(row.name, ["trained"])}
    if not trained:
        raise StudyError(
            f"{store.where}: study {row.name} has no trained trial to compare with yet; `segsearch status` says why."
        )
    here = launch.machine_here(store, row.study, watch.progress)
    machines = {timing.machine for timing in store.timings(row.name) if timing.trial in trained}
    if here.key not in machines:
        there = shlex.quote(store.where) + (f" --study {row.name}" if store.location.file is None else "")
        names = ", ".join(sorted(key[:8] for key in machines))
        raise StudyError(
            f"The models of {row.name} were timed on another machine ({names}), and latencies of two do not compare; "
            f"this one is {here.short}. Compare there, or time them here: `segsearch remeasure {there}`."
        )
    return store.keep_machine(here)


def _evaluate_all(
    store: Store,
    row: StudyRow,
    names: Sequence[str],
    here: Machine,
    *,
    data: Path | None,
    again: bool,
    watch: Watch,
) -> None:
    """Evaluate what is not stored yet, one reference after the other; a failure is kept, too."""
    left = _left(store, row, names, here, again=again)
    if not left:
        return
    from segsearch.trial.contained import contained

    study = launch.adjusted(without_limits(row.study), data=data)
    folder = row.artifacts.folder.parent
    dataset = launch.open_data(study, folder, watch.progress, row.texts)
    if dataset.key != row.data_key:
        raise StudyError(
            "References are trained on the data that the trials were trained on, and the images or masks of "
            f"{row.name} changed. Undo the change, or name the folder that has them with --data."
        )
    row.artifacts.sweep()
    order = order_of_row(row, study, launch.stored_space(row), dataset, here)
    with at_work(store, row.name) as worker, contained(order, progress=watch.progress) as child:
        work = _Work(store, row.name, here.key, worker.id, child)
        line, done = "", len(names) - len(left)
        for name, candidates in left:
            failure: Failure | None = None
            for form, candidate in candidates.items():
                what = f"{name}, {form}"
                watch.counted("references", done, len(names), line, running=what)
                failure, told = work.evaluate(name, form, candidate, doomed=failure)
                line = f"{what:<44s} {told}"
            done += 1
        watch.counted("references", done, len(names), line, running="")


def _left(store: Store, row: StudyRow, names: Sequence[str], here: Machine, *, again: bool) -> list[Left]:
    """What is not stored of this machine yet; of another architecture under the same name everything is left."""
    stored = {
        (one.name, one.candidate.key)
        for one in store.references(row.name)
        if one.machine == here.key and not (again and one.state == "failed")
    }
    left = [
        (name, {form: one for form, one in candidates_of(name).items() if (name, one.key) not in stored})
        for name in names
    ]
    return [(name, candidates) for name, candidates in left if candidates]


@dataclass(frozen=True)
class _Work:
    """What all references of one comparison share."""

    store: Store
    study: str
    machine: str
    worker: str
    child: Contained

    def evaluate(
        self, name: str, form: str, candidate: Candidate, *, doomed: Failure | None
    ) -> tuple[Failure | None, str]:
        """Evaluate and keep one reference in one form; what its other ones will fail of, if anything, and a line.

        With `doomed`, that is what this one fails of: a training that failed is not done again for the other forms.
        """
        began = time.monotonic()
        noted = Noted(self.store.workshop(self.study, NO_TRIAL, worker=self.worker))
        found: Evidence | Failure
        try:
            found = doomed or self.child.evaluate(NO_TRIAL, candidate, noted)
        except TrialFailed as why:
            found = Failure(why.kind, str(why))
            doomed = found if noted.in_training else None
        self.store.keep_reference(
            self.study,
            name,
            candidate,
            found,
            precision=form,
            machine=self.machine,
            train_seconds=self._train_seconds(noted.asked.get("train")),
        )
        if isinstance(found, Failure):
            return doomed, f"failed: {found.kind}: {found.reason}"
        values = values_of(found)
        numbers = ", ".join(f"{key} {in_words(key, values[key])}" for key in ("miou", "latency_ms") if key in values)
        return None, f"{numbers}   {duration(time.monotonic() - began)}"

    def _train_seconds(self, key: str | None) -> float | None:
        """What the training of that key took, whoever did it."""
        stages = self.store.stages(self.study, name="train")
        return next((float(stage.outcome.get("seconds", stage.seconds)) for stage in stages if stage.key == key), None)
