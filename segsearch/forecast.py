"""What a study will take: everything it needs is tried, and nothing that is trained is kept."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from segsearch import launch
from segsearch.errors import StorageFull
from segsearch.evidence.objectives import demand_sense
from segsearch.judging.earlier import earlier_of, read_earlier, settled_earlier
from segsearch.search.earlier import NOTHING, Earlier
from segsearch.settings.texts import Texts, texts_of
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate
from segsearch.space.draws import Dice, DrawCandidate, settled
from segsearch.space.load import load_space
from segsearch.space.own import OwnNetwork
from segsearch.space.reach import beyond_reach
from segsearch.store import StudyRow, TrialRow, open_store
from segsearch.store.teaching import Verdict, teacher_miou, weighed
from segsearch.study import Study, read_study
from segsearch.trial.brought import brought, words_of
from segsearch.trial.order import order_of
from segsearch.trial.types import Estimate, facts_of
from segsearch.workshop import Artifacts, Progress, cache_of, free_bytes, silent

CHECKED_DRAWS = 200
# Candidates that `check` looks at to find a few that a search would train.
ESTIMATED_DRAWS = 24


@dataclass(frozen=True)
class Forecast:
    """What `check` found out. `seconds` is for all trained trials and what is looked at for them, without what a limit
    rejects.

    Of `looked` candidates `within` met the limits; where none did, `nearest` tells of each limit how near they came.
    `beyond` of the checked draws ask for a rate or bins larger than their map; `most_beyond` is what most of them ask.
    Of a study with pretrained weights `heirs` tells which draws begin with them, `teaching` of one with a teacher.
    `earlier` is what a study takes from earlier ones, as far as it is known before this machine and the pixels are.
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
    beyond: int = 0
    most_beyond: str = ""
    heirs: Heirs | None = None
    teaching: Teaching | None = None
    earlier: Earlier = NOTHING


@dataclass(frozen=True)
class Heirs:
    """How many of so many draws inherit more than a stem from the network called `parent`.

    `share` is that of the convolutions that inherit, of all in these draws' encoders; `words` are on the first draw.
    """

    parent: str
    inherit: int
    draws: int
    share: float
    words: str


@dataclass(frozen=True)
class Teaching:
    """Who teaches, and what is known of it: its mIoU, on `images` validation images where those are not all.

    `verdict` compares it with its students, where these are trained. `alike` says why it will hardly be better.
    `unlabelled` images are learned from it alone, after `left_out` files that are images of the splits.
    """

    words: str
    miou: float | None = None
    images: int | None = None
    verdict: Verdict | None = None
    alike: str = ""
    unlabelled: int = 0
    left_out: int = 0


def check(study_file: Path, *, progress: Progress = silent) -> Forecast:
    """Try everything that a study needs, train nothing that is kept. Raises the first `UserError`."""
    study = read_study(study_file)
    space = load_space(study.space)
    folder = launch.default_out(study)
    begun: StudyRow | None = None
    rows: tuple[TrialRow, ...] = ()
    known: float | None = None
    if (folder / "study.db").exists():
        with open_store(folder / "study.db") as store:
            study, space, texts = launch.under_way(store, study, Artifacts(folder.resolve() / "artifacts"), space)
            begun = launch.begun_as(store, study)
            if begun is not None and study.teacher is not None:
                rows = store.trials(begun.name)
                known = teacher_miou(store.stages(begun.name, name="teacher"), begun)
    else:
        demand_sense(study.bounds, where="limits")
        texts = texts_of(study.data)
    classes = launch.classes_of(study, texts)

    from segsearch.trial.contained import contained

    with TemporaryDirectory(prefix="segsearch-check-") as scratch:
        artifacts = Artifacts(Path(scratch))
        own = launch.start_of(study, None, artifacts, progress, texts) if study.network is not None else None
        facts = facts_of(study, classes=classes, start=own)
        drawn = [space.draw(Dice(random.Random(seed)), facts) for seed in range(CHECKED_DRAWS)]
        launch.check_designs(study, space, classes=classes, start=own)
        draw = settled(space.draw, facts)
        earlier = _earlier(study, begun, draw, str(folder / "study.db"))
        candidates = [draw(Dice(random.Random(index))) for index in range(ESTIMATED_DRAWS)]
        heirs = _heirs(study, begun, artifacts, drawn, progress, texts)
        dataset = launch.open_data(study, folder, progress, texts)
        cache = cache_of(folder)
        lies = str(folder / "study.db") if begun is not None else None
        given = brought(study, begun, artifacts, dataset, cache, own=lies, texts=texts, progress=progress)
        order = order_of(
            study, space, dataset, None, cache=cache, artifacts=artifacts, texts=texts, start=own, given=given
        )
        with contained(order, progress=progress) as child:
            found = child.estimate(candidates, artifacts)
        teaching = _teaching(study, rows, known, found, cache, texts, given, images=len(dataset.train))
    beyond, most_beyond = _beyond(drawn, study, classes=len(dataset.classes))
    forecast = Forecast(
        study=study,
        classes=len(dataset.classes),
        train_images=len(dataset.train),
        validation_images=len(dataset.validation),
        seconds=(found.seconds_per_trial + _siblings_seconds(study, found)) * study.trials
        + _screening_seconds(study, found, earlier)
        + found.teacher_seconds,
        gate_seconds=found.gate_seconds,
        # A file is about a third of what a training leaves, which has weights before and after, too.
        needed_bytes=round(found.bytes_per_trial * study.trials * (1 + _files(study) / 3)) + found.teacher_bytes,
        free_bytes=free_bytes(folder),
        looked=found.looked,
        within=found.within,
        nearest=found.nearest,
        beyond=beyond,
        most_beyond=most_beyond,
        heirs=heirs,
        teaching=teaching,
        earlier=earlier,
    )
    if forecast.needed_bytes > forecast.free_bytes:
        raise StorageFull(
            f"{folder}: the study needs about {forecast.needed_bytes / 1e6:.0f} MB, "
            f"and {forecast.free_bytes / 1e6:.0f} MB are free. Free some space, or `run` it with another --out."
        )
    return forecast


