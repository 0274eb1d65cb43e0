"""Wiring: a study file or a database becomes a running search. The heavy rooms are imported when they are needed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from segsearch.errors import StudyError
from segsearch.evidence.objectives import demand_sense
from segsearch.judging.earlier import earlier_of, keep_earlier, read_earlier
from segsearch.settings.texts import Texts, carried_on, texts_of
from segsearch.space.draws import demand_point, settled
from segsearch.space.load import Space, load_space, space_from_source
from segsearch.store import Store, StudyRow, open_store
from segsearch.store.location import is_url
from segsearch.study import Study, as_begun, search_with
from segsearch.trial.brought import brought
from segsearch.trial.order import order_of_row
from segsearch.trial.types import facts_of, teacher_of
from segsearch.workshop import Artifacts, Progress, cache_of, make_folder

if TYPE_CHECKING:
    from segsearch.datasets import Dataset
    from segsearch.evidence.timing import Machine
    from segsearch.search import Event, Summary


@dataclass(frozen=True)
class Ended:
    """How a search ended, and the database (as it was named, with its password) and study that hold it."""

    database: str = field(repr=False)
    study: str
    machine: str
    summary: Summary


def default_out(study: Study) -> Path:
    return Path("runs") / study.name


def database_of(study: Study, *, out: Path | None, db: str | None) -> str:
    """Where `run` keeps a study: `db` where it is given, else `study.db` in its folder."""
    return db if db is not None else str((out or default_out(study)) / "study.db")


def run(
    study: Study,
    *,
    data: Path | None,
    out: Path | None,
    db: str | None = None,
    trials: int | None,
    search: Mapping[str, Any] = MappingProxyType({}),
    minutes: float | None,
    machine: str | None,
    progress: Progress,
    on_event: Callable[[Event], None],
) -> Ended:
    """Search as a study says, from the start or from where its database stands."""
    study = adjusted(study, data=data, trials=trials, search=search)
    space = load_space(study.space)
    folder = out if out is not None else default_out(study)
    make_folder(folder)
    database = database_of(study, out=out, db=db)
    artifacts = Artifacts(folder.resolve() / "artifacts")
    if is_url(database) or Path(database).exists():
        with open_store(database, create=True) as store:  # what cannot be used is refused before images are decoded
            store.demand_shared(study.name, artifacts.folder)
            study, space, texts = under_way(store, study, artifacts, space)
            begun = begun_as(store, study)
    else:
        demand_sense(study.bounds, where="limits")
        texts = texts_of(study.data)
        begun = None
    classes = classes_of(study, texts)
    start = start_of(study, begun, artifacts, progress, texts)
    check_designs(study, space, classes=classes, start=start)
    draw = settled(space.draw, facts_of(study, classes=classes, start=start))
    found = read_earlier(study, draw, own=database) if begun is None else []
    dataset = open_data(study, folder, progress, texts)
    given = brought(study, begun, artifacts, dataset, cache_of(folder), own=database, texts=texts, progress=progress)
    with open_store(database, create=True) as store:
        here = demand_machine(store, study, machine, progress)
        row = store.begin_study(
            study,
            artifacts=artifacts.folder,
            space=artifacts.keep_bytes(space.source.encode(), ".py"),
            data_key=dataset.key,
            texts=keep_texts(artifacts, texts),
            start=start,
            given=given,
            earlier=keep_earlier(found, study, draw, artifacts, data_key=dataset.key, machine=here.key),
        )
        summary = _search(store, row, space, dataset, here, minutes=minutes, progress=progress, on_event=on_event)
    return Ended(database, row.name, here.key, summary)


def resume(
    where: str,
    *,
    name: str | None,
    data: Path | None,
    trials: int | None,
    search: Mapping[str, Any] = MappingProxyType({}),
    minutes: float | None,
    machine: str | None,
    progress: Progress,
    on_event: Callable[[Event], None],
) -> Ended:
    """Carry on from a database and its artifacts alone."""
    with open_store(where) as store:
        row = store.study(name)
        store.demand_shared(row.name, row.artifacts.folder)
        study = adjusted(row.study, data=data, trials=trials, search=search)
        here = demand_machine(store, study, machine, progress)
        space = stored_space(row)
        texts = row.texts or texts_of(study.data)
        dataset = open_data(study, row.artifacts.folder.parent, progress, texts)
        cache = cache_of(row.artifacts.folder.parent)
        given = brought(study, row, row.artifacts, dataset, cache, own=where, texts=texts, progress=progress)
        row = store.begin_study(
            study,
            artifacts=row.artifacts.folder,
            space=row.space,
            data_key=dataset.key,
            texts=keep_texts(row.artifacts, texts),
            start=row.start,
            given=given,
        )
        summary = _search(store, row, space, dataset, here, minutes=minutes, progress=progress, on_event=on_event)
    return Ended(where, row.name, here.key, summary)


def machine_here(store: Store, study: Study, progress: Progress) -> Machine:
    """This machine as the study times on it, with the reference times that its database knows already."""
    from segsearch.latency.measure import machine_for
    from segsearch.runtimes import RUNTIMES

    progress("machine", 0, 1)
    timing = study.timing
    runtime = RUNTIMES["onnxruntime"]
    known = store.machines()
    return machine_for(runtime, threads=timing.threads, cores=timing.cores, known=known, progress=progress)


def demand_machine(store: Store, study: Study, wanted: str | None, progress: Progress) -> Machine:
    """This machine, where the study may go on here: latencies of two machines never meet in one front.

    Raises `StudyError` where trained models were timed on others alone and `wanted` does not name this one.
    """
    here = machine_here(store, study, progress)
    if wanted is not None and not (wanted and (here.key.startswith(wanted) or here.had(wanted))):
        raise StudyError(f"--machine must name this machine, {here.short}, to go on here; got {wanted!r}.")
    trained = {trial.number for trial in store.trials(study.name, ["trained"])}
    timings = [timing for timing in store.timings(study.name) if timing.trial in trained]
    elsewhere = trained - {timing.trial for timing in timings if timing.machine == here.key}
    if elsewhere and wanted is None:
        there = shlex.quote(store.where) + (f" --study {study.name}" if store.location.file is None else "")
        names = ", ".join(sorted({timing.machine[:8] for timing in timings if timing.machine != here.key}))
        raise StudyError(
            f"{len(elsewhere)} models of {study.name} were timed on another machine ({names}), and latencies of two do "
            f"not compare; this one is {here.short}. `segsearch remeasure {there}` times them here, or go on "
            f"with --machine {here.short}."
        )
    return here


def adjusted(
    study: Study,
    *,
    data: Path | None,
    trials: int | None = None,
    search: Mapping[str, Any] = MappingProxyType({}),
) -> Study:
    """The study with what the command line says instead, of its `[search]`, too. Raises `StudyError`."""
    changes: dict[str, Any] = {}
    if trials is not None:
        changes["trials"] = trials
    if any(value is not None for value in search.values()):
        changes["search"] = search_with(study.search, search)
    if data is not None:
        if study.data.kind != "folders":
            raise StudyError(f"--data is for studies of a folder, and this one's data.kind is {study.data.kind!r}.")
        changes["data"] = study.data.model_copy(update={"root": str(data.expanduser().resolve())})
    return study.model_copy(update=changes)


def classes_of(study: Study, texts: Texts) -> int:
    """How many classes a study's data has, before an image is read. Raises `DataError`."""
    from segsearch import datasets

    return len(datasets.classes_of(study.data, texts))


