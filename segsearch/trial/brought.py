"""What a study brings along beside its data: a teacher that was trained elsewhere, and images without labels."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from segsearch.errors import StudyError
from segsearch.settings.teacher import TeacherSettings
from segsearch.settings.texts import Texts
from segsearch.store import StudyRow
from segsearch.store.given import TEACHER, UNLABELLED
from segsearch.study import Study
from segsearch.workshop import Artifacts, Progress, sha256_of

if TYPE_CHECKING:
    from segsearch.datasets import Dataset


def brought(
    study: Study,
    begun: StudyRow | None,
    artifacts: Artifacts,
    dataset: Dataset,
    cache: Path,
    *,
    own: str | None,
    texts: Texts | None,
    progress: Progress,
) -> dict[str, str]:
    """What a study is given, as the store keeps it: the teacher's artifact lies among `artifacts` then.

    `own` is the run's own database, where it is there. What a study that was `begun` has kept is taken as it is; its
    file or database may be gone. Raises a `UserError` where something is missing, altered, or suits no such study.
    """
    from segsearch.datasets import open_unlabelled
    from segsearch.trial.given import keep_teacher

    found = dict[str, str]()
    if study.teacher is None:
        return found
    if study.teacher.is_given:
        kept = None if begun is None else _kept(study.teacher, begun, artifacts)
        found[TEACHER] = kept or keep_teacher(study.teacher, dataset.classes, artifacts, own=own, progress=progress)
    unlabelled = open_unlabelled(study.data, cache=cache, progress=progress, texts=texts)
    if unlabelled is not None:
        found[UNLABELLED] = unlabelled.key
    return found


def _kept(settings: TeacherSettings, begun: StudyRow, artifacts: Artifacts) -> str | None:
    """The teacher that a study began with, among `artifacts`; None where it is to be read (again)."""
    name = begun.given.get(TEACHER)
    if name is None or begun.study.teacher is None:
        return None
    if not artifacts.has(name):
        if not begun.artifacts.has(name):
            return None
        artifacts.folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(begun.artifacts.path(name), artifacts.folder / name)
    if settings.file is None:
        return name if settings.words == begun.study.teacher.words else None
    file = Path(settings.file)
    if file.is_file() and sha256_of(file) != Path(name).stem:
        raise StudyError(
            f"{file}: a study is carried on as it began, and the teacher that it began with was altered since. Put "
            "that file back, or give the study another name or --out."
        )
    return name


def words_of(given: Mapping[str, str], settings: TeacherSettings) -> str:
    """Who teaches, in a person's words, with the hash of what was kept of it."""
    kept = given.get(TEACHER)
    return settings.words if kept is None else f"{settings.words} ({Path(kept).stem[:12]})"
