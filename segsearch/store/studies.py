"""The row of a study: begun once, then carried on by workers that ask for the same and share its files."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select, update

from segsearch.errors import DatabaseError, StudyError
from segsearch.settings.retrain import RetrainSettings
from segsearch.store import schema
from segsearch.store.clock import stamp
from segsearch.store.earlier import earlier_in, put_earlier
from segsearch.store.given import Given, demand_given, given_of, put_given
from segsearch.store.lease import all_workers, is_alive
from segsearch.store.location import Location
from segsearch.store.put import put_first
from segsearch.store.rows import StudyRow
from segsearch.store.siblings import trained_in
from segsearch.study import Study, as_begun, dump_study, flat, load_study
from segsearch.workshop import Artifacts, raise_if_full

# What may differ where a study is carried on: it changes how many trials or where they run, never what they are. The
# same pixels, source and weights may lie elsewhere; another number of `timing.cores` is another machine.
MAY_CHANGE = frozenset(
    {
        "trials",
        "search.give_up_after",
        "search.references",
        "search.proposals",
        "search.screen",
        "search.sibling_gain",
        "search.siblings",
        "search.stop",
        "search.stop_gain",
        "search.tails",
        "train.device",
        "train.threads",
        "timing.cores",
        "data.root",
        "space",
        "train.pretrained",
        "data.unlabelled",
        "teacher.file",
        "teacher.database",
        "network.file",
        *(f"retrain.{name}" for name in RetrainSettings.model_fields),
    }
)
_MARKER = "A study's workers know by this file that they share this folder. Keep it beside the others.\n"


@dataclass(frozen=True)
class Named:
    """What a study is named by beside its settings: the artifacts of its space's source, of its lists, of its
    pretrained weights and of what a new one knows of earlier studies, the key of its data, and what else it was given.
    """

    space: str
    data_key: str
    texts: str | None
    start: str | None
    given: Given = field(default_factory=dict)
    earlier: str | None = None


def begin(connection: Connection, location: Location, study: Study, artifacts: Path, named: Named) -> None:
    """Store a new study, or check that the stored one asks for the same, and update what may change."""
    table = schema.studies
    folder = _portable(location, artifacts)
    new = {
        "settings": dump_study(study),
        "space": named.space,
        "data_key": named.data_key,
        "artifacts": folder,
        "created": stamp(connection),
    }
    if put_first(connection, table, {"name": study.name}, new):
        if named.earlier is not None:
            put_earlier(connection, study.name, named.earlier)
    else:
        row = connection.execute(select(table).where(table.c.name == study.name).with_for_update()).one()
        query = select(schema.starts.c.artifact).where(schema.starts.c.study == study.name)
        start, given = (
            connection.execute(query).scalar_one_or_none(),
            given_of(connection, [study.name]).get(study.name),
        )
        stored = study_row(row, location, start=start, given=given)
        study = as_begun(study, stored.study)
        demand_same(stored, study, named, where=location.shown)
        if location.file is None:
            _demand_shared(connection, location, stored, artifacts)
        put_settings(connection, study)
        connection.execute(update(table).where(table.c.name == study.name).values(artifacts=folder))
    for kept, artifact in ((schema.texts, named.texts), (schema.starts, named.start)):
        if artifact is not None:
            put_first(connection, kept, {"study": study.name}, {"artifact": artifact})
    put_given(connection, study.name, named.given)
    if location.file is None:
        _mark_folder(connection, study.name, artifacts)


def demand_shared(connection: Connection, location: Location, name: str, artifacts: Path) -> None:
    """Raise `DatabaseError` where a study of that name has its artifacts in another folder, or on another disk."""
    table = schema.studies
    row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
    if row is not None and location.file is None:
        _demand_shared(connection, location, study_row(row, location), artifacts)


def _demand_shared(connection: Connection, location: Location, stored: StudyRow, artifacts: Path) -> None:
    """Two hosts may have a folder of the same name each: the file that the first worker left tells them apart."""
    table = schema.folders
    token = connection.execute(select(table.c.token).where(table.c.study == stored.name)).scalar_one_or_none()
    folder, known = artifacts.resolve(), stored.artifacts.folder
    if token is not None and not (folder / _marker(token)).is_file():
        raise DatabaseError(
            f"{location.shown}: the workers of a study share one folder of artifacts; {folder} on this host is not the "
            f"one that {stored.name} has at {known}. Mount that one here and name it with --out."
        )
    trials = schema.trials.c
    holders = connection.execute(
        select(trials.worker).where(trials.study == stored.name, trials.state == "running", trials.worker.is_not(None))
    ).scalars()
    if folder != known and {row.id for row in all_workers(connection) if is_alive(row)} & set(holders):
        raise DatabaseError(
            f"{location.shown}: all workers of a study name its folder alike; those at work on {stored.name} have "
            f"{known}, this one has {folder}. Mount it there and name it with --out."
        )


def _mark_folder(connection: Connection, study: str, artifacts: Path) -> None:
    table = schema.folders
    put_first(connection, table, {"study": study}, {"token": uuid.uuid4().hex})
    token = connection.execute(select(table.c.token).where(table.c.study == study)).scalar_one()
    marker = artifacts / _marker(token)
    try:
        if not marker.is_file():
            artifacts.mkdir(parents=True, exist_ok=True)
            marker.write_text(_MARKER)
    except OSError as error:
        raise_if_full(error, artifacts)
        raise DatabaseError(
            f"{artifacts}: artifacts need a folder that can be written: {error.strerror}; choose another --out."
        ) from None


def _marker(token: str) -> str:
    return f"shared-{token}.txt"


def study_rows(connection: Connection, location: Location) -> tuple[StudyRow, ...]:
    """All studies, oldest first."""
    rows = connection.execute(select(schema.studies).order_by(schema.studies.c.created)).all()
    texts, starts = (
        {row.study: row.artifact for row in connection.execute(select(table))}
        for table in (schema.texts, schema.starts)
    )
    given, earlier = given_of(connection, [row.name for row in rows]), earlier_in(connection)
    return tuple(
        study_row(
            row,
            location,
            kept=texts.get(row.name),
            start=starts.get(row.name),
            given=given.get(row.name),
            earlier=earlier.get(row.name),
        )
        for row in rows
    )


def study_row(
    row: Row[Any],
    location: Location,
    *,
    kept: str | None = None,
    start: str | None = None,
    given: Given | None = None,
    earlier: str | None = None,
) -> StudyRow:
    """A row of the studies table as the rest of segsearch sees it, with the artifacts that other tables name."""
    folder = Path(row.artifacts)
    if location.file is not None:
        folder = location.file.parent / folder
    return StudyRow(
        name=row.name,
        study=load_study(row.settings),
        space=row.space,
        data_key=row.data_key,
        artifacts=Artifacts(folder),
        created=row.created,
        kept=kept,
        start=start,
        given=given or {},
        earlier=earlier,
    )


def _portable(location: Location, folder: Path) -> str:
    """A folder beside the database is stored relative to it, so that both can be moved together."""
    folder = folder.resolve()
    beside = location.file.resolve().parent if location.file is not None else None
    if beside is None or not folder.is_relative_to(beside):
        return str(folder)
    return os.path.relpath(folder, beside)


def demand_same(stored: StudyRow, study: Study, named: Named, *, where: str) -> None:
    """Raise `StudyError` naming the first thing in which a study differs from the stored one of its name."""
    begun = "A study is carried on as it began;"
    cure = f"Give the changed study another name or --out, or undo the change; {where} keeps what it has."
    if stored.start != named.start and stored.study.network is not None and study.network is not None:
        raise StudyError(
            f"{begun} {study.network.file} holds another network than the one that {study.name} began with. {cure}"
        )
    if stored.start != named.start:
        was, now = stored.study.train.pretrained, study.train.pretrained
        differs = f"train.pretrained of {study.name} was {was!r}, now it is {now!r}, and these are other weights"
        same = f"the weights that train.pretrained = {now!r} of {study.name} means changed"
        raise StudyError(f"{begun} {same if was == now else differs}. {cure}")
    demand_given(stored.given, named.given, name=study.name, begun=begun, cure=cure)
    before, after = flat(stored.study.model_dump()), flat(study.model_dump())
    for key in (*before, *(key for key in after if key not in before)):
        if key not in MAY_CHANGE and before.get(key) != after.get(key):
            differs = f"{key} of {study.name} was {before.get(key)!r}, now it is {after.get(key)!r}"
            raise StudyError(f"{begun} {differs}. {cure}")
    if stored.space != named.space:
        raise StudyError(f"{begun} the source of its space {study.space} changed. {cure}")
    if stored.data_key != named.data_key:
        raise StudyError(f"{begun} the images or masks of {study.name} changed. {cure}")


def put_settings(connection: Connection, study: Study) -> None:
    """Write the settings of a study whose row is locked. One that asks for fewer than are trained asks for these."""
    table, trained = schema.studies, trained_in(connection, study.name)
    enough = study.model_copy(update={"trials": max(study.trials, trained)})
    connection.execute(update(table).where(table.c.name == study.name).values(settings=dump_study(enough)))