def _siblings_seconds(study: Study, found: Estimate) -> float:
    """What the siblings of a training take at most: each is timed; a tail passes the gate and learns on before."""
    tail = found.gate_seconds + study.train.share_after_pruning * (found.seconds_per_trial - found.gate_seconds)
    return _files(study) * study.timing.max_seconds + study.search.tails * tail


def _files(study: Study) -> int:
    """Files that a training leaves beside the first at most: the first network that learns on has one, others as many.

    That is so where a space has int8 that learns on, as the built-in ones do.
    """
    siblings, tails = study.search.siblings, study.search.tails
    return siblings + (1 + (tails - 1) * (1 + siblings) if tails else 0)


def _earlier(study: Study, begun: StudyRow | None, draw: DrawCandidate, own: str) -> Earlier:
    """What a study under way took from earlier ones, or a new one would take."""
    if begun is not None:
        return earlier_of(begun)
    return settled_earlier(read_earlier(study, draw, own=own), study, draw, data_key="", machine="")


def _screening_seconds(study: Study, found: Estimate, earlier: Earlier) -> float:
    """What a study looks at before it trains, in all: one of each `screen` candidates is trained in the end."""
    screened = max(0, study.trials - earlier.trained_before_screening(study.search))
    return screened * max(0, study.search.screen - 1) * found.gate_seconds


def beyond_words(forecast: Forecast) -> str:
    """What is said of draws that ask for a rate or bins larger than their map."""
    return (
        f"{forecast.beyond} of {CHECKED_DRAWS} draws ask for a rate or bins larger than their map, which add nothing: "
        f"{forecast.most_beyond}"
    )


def _beyond(drawn: Sequence[Candidate], study: Study, *, classes: int) -> tuple[int, str]:
    """How many draws ask for a rate or bins larger than their map, and what most of them ask for."""
    size, count, asked = (study.data.height, study.data.width), 0, Counter[str]()
    for candidate in drawn:
        # A draw that cannot be built is told by the estimate, which builds it.
        with contextlib.suppress(LookupError, ValueError, ArithmeticError):
            architecture = candidate.architecture
            if isinstance(architecture, OwnNetwork):
                continue
            found = beyond_reach(architecture, size, classes=classes)
            count += bool(found)
            asked.update(found)
    return count, next((words for words, _ in asked.most_common(1)), "")


def _teaching(
    study: Study,
    rows: Sequence[TrialRow],
    known: float | None,
    found: Estimate,
    cache: Path,
    texts: Texts,
    given: Mapping[str, str],
    *,
    images: int,
) -> Teaching | None:
    """What is known of the teacher of a study, if it has one: from its database, or else of one that was given."""
    if study.teacher is None:
        return None
    from segsearch.datasets import open_unlabelled

    beside = open_unlabelled(study.data, cache=cache, texts=texts)
    miou = found.teacher_miou if known is None else known
    return Teaching(
        words=words_of(given, study.teacher),
        miou=miou,
        images=found.teacher_images if known is None and miou is not None else None,
        verdict=weighed(study, rows, miou),
        alike="" if miou is not None else _alike(study, images),
        unlabelled=0 if beside is None else len(beside),
        left_out=0 if beside is None else beside.left_out,
    )


def _alike(study: Study, images: int) -> str:
    """Why a teacher that is not trained yet will hardly be better than its students; nothing where it may be."""
    teacher = study.teacher
    if teacher is None or teacher.epochs is None:
        return ""
    students = study.train.steps_for(images) / study.train.steps_of_epoch(images)
    if teacher.epochs > students:
        return ""
    return f"it trains for {teacher.epochs} epochs, its students for {students:.3g}"


def _heirs(
    study: Study,
    begun: StudyRow | None,
    artifacts: Artifacts,
    drawn: Sequence[Candidate],
    progress: Progress,
    texts: Texts,
) -> Heirs | None:
    """Which draws begin with the pretrained weights of a study, if it has any. Raises `StudyError` for bad ones."""
    if study.network is not None:
        return None
    if begun is not None and begun.start is not None and begun.artifacts.has(begun.start):
        artifacts = begun.artifacts
    start = launch.start_of(study, begun, artifacts, progress, texts)
    if start is None:
        return None
    from segsearch.pretrained.header import header_of
    from segsearch.pretrained.match import match

    parent = header_of(artifacts.path(start))
    matches = [
        match(one.architecture, parent.architecture) for one in drawn if isinstance(one.architecture, Architecture)
    ]
    reports = [found.report for found in matches]
    return Heirs(
        parent=parent.name,
        inherit=sum(any(layer.stage for layer, _ in found.pairs) for found in matches),
        draws=len(matches),
        share=sum(one.matched for one in reports) / max(1, sum(one.convolutions for one in reports)),
        words=reports[0].words,
    )
