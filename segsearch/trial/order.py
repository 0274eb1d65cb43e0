"""What the process that trains is told of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from segsearch.settings.texts import Texts
from segsearch.space.keys import to_json
from segsearch.space.load import Space
from segsearch.store import StudyRow
from segsearch.store.given import TEACHER, UNLABELLED
from segsearch.study import Study, dump_study
from segsearch.trial.child import Task
from segsearch.trial.types import teacher_of
from segsearch.workshop import Artifacts, cache_of

if TYPE_CHECKING:
    from segsearch.datasets import Dataset
    from segsearch.evidence.timing import Machine


def order_of_row(row: StudyRow, study: Study, space: Space, dataset: Dataset, machine: Machine) -> Task:
    """What the process that trains is told of a stored study, as it is carried out now."""
    return order_of(
        study,
        space,
        dataset,
        machine,
        cache=cache_of(row.artifacts.folder.parent),
        artifacts=row.artifacts,
        texts=row.texts,
        start=row.start,
        given=row.given,
    )


def order_of(
    study: Study,
    space: Space,
    dataset: Dataset,
    machine: Machine | None,
    *,
    cache: Path,
    artifacts: Artifacts,
    texts: Texts | None = None,
    start: str | None = None,
    given: Mapping[str, str] = MappingProxyType({}),
) -> Task:
    """What the process that trains is told of a study."""
    teacher = teacher_of(study, space.draw, classes=len(dataset.classes), start=start, given=given.get(TEACHER))
    return Task(
        study=dump_study(study),
        teacher=None if teacher is None else to_json(teacher),
        machine=None if machine is None else to_json(machine),
        cache=str(cache),
        data_key=dataset.key,
        artifacts=str(artifacts.folder),
        texts=texts,
        start=start,
        unlabelled=given.get(UNLABELLED),
    )