def check_designs(study: Study, space: Space, *, classes: int | None = None, start: str | None = None) -> None:
    """The teacher and the first designs must be points of the space. Raises `StudyError` before anything is trained."""
    facts = facts_of(study, classes=classes, start=start)
    if study.teacher is not None and study.teacher.choices is not None:
        demand_point("teacher.choices", study.teacher.choices, space.draw, replace(facts, has_teacher=False))
    for index, choices in enumerate(study.search.first):
        demand_point(f"search.first.{index}", choices, space.draw, facts)
    if study.teacher is not None and study.teacher.first is not None:
        teacher_of(study, space.draw, classes=classes, start=start)


def stored_space(row: StudyRow) -> Space:
    """The space as it was when the study began: the copy among the artifacts, whole or refused."""
    path = row.artifacts.verified(row.space)
    return space_from_source(path.read_text(encoding="utf-8"), name=row.study.space)


def under_way(store: Store, study: Study, artifacts: Artifacts, space: Space) -> tuple[Study, Space, Texts]:
    """A study, its space and its lists as they began, where they did: an update of segsearch changes no study under
    way, and where its lists lie does not matter.

    A built-in space is read where the files lie now: a folder may have been moved, or be mounted elsewhere here.
    Raises `StudyError` for limits that no new study may begin with, and for lists that say something else.
    """
    begun = begun_as(store, study)
    if begun is None:
        demand_sense(study.bounds, where="limits")
        return study, space, texts_of(study.data)
    begun = replace(begun, artifacts=artifacts)
    if not study.space.endswith(".py") and artifacts.has(begun.space):
        space = stored_space(begun)
    study = as_begun(study, begun.study)
    kept = begun.texts if begun.kept is not None and artifacts.has(begun.kept) else None
    data, texts = carried_on(study.data, begun.study.data, kept or {})
    return study.model_copy(update={"data": data}), space, texts


