"""The tables, and how a database of an older schema becomes one of today's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from segsearch.study import ONCE, say

# Optuna keeps `studies` and `trials` of its own in the same database, so ours carry a prefix.
_tables = MetaData()

migrations = Table(
    "segsearch_migrations",
    _tables,
    Column("number", Integer, primary_key=True),
    Column("applied", Float, nullable=False),
)
studies = Table(
    "segsearch_studies",
    _tables,
    Column("name", String(64), primary_key=True),
    Column("settings", Text, nullable=False),
    Column("space", String(80), nullable=False),
    Column("data_key", String(64), nullable=False),
    Column("artifacts", Text, nullable=False),
    Column("created", Float, nullable=False),
)
workers = Table(
    "segsearch_workers",
    _tables,
    Column("id", String(32), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", Float, nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("asking", String(64)),  # the study for which a trial was promised but has no row yet
)
trials = Table(
    "segsearch_trials",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("candidate", Text, nullable=False),
    Column("key", String(64), nullable=False),
    Column("params", Text, nullable=False),
    Column("values", Text, nullable=False),
    Column("artifact", String(80)),
    Column("machine", String(64)),
    Column("failure_kind", String(64)),
    Column("failure_reason", Text),
    Column("twin", Integer),
    Column("seed", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("stages_before", Integer, nullable=False),  # stages it had finished when it was claimed last
    Column("stalled", Integer, nullable=False),  # workers in a row that died on it without finishing a stage
    Column("worker", String(32)),
    Column("told", Integer, nullable=False),  # 1 once the sampler's memory holds the result
    Column("started", Float, nullable=False),
    Column("finished", Float),
    Index("segsearch_trials_by_state", "study", "state"),
    Index("segsearch_trials_by_key", "study", "key"),
    Index("segsearch_trials_by_told", "study", "told"),
)
# Raw counts and samples are large and seldom read: apart, so that a listing does not page through them.
evidence = Table(
    "segsearch_evidence",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("json", Text, nullable=False),
)
# What belongs to a machine, of every trial that was measured there: the first time, or again later.
timings = Table(
    "segsearch_timings",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("machine", String(64), primary_key=True),
    Column("values", Text, nullable=False),
    Column("intervals", Text, nullable=False),
    Column("json", Text, nullable=False),
    Column("taken", Float, nullable=False),
)
stages = Table(
    "segsearch_stages",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("trial", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("finished", Float, nullable=False),
    Index("segsearch_stages_by_trial", "study", "trial"),
)
# Who makes a stage now; the lease is the worker's. Gone once the stage is stored, or could not be made.
claims = Table(
    "segsearch_claims",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("worker", String(32), nullable=False),
)
# On a server: names the file by which a host sees that it shares the study's artifacts.
folders = Table(
    "segsearch_folders",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("token", String(64), nullable=False),
)
# How sure a trial's mIoU is. The counts of each image are large: last, so that a listing does not page through them.
spreads = Table(
    "segsearch_spreads",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("low", Float),
    Column("high", Float),
    Column("reason", Text),  # why there is no interval
    Column("resampled", Text),  # float32, as base64
    Column("images", Text),
)
# Trials that were trained again from other seeds, and what those files scored.
confirmations = Table(
    "segsearch_confirmations",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("seed", Integer, primary_key=True, autoincrement=False),
    Column("miou", Float, nullable=False),
    Column("low", Float),
    Column("high", Float),
    Column("artifact", String(80), nullable=False),
    Column("finished", Float, nullable=False),
)
# Networks of the field, trained and timed by the study's own recipe: beside its trials, never among them. The evidence
# is large: last, so that a listing does not page through it.
references = Table(
    "segsearch_references",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("precision", String(16), primary_key=True),
    Column("machine", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("candidate", Text, nullable=False),
    Column("values", Text, nullable=False),
    Column("intervals", Text, nullable=False),
    Column("artifact", String(80)),
    Column("failure_kind", String(64)),
    Column("failure_reason", Text),
    Column("train_seconds", Float),
    Column("finished", Float, nullable=False),
    Column("low", Float),
    Column("high", Float),
    Column("reason", Text),  # why its mIoU has no interval
    Column("resampled", Text),  # float32, as base64
    Column("json", Text),
)
# The lists that a study names (splits, classes), kept as one artifact so that it goes on where its files are gone.
texts = Table(
    "segsearch_texts",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("artifact", String(80), nullable=False),
)
# The pretrained weights that a study begins with, kept as one artifact.
starts = Table(
    "segsearch_starts",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("artifact", String(80), nullable=False),
)
# Chosen trials that were trained to the end: beside their trials, never among them. The test images' counts are looks
# at them. Evidence and counts are large: last, so that a listing does not page through them.
grown = Table(
    "segsearch_grown",
    _tables,
    Column("study", String(64), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("recipe_key", String(64), primary_key=True),
    Column("seed", Integer, primary_key=True, autoincrement=False),
    Column("machine", String(64), primary_key=True),
    Column("recipe", Text, nullable=False),
    Column("values", Text, nullable=False),
    Column("intervals", Text, nullable=False),
    Column("artifact", String(80), nullable=False),
    Column("train_seconds", Float),
    Column("finished", Float, nullable=False),
    Column("looks", Text, nullable=False),
    Column("test_miou", Float),
    Column("test_low", Float),
    Column("test_high", Float),
    Column("low", Float),
    Column("high", Float),
    Column("reason", Text),  # why its mIoU has no interval
    Column("resampled", Text),  # float32, as base64
    Column("json", Text, nullable=False),
    Column("test_images", Text),
)
machines = Table(
    "segsearch_machines",
    _tables,
    Column("key", String(64), primary_key=True),
    Column("json", Text, nullable=False),
)
picks = Table(
    "segsearch_picks",
    _tables,
    Column("number", Integer, primary_key=True),
    Column("study", String(64), nullable=False),
    Column("trial", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created", Float, nullable=False),
)


def _keep_timings_by_machine(connection: Connection) -> None:
    """Schema 2: timings are kept for each machine, and a measurement ends by its interval, not after `timing.runs`."""
    from segsearch.store.first_timings import keep_timings_by_machine

    keep_timings_by_machine(connection)


def _claim_stages(connection: Connection) -> None:
    """Schema 3: a stage that is being made is claimed, and a shared folder is known by its token."""
    claims.create(connection, checkfirst=True)
    folders.create(connection, checkfirst=True)


def _name_machines_anew(connection: Connection) -> None:
    """Schema 4: a machine is named by how many cores it times on, not by which."""
    from segsearch.store.machine_keys import name_machines_anew

    name_machines_anew(connection)


def _say_what_was_meant(connection: Connection) -> None:
    """Schema 5: what newer settings would change is said in older studies, which go on as they began."""
    for row in connection.execute(select(studies.c.name, studies.c.settings)).all():
        settings = json.loads(row.settings)
        for key, value in ONCE.items():
            say(settings, key, value)
        connection.execute(update(studies).where(studies.c.name == row.name).values(settings=json.dumps(settings)))


def _leave_out_gross_energy(connection: Connection) -> None:
    """Schema 6: energy is told without the idle machine's: what was stored with it is a value no more.

    The evidence keeps it. A study that minimises energy has its models timed again (`segsearch remeasure`).
    """
    for table in (trials, timings):
        values, keys = table.c["values"], list(table.primary_key.columns)
        for row in connection.execute(select(values, *keys).where(values.like('%"energy_mj"%'))).all():
            kept = {name: value for name, value in json.loads(row[0]).items() if name != "energy_mj"}
            here = [key == found for key, found in zip(keys, row[1:], strict=True)]
            connection.execute(update(table).where(*here).values(values=json.dumps(kept, sort_keys=True)))


def _keep_spreads(connection: Connection) -> None:
    """Schema 7: how sure a mIoU is, over images and over seeds. Trials of before have neither, and say so."""
    spreads.create(connection, checkfirst=True)
    confirmations.create(connection, checkfirst=True)


def _score_classes_of_the_truth(connection: Connection) -> None:
    """Schema 8: a mIoU is the mean over the classes of the truth, and not over those that were predicted, too."""
    from segsearch.store.truth_classes import score_classes_of_the_truth

    score_classes_of_the_truth(connection)


def _keep_texts(connection: Connection) -> None:
    """Schema 9: the lists that a study names are kept with it, those of older studies when they are carried on.

    Older studies go on with the high bytes of images with more than 8 bits, as they began.
    """
    texts.create(connection, checkfirst=True)
    _say_what_was_meant(connection)


def _keep_references(connection: Connection) -> None:
    """Schema 10: networks of the field are kept beside the trials that they are compared with."""
    references.create(connection, checkfirst=True)


def _keep_starts(connection: Connection) -> None:
    """Schema 11: the pretrained weights that a study begins with are kept with it. Those of before have none."""
    starts.create(connection, checkfirst=True)


def _keep_grown(connection: Connection) -> None:
    """Schema 12: chosen trials that were trained to the end are kept beside them."""
    grown.create(connection, checkfirst=True)


# Each entry turns schema n into n + 1. Once a migration changes a table, the first one must spell out the old
# tables: it may create only what stood there at its own time. (Some only add tables; others change rows.)
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _tables.create_all,
    _keep_timings_by_machine,
    _claim_stages,
    _name_machines_anew,
    _say_what_was_meant,
    _leave_out_gross_energy,
    _keep_spreads,
    _score_classes_of_the_truth,
    _keep_texts,
    _keep_references,
    _keep_starts,
    _keep_grown,
)


def schema_version(connection: Connection) -> int:
    """How many migrations this database has had."""
    return connection.execute(select(func.max(migrations.c.number))).scalar_one() or 0


def migrate(connection: Connection, version: int) -> None:
    """Bring a database of schema `version` up to date, in the caller's transaction."""
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        step(connection)
        connection.execute(insert(migrations).values(number=number, applied=time.time()))
