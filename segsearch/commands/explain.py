"""Explain what int8 does to a stored model: which files it was made of, and what was found of them before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segsearch import launch
from segsearch.errors import StudyError, TrialFailed
from segsearch.evidence.layers import Choice, Explained
from segsearch.judging.class_names import class_names
from segsearch.judging.explained import Explanation
from segsearch.judging.fronts import knee_of
from segsearch.judging.reading import open_to_read, report_of
from segsearch.space.candidate import Candidate
from segsearch.space.keys import from_json
from segsearch.store import NO_TRIAL, Store, StudyRow, TrialRow, open_store
from segsearch.store.explanations import explanation_of
from segsearch.store.made import calibrated_of
from segsearch.store.worker import at_work
from segsearch.trial.order import order_of_row

if TYPE_CHECKING:
    from segsearch.progress import Watch


def explain(where: str, *, name: str | None, trial: int | None, data: Path | None, watch: Watch) -> Explanation:
    """What int8 does to a trial's file, found on this machine; what was found here before is not found again.

    Without a `trial` the pick's, else the knee's. Raises `StudyError` where it has no int8 file or the data changed,
    `DatabaseError` where a file is gone or altered.
    """
    with open_to_read(where) as store:
        row = store.study(name)
        chosen = int8_trial(store, row, trial)
        shipped = str(chosen.artifact)
        row.artifacts.verified(shipped)
        evidence = store.evidence(row.name, chosen.number)
        if evidence is None or evidence.confusion is None:
            raise StudyError(f"{store.where}: no evidence is stored of trial {chosen.number}; choose another.")
        classes = len(evidence.confusion.counts)
        names = class_names(row) or tuple(f"class {index}" for index in range(classes))
    with open_store(where) as store:
        found = _found(store, row, chosen, data, watch)
    return Explanation(chosen.number, chosen.candidate, found, evidence.confusion, names)


def int8_trial(store: Store, row: StudyRow, number: int | None) -> TrialRow:
    """The trial that is meant where it ships int8, else one that ships the same network in int8.

    Raises `StudyError` where there is none.
    """
    trained = store.trials(row.name, ["trained"])
    if number is None:
        number = _chosen(store, row)
    wanted = next((one for one in trained if one.number == number), None)
    if wanted is None:
        known = ", ".join(str(one.number) for one in trained if one.candidate.int8_steps) or "none yet"
        raise StudyError(f"--trial must name a trained trial of {row.name}, and {number} is not one. In int8: {known}.")
    if wanted.candidate.int8_steps:
        return wanted
    others = [one for one in trained if one.candidate.int8_steps and _same_network(one, wanted)]
    if not others:
        raise StudyError(
            f"Trial {number} ships float, and no trial of {row.name} ships that network in int8. `segsearch resume "
            "DB --siblings 8 --sibling-gain 0` makes such files of a training; --trial names another."
        )
    return min(others, key=lambda one: (_is_mixed(one.candidate), one.number))


def _chosen(store: Store, row: StudyRow) -> int:
    picks = store.picks(row.name)
    if picks:
        return picks[-1].pick.trial
    report = report_of(store, row.name, None, None)
    if not report.front:
        raise StudyError(f"{store.where}: study {row.name} has no model to explain yet; `segsearch status` says why.")
    return knee_of(report).trial


def _same_network(one: TrialRow, other: TrialRow) -> bool:
    return (
        replace(one.candidate, after_export=()) == replace(other.candidate, after_export=()) and one.seed == other.seed
    )


def _is_mixed(candidate: Candidate) -> bool:
    return any(step.float_convolutions or step.tolerance is not None or step.tail for step in candidate.int8_steps)


def _found(store: Store, row: StudyRow, chosen: TrialRow, data: Path | None, watch: Watch) -> Explained:
    """What was found on this machine before, or is found now."""
    here = launch.machine_here(store, row.study, watch.progress)
    shipped = str(chosen.artifact)
    known = explanation_of(store, row.name, shipped, machine=here.key)
    if known is not None:
        return known
    study = launch.adjusted(row.study, data=data)
    store.demand_shared(row.name, row.artifacts.folder)
    row.artifacts.demand_writable()
    dataset = launch.open_data(study, row.artifacts.folder.parent, watch.progress, row.texts)
    if dataset.key != row.data_key:
        raise StudyError(
            f"A model is explained on the data that it was trained on, and the images or masks of {row.name} changed. "
            "Undo the change, or name the folder that has them with --data."
        )
    from segsearch.trial.contained import contained

    here = store.keep_machine(here)
    order = order_of_row(row, study, launch.stored_space(row), dataset, here)
    calibrated, floats = calibrated_of(store, row.name, shipped), tuple(dict.fromkeys(float_files(store, row, chosen)))
    choice = _choice(store, row.name, shipped)
    with at_work(store, row.name) as worker, contained(order, progress=watch.progress) as child:
        workshop = store.workshop(row.name, NO_TRIAL, worker=worker.id)
        try:
            return child.explain(
                chosen.candidate, shipped, workshop, calibrated=calibrated, floats=floats, choice=choice
            )
        except TrialFailed as why:
            raise StudyError(f"Trial {chosen.number} could not be explained: {why}") from why


def float_files(store: Store, row: StudyRow, chosen: TrialRow) -> Iterator[str]:
    """The float files that a trial's int8 file may have been made of, the likeliest first."""
    for one in store.trials(row.name, ["trained"]):
        if not one.candidate.after_export and _same_network(one, chosen) and one.artifact is not None:
            yield one.artifact
    mine = [one for one in store.stages(row.name, name="export") if one.trial == chosen.number]
    for stage in (*mine, *store.stages(row.name, name="export")):
        yield str(stage.outcome["model"])


def _choice(store: Store, study: str, shipped: str) -> Choice | None:
    """How the layers in float of a file were chosen, where that was measured."""
    tails = store.stages(study, name="quantize-train")
    begun = next((str(one.outcome["calibrated"]) for one in tails if one.outcome["model"] == shipped), shipped)
    kept = (one.outcome for one in store.stages(study, name="keep-in-float"))
    return next((from_json(Choice, str(one["choice"])) for one in kept if one["model"] == begun), None)
