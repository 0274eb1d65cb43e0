"""Earlier studies that a new one begins with: their databases are read once, and what counts of them is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segsearch.errors import StudyError, UserError
from segsearch.evidence.objectives import DEAR
from segsearch.judging.reading import open_to_read
from segsearch.search.earlier import NOTHING, Earlier, Known, Source, drawable, gathered
from segsearch.space.candidate import Named
from segsearch.space.draws import DrawCandidate
from segsearch.space.keys import as_stored, from_json, to_json
from segsearch.store import Store, StudyRow, TrialRow
from segsearch.store.location import database_in, is_url, shown
from segsearch.study import Study, flat
from segsearch.workshop import Artifacts

# Where or how fast a training runs, not what it finds.
_NO_RECIPE = frozenset({"device", "threads"})


@dataclass(frozen=True)
class Found:
    """An earlier study, as messages name it: its trained models, and those of them that this one's space draws."""

    name: str
    row: StudyRow
    trained: tuple[TrialRow, ...]
    drawn: tuple[Known, ...]


def read_earlier(study: Study, draw: DrawCandidate, *, own: str) -> list[Found]:
    """The studies of the databases that `search.after` names; `own` is this study's database.

    Raises `StudyError` where one cannot be read, or this study's space draws none of its models.
    """
    found = list[Found]()
    for where in study.search.after:
        if _same_file(where, own):
            raise StudyError(f"search.after: {shown(where)} is this study's own database; name those of earlier ones.")
        try:
            with open_to_read(where) as store:
                here = [
                    _found(store, row, draw, where)
                    for row in store.studies()
                    if row.name != study.name or not is_url(where)
                ]
        except UserError as error:
            raise StudyError(f"search.after: {error}") from None
        if not any(one.drawn for one in here):
            count = sum(len(one.trained) for one in here)
            why = f"{study.space} draws none of its {count} models" if count else "it has no trained model with a mIoU"
            raise StudyError(
                f"search.after: {shown(where)} has nothing for {study.name}: {why}. "
                "Name a study of this space, or leave it out."
            )
        found += here
    return found


def _found(store: Store, row: StudyRow, draw: DrawCandidate, where: str) -> Found:
    trained = tuple(trial for trial in store.trials(row.name, ["trained"]) if DEAR in trial.values)
    name = row.name if is_url(where) else f"{shown(where)} ({row.name})"
    return Found(name, row, trained, tuple(drawable(draw, trained)))


def settled_earlier(
    found: Sequence[Found], study: Study, draw: DrawCandidate, *, data_key: str, machine: str
) -> Earlier:
    """What a study takes from them: models whose data, recipe and machine are its own count more."""
    taken = [as_stored(draw(Named(choices))).key for choices in study.search.first]
    pairs = []
    for place, one in enumerate(found):
        its = one.row.study
        size = (its.data.height, its.data.width) == (study.data.height, study.data.width)
        machines = {trial.machine for trial in one.trained}
        source = Source(
            one.name,
            models=len(one.trained),
            drawable=len(one.drawn),
            data=size and one.row.data_key == data_key,
            recipe=_recipe(its) == _recipe(study),
            machine=size and machines == {machine} and _timing(its) == _timing(study),
        )
        pairs.append((source, [replace(known, source=place) for known in one.drawn]))
    return gathered(pairs, study, taken)


def _recipe(study: Study) -> dict[str, Any]:
    """How a study trains, but for where and how fast."""
    return {key: value for key, value in flat(study.train.model_dump()).items() if key not in ("device", "threads")}


def _timing(study: Study) -> tuple[object, ...]:
    return study.output, study.timing.threads, study.timing.state


def _same_file(where: str, own: str) -> bool:
    if is_url(where) or is_url(own):
        return False
    return database_in(Path(where)).resolve() == database_in(Path(own)).resolve()


def keep_earlier(
    found: Sequence[Found], study: Study, draw: DrawCandidate, artifacts: Artifacts, *, data_key: str, machine: str
) -> str | None:
    """The artifact that holds what a study takes from earlier ones; None where it names none."""
    if not found:
        return None
    earlier = settled_earlier(found, study, draw, data_key=data_key, machine=machine)
    return artifacts.keep_bytes(to_json(earlier).encode(), ".json")


def earlier_of(row: StudyRow) -> Earlier:
    """What a stored study took from earlier ones. Raises `DatabaseError` where the artifact is gone."""
    if row.earlier is None:
        return NOTHING
    return from_json(Earlier, row.artifacts.verified(row.earlier).read_text(encoding="utf-8"))
