"""What a study will take: everything it needs is tried, and nothing that is trained is kept."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from segsearch import launch
from segsearch.errors import StorageFull
from segsearch.evidence.objectives import demand_sense
from segsearch.settings.texts import texts_of
from segsearch.space.draws import Dice, settled
from segsearch.space.load import load_space
from segsearch.store import open_store
from segsearch.study import Study, read_study
from segsearch.trial.types import facts_of
from segsearch.workshop import Artifacts, Progress, free_bytes, silent

CHECKED_DRAWS = 200
# Candidates that `check` looks at to find a few that a search would train.
ESTIMATED_DRAWS = 24


@dataclass(frozen=True)
class Forecast:
    """What `check` found out. `seconds` is for all trained trials, without those that a limit rejects.

    Of `looked` candidates `within` met the limits; where none did, `nearest` tells of each limit how near they came.
    """

    study: Study
    classes: int
    train_images: int
    validation_images: int
    seconds: float
    gate_seconds: float
    needed_bytes: int
    free_bytes: int
    looked: int
    within: int
    nearest: tuple[str, ...] = ()


def check(study_file: Path, *, progress: Progress = silent) -> Forecast:
    """Try everything that a study needs, train nothing that is kept. Raises the first `UserError`."""
    study = read_study(study_file)
    space = load_space(study.space)
    folder = launch.default_out(study)
    if (folder / "study.db").exists():
        with open_store(folder / "study.db") as store:
            study, space, texts = launch.under_way(store, study, Artifacts(folder.resolve() / "artifacts"), space)
    else:
        demand_sense(study.bounds, where="limits")
        texts = texts_of(study.data)
    for seed in range(CHECKED_DRAWS):
        space.draw(Dice(random.Random(seed)), facts_of(study))
    launch.check_designs(study, space)
    dataset = launch.open_data(study, folder, progress, texts)

    from segsearch.trial.contained import contained

    draw = settled(space.draw, facts_of(study))
    candidates = [draw(Dice(random.Random(index))) for index in range(ESTIMATED_DRAWS)]
    with TemporaryDirectory(prefix="segsearch-check-") as scratch:
        artifacts = Artifacts(Path(scratch))
        cache = launch.cache_of(folder)
        order = launch.order_of(study, space, dataset, None, cache=cache, artifacts=artifacts, texts=texts)
        with contained(order, progress=progress) as child:
            found = child.estimate(candidates, artifacts)
    forecast = Forecast(
        study=study,
        classes=len(dataset.classes),
        train_images=len(dataset.train),
        validation_images=len(dataset.validation),
        seconds=found.seconds_per_trial * study.trials + found.teacher_seconds,
        gate_seconds=found.gate_seconds,
        needed_bytes=round(found.bytes_per_trial * study.trials),
        free_bytes=free_bytes(folder),
        looked=found.looked,
        within=found.within,
        nearest=found.nearest,
    )
    if forecast.needed_bytes > forecast.free_bytes:
        raise StorageFull(
            f"{folder}: the study needs about {forecast.needed_bytes / 1e6:.0f} MB, "
            f"and {forecast.free_bytes / 1e6:.0f} MB are free. Free some space, or `run` it with another --out."
        )
    return forecast
