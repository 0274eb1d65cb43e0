"""The tables."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, MetaData, String, Table, Text

# Optuna keeps `studies` and `trials` of its own in the same database, so ours carry a prefix.
TABLES = MetaData()

migrations = Table(
    "segsearch_migrations",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("applied", Float, nullable=False),
)
studies = Table(
    "segsearch_studies",
    TABLES,
    Column("name", String(64), primary_key=True),
    Column("settings", Text, nullable=False),
    Column("space", String(80), nullable=False),
    Column("data_key", String(64), nullable=False),
    Column("artifacts", Text, nullable=False),
    Column("created", Float, nullable=False),
)
workers = Table(
    "segsearch_workers",
    TABLES,
    Column("id", String(32), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", Float, nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("asking", String(64)),  # the study for which a trial was promised but has no row yet
)
trials = Table(
    "segsearch_trials",
    TABLES,
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
# Trials that another one's training made, and which: they come on top of those that a study asks for.
siblings = Table(
    "segsearch_siblings",
    TABLES,
    Column("study", String(64), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("origin", Integer, nullable=False),
)
# Trials that were entered to be looked at; `promoted` is the highest trial number of the study when one of them was
# promoted: what came later was looked at since.
screenings = Table(
    "segsearch_screenings",
    TABLES,
    Column("study", String(64), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("promoted", Integer),
)
# Raw counts and samples are large and seldom read: apart, so that a listing does not page through them.
evidence = Table(
    "segsearch_evidence",
    TABLES,
    Column("study", String(64), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("json", Text, nullable=False),
)
# What belongs to a machine, of every trial that was measured there: the first time, or again later.
timings = Table(
    "segsearch_timings",
    TABLES,
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
    TABLES,
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
    TABLES,
    Column("study", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("worker", String(32), nullable=False),
)
# On a server: names the file by which a host sees that it shares the study's artifacts.
folders = Table(
    "segsearch_folders",
    TABLES,
    Column("study", String(64), primary_key=True),
    Column("token", String(64), nullable=False),
)
# How sure a trial's mIoU is. The counts of each image are large: last, so that a listing does not page through them.
spreads = Table(
    "segsearch_spreads",
    TABLES,
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
    TABLES,
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
    TABLES,
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
    TABLES,
    Column("study", String(64), primary_key=True),
    Column("artifact", String(80), nullable=False),
)
# The pretrained weights that a study begins with, kept as one artifact.
starts = Table(
    "segsearch_starts",
    TABLES,
    Column("study", String(64), primary_key=True),
    Column("artifact", String(80), nullable=False),
)
# Chosen trials that were trained to the end: beside their trials, never among them. The test images' counts are looks
# at them. Evidence and counts are large: last, so that a listing does not page through them.
grown = Table(
    "segsearch_grown",
    TABLES,
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
    TABLES,
    Column("key", String(64), primary_key=True),
    Column("json", Text, nullable=False),
)
picks = Table(
    "segsearch_picks",
    TABLES,
    Column("number", Integer, primary_key=True),
    Column("study", String(64), nullable=False),
    Column("trial", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created", Float, nullable=False),
)
