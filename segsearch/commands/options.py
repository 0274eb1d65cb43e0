"""The arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (TOML).", show_default=False)]


Database = Annotated[
    str,
    typer.Argument(metavar="DB", help="A run's folder, its database's path or a SQLAlchemy URL.", show_default=False),
]


NewDatabase = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        help="Keep the study in this database, such as postgresql://role@host/name, for workers on several machines. "
        "[default: study.db in --out]",
    ),
]


StudyName = Annotated[
    str | None, typer.Option("--study", metavar="NAME", help="Which study, where the database holds several.")
]


Trials = Annotated[
    int | None, typer.Option("--trials", min=1, help="Trained trials to end with, instead of the study's own number.")
]


Siblings = Annotated[
    int | None,
    typer.Option(
        "--siblings",
        min=0,
        max=32,
        help="Further files that each training may leave, earlier ones too, instead of the study's own number.",
    ),
]


Tails = Annotated[
    int | None,
    typer.Option(
        "--tails",
        min=0,
        max=16,
        help="Networks that learn on from each training, earlier ones too, instead of the study's own number.",
    ),
]


SiblingGain = Annotated[
    float | None,
    typer.Option(
        "--sibling-gain",
        min=0.0,
        max=0.1,
        metavar="SHARE",
        help="Make those siblings that are expected to add this share to the front's hypervolume, instead of the "
        "study's own; 0 makes all.",
    ),
]


Screen = Annotated[
    int | None,
    typer.Option(
        "--screen",
        min=0,
        max=64,
        help="Candidates that are looked at for each one that is trained, instead of the study's own number.",
    ),
]


After = Annotated[
    list[str] | None,
    typer.Option(
        "--after",
        metavar="DB",
        help="A database that a new study learns from, instead of those of the study file; may be given again.",
    ),
]


StopGain = Annotated[
    float | None,
    typer.Option(
        "--stop-gain",
        min=0.0,
        max=0.5,
        metavar="SHARE",
        help="End where the next ten trainings are expected to add less than this share to the front's hypervolume; "
        "0 goes on.",
    ),
]


Minutes = Annotated[float | None, typer.Option("--minutes", min=0.01, help="Start no new trial after this long.")]


Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The folder of the data, instead of data.root.")
]


OnMachine = Annotated[
    str | None, typer.Option("--machine", metavar="KEY", help="The machine whose latencies are meant, by its key.")
]


Limits = Annotated[
    list[str] | None, typer.Option("--limit", metavar="LIMIT", help='As in "latency_ms<=12"; may be given again.')
]
