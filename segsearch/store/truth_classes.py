"""How a mIoU of schema 7 and before becomes one over the classes of the truth, wherever it stands.

It was the mean over classes that the truth or the prediction held, so that models of one study were scored over
different sets where the validation split lacks a class. A study that is carried on must not mix the two.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, column, delete, inspect, select, table, update

from segsearch.evidence.images import PerImage
from segsearch.evidence.types import Confusion
from segsearch.space.keys import from_json
from segsearch.store.put import put
from segsearch.store.schema import confirmations, evidence, spreads, stages, studies, trials
from segsearch.store.spreads import images_of, over_images, put_spread
from segsearch.study import load_study

NO_COUNTS = "scored over predicted classes too by an earlier version, which kept no counts to tell it anew"

# Optuna's own tables, as far as they hold what it was told.
_STUDIES = table("studies", column("study_id"), column("study_name"))
_TRIALS = table("trials", column("trial_id"), column("study_id"), column("number"))
_VALUES = table("trial_values", column("trial_id"), column("objective"), column("value"))
_ATTRIBUTES = table("trial_system_attributes", column("trial_id"), column("key"), column("value_json"))


def score_classes_of_the_truth(connection: Connection) -> None:
    """Tell every stored mIoU over the classes of the truth: trials, intervals, seeds, and what the sampler was told.

    They are counted anew, from counts that every trial and every seed has. A trial whose counts are gone keeps its
    number and says why it does not compare; a seed whose counts are gone is forgotten, and `confirm` makes it again. Of
    a teacher no counts were kept: its number is told as what it is. Where the split has every class, nothing changes.
    """
    for name in connection.execute(select(studies.c.name)).scalars().all():
        found = _counts_of(connection, name)
        lacks = [_lacks_a_class(confusion) for confusion in found.values()]
        if lacks and not any(lacks):
            continue
        changed = {number: counts.miou for number, counts in found.items() if former_miou(counts) != counts.miou}
        for number, miou in changed.items():
            _rescore(connection, name, number, miou)
        _tell_anew(connection, name, changed)
        _mark_uncounted(connection, name, known=found.keys())
        _rescore_seeds(connection, name)
        _mark_teachers(connection, name)


def former_miou(confusion: Confusion) -> float:
    """The mean over the classes that the truth or the prediction holds."""
    scores = [hits / (truth + said - hits) for hits, truth, said in confusion.sums if truth + said]
    return sum(scores) / len(scores) if scores else math.nan


def _lacks_a_class(confusion: Confusion) -> bool:
    return any(truth == 0 for _, truth, _ in confusion.sums)


def _counts_of(connection: Connection, study: str) -> dict[int, Confusion]:
    """The counts of each trial that has any; those of a split that is all void say nothing."""
    found = {}
    for row in connection.execute(select(evidence.c.trial, evidence.c.json).where(evidence.c.study == study)):
        confusion = json.loads(row.json).get("confusion")
        if confusion is not None:
            counts = from_json(Confusion, json.dumps(confusion))
            if any(map(any, counts.counts)):
                found[row.trial] = counts
    return found


def _rescore(connection: Connection, study: str, number: int, miou: float) -> None:
    """Write a trial's mIoU, and its interval where the counts of its images were kept."""
    here = (trials.c.study == study, trials.c.number == number)
    values = json.loads(connection.execute(select(trials.c["values"]).where(*here)).scalar_one())
    if "miou" in values:
        text = json.dumps(values | {"miou": miou}, sort_keys=True, allow_nan=False)
        connection.execute(update(trials).where(*here).values(values=text))
    images = images_of(connection, study, number)
    if images is not None:
        put_spread(connection, study, number, images)


def _tell_anew(connection: Connection, study: str, changed: Mapping[int, float]) -> None:
    """Change what the sampler was told of these trials, and of the duplicates that taught as they did."""
    if not changed or not all(inspect(connection).has_table(one.name) for one in (_STUDIES, _TRIALS, _VALUES)):
        return
    query = select(studies.c.settings).where(studies.c.name == study)
    settings = load_study(connection.execute(query).scalar_one())
    twins = select(trials.c.number, trials.c.twin).where(trials.c.study == study, trials.c.state == "duplicate")
    again = {row.number: changed[row.twin] for row in connection.execute(twins) if row.twin in changed}
    of_study = select(_TRIALS.c.number, _TRIALS.c.trial_id).join(_STUDIES, _STUDIES.c.study_id == _TRIALS.c.study_id)
    ids = {row.number: row.trial_id for row in connection.execute(of_study.where(_STUDIES.c.study_name == study))}
    limits = [limit for limit in settings.bounds if limit.objective == "miou"]
    for number, miou in (dict(changed) | again).items():
        if number not in ids:
            continue
        if "miou" in settings.objectives:
            here = (_VALUES.c.trial_id == ids[number], _VALUES.c.objective == settings.objectives.index("miou"))
            connection.execute(update(_VALUES).where(*here).values(value=miou))
        for limit in limits:
            here = (_ATTRIBUTES.c.trial_id == ids[number], _ATTRIBUTES.c.key == f"constraints:{limit}")
            connection.execute(update(_ATTRIBUTES).where(*here).values(value_json=json.dumps(limit.excess(miou))))


def _mark_uncounted(connection: Connection, study: str, *, known: Any) -> None:
    """Trials that have a mIoU and no counts say so where their interval would stand."""
    query = select(trials.c.number).where(trials.c.study == study, trials.c["values"].like('%"miou"%'))
    nothing = {"low": None, "high": None, "resampled": None, "images": None}
    for number in connection.execute(query).scalars().all():
        if number not in known:
            put(connection, spreads, {"study": study, "trial": number}, nothing | {"reason": NO_COUNTS})


def _rescore_seeds(connection: Connection, study: str) -> None:
    """What was scored from other seeds: its counts lie in the stage that made them, known by the mIoU of then."""
    where = (stages.c.study == study, stages.c.name == "score")
    outcomes = [json.loads(text) for text in connection.execute(select(stages.c.outcome).where(*where)).scalars()]
    counted = [(from_json(Confusion, str(outcome["confusion"])), outcome.get("images")) for outcome in outcomes]
    for row in connection.execute(select(confirmations).where(confirmations.c.study == study)).all():
        here = [getattr(confirmations.c, name) == getattr(row, name) for name in ("study", "trial", "seed")]
        # Sums of floats differ in the last digit between versions of Python.
        fits = [one for one in counted if math.isclose(former_miou(one[0]), row.miou, rel_tol=1e-12)]
        if len({counts.miou for counts, _ in fits}) != 1:
            connection.execute(delete(confirmations).where(*here))
            continue
        counts, images = fits[0]
        low, high = over_images(None if images is None else from_json(PerImage, str(images)))
        connection.execute(update(confirmations).where(*here).values(miou=counts.miou, low=low, high=high))


def _mark_teachers(connection: Connection, study: str) -> None:
    """A teacher's mIoU of then is told under another name, unless its counts were kept."""
    where = (stages.c.study == study, stages.c.name == "teacher")
    for row in connection.execute(select(stages.c.key, stages.c.outcome).where(*where)).all():
        outcome = json.loads(row.outcome)
        if outcome.get("miou") is not None and "confusion" not in outcome:
            text = json.dumps(outcome | {"miou": None, "former_miou": outcome["miou"]}, sort_keys=True)
            connection.execute(update(stages).where(*where, stages.c.key == row.key).values(outcome=text))