def begun_as(store: Store, study: Study) -> StudyRow | None:
    """The study as it was begun in a database; None where it was not."""
    return next((row for row in store.studies() if row.name == study.name), None)


def start_of(
    study: Study, begun: StudyRow | None, artifacts: Artifacts, progress: Progress, texts: Texts
) -> str | None:
    """The artifact of what a study begins with, pretrained weights or a network of somebody's own: that which it began
    with, or what its words mean now.

    Raises `StudyError` where there is none or it cannot be read.
    """
    if study.network is not None:
        from segsearch.own.start import keep_network

        known = begun.start if begun is not None else None
        return keep_network(study.network, artifacts, begun=known, classes=classes_of(study, texts))
    pretrained = study.train.pretrained
    if pretrained == "none":
        return None
    kept = begun.start if begun is not None and begun.study.train.pretrained == pretrained else None
    if kept is not None and artifacts.has(kept):
        return kept
    from segsearch.trial.start import keep_start

    return keep_start(pretrained, artifacts, progress=progress)


def open_data(study: Study, folder: Path, progress: Progress, texts: Texts | None = None) -> Dataset:
    """The study's data, decoded into a cache that all runs beside `folder` share; by the lists that a run has kept."""
    from segsearch.datasets import open_dataset

    return open_dataset(study.data, cache=cache_of(folder), progress=progress, texts=texts)


def keep_texts(artifacts: Artifacts, texts: Texts) -> str | None:
    """The artifact with a study's lists; None where it names none."""
    return artifacts.keep_bytes(json.dumps(texts, sort_keys=True).encode(), ".json") if texts else None


def _search(
    store: Store,
    row: StudyRow,
    space: Space,
    dataset: Dataset,
    here: Machine,
    *,
    minutes: float | None,
    progress: Progress,
    on_event: Callable[[Event], None],
) -> Summary:
    from segsearch.search import run_search
    from segsearch.trial.contained import contained

    row.artifacts.sweep()
    here = store.keep_machine(here)
    classes, start = len(dataset.classes), row.start
    facts = (facts_of(row.study, classes=classes, start=start, taught=taught) for taught in (True, False))
    draw, alone = (settled(space.draw, known) for known in facts)
    order = order_of_row(row, row.study, space, dataset, here)
    with contained(order, progress=progress) as child:
        return run_search(
            store,
            row.name,
            draw=draw,
            alone=alone,
            teach=child.teach,
            evaluate=child.evaluate,
            gate=child.gate,
            finish=child.finish,
            earlier=earlier_of(row),
            minutes=minutes,
            machine=here.key,
            on_event=on_event,
        )
