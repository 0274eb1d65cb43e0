"""`segsearch.run` and `segsearch.evaluate`: a whole search, or one candidate, from a file or from settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from segsearch import launch
from segsearch.api.events import OnEvent, watched
from segsearch.api.evidence import Evaluated, as_evaluated
from segsearch.api.opened import Run, open_run
from segsearch.errors import StudyError
from segsearch.evidence.objectives import Rejected, demand_sense
from segsearch.settings.search import Scalar
from segsearch.settings.texts import texts_of
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate, Draw, Named
from segsearch.space.draws import Facts, demand_point, settled
from segsearch.space.load import Space, load_space
from segsearch.space.misfit import storable
from segsearch.study import Study, read_study, study_from
from segsearch.trial.brought import brought
from segsearch.trial.order import order_of
from segsearch.trial.types import facts_of
from segsearch.workshop import Artifacts, Forgetful, Progress, cache_of, make_folder

AnyStudy = str | os.PathLike[str] | Mapping[str, Any] | Study


def run(
    study: AnyStudy,
    *,
    out: str | os.PathLike[str] | None = None,
    db: str | None = None,
    data: str | os.PathLike[str] | None = None,
    trials: int | None = None,
    siblings: int | None = None,
    tails: int | None = None,
    sibling_gain: float | None = None,
    screen: int | None = None,
    stop_gain: float | None = None,
    minutes: float | None = None,
    machine: str | None = None,
    on_event: OnEvent | None = None,
    progress: bool | Progress = False,
) -> Run:
    """Search as a study says, or carry on where an earlier run stopped; what is finished is never lost.

    `study` is the path of a study file, or its settings as a mapping of the same structure, whose relative paths are
    from the current folder. The run is kept in `out` (`runs/<name>`), its database also at `db`. `trials`, `siblings`,
    `tails`, `sibling_gain`, `screen`, `stop_gain` and `data` stand in place of the study's own, no trial is started
    after `minutes`, `machine` is the key of this machine where models were timed on others. `on_event` hears of every
    trial, `progress` of steps; True shows both as the command does. Returns the run, opened to read. Raises a
    `UserError` that says what to change.
    """
    _demand_positive("trials", trials, int, "a whole number of 1 or more")
    _demand_positive("minutes", minutes, (int, float), "a number above 0")
    settings = study_of(study)
    with watched(progress, on_event) as (steps, told):
        ended = launch.run(
            settings,
            data=_path(data),
            out=_path(out),
            db=db,
            trials=trials,
            search={
                "siblings": siblings,
                "tails": tails,
                "sibling_gain": sibling_gain,
                "screen": screen,
                "stop_gain": stop_gain,
            },
            minutes=minutes,
            machine=machine,
            progress=steps,
            on_event=told,
        )
    return open_run(ended.database, study=ended.study)


def evaluate(
    what: Candidate | Architecture | Mapping[str, Scalar],
    study: AnyStudy,
    *,
    out: str | os.PathLike[str] | None = None,
    progress: bool | Progress = False,
) -> Evaluated:
    """Train, compress, export, time and score one candidate as a search of that study would, in a process of its own.

    `what` is a candidate, an architecture (trained and shipped as floats) or the parameters of the study's space by
    name. The file and the weights are kept in `out`, or nowhere: then only the numbers remain. A candidate that breaks
    a limit before training comes back as rejected. Raises `TrialFailed` with the reason where it cannot be finished.
    """
    settings = study_of(study)
    demand_sense(settings.bounds, where="limits")
    space, texts = load_space(settings.space), texts_of(settings.data)
    classes = launch.classes_of(settings, texts)
    if settings.network is None:  # said before anything is made; a network must be kept first
        launch.check_designs(settings, space, classes=classes)
        candidate_of(what, settings, space, classes=classes)
    broken: tuple[str, ...] = ()
    with ExitStack() as stack:
        if out is None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="segsearch-evaluate-")))
        else:
            folder = Path(out)
            make_folder(folder)
        artifacts = Artifacts(folder.resolve())
        steps, _ = stack.enter_context(watched(progress))
        from segsearch.trial.contained import contained

        beside = launch.default_out(settings)  # decoded images are shared with the runs
        start = launch.start_of(settings, None, artifacts, steps, texts)
        launch.check_designs(settings, space, classes=classes, start=start)
        candidate = candidate_of(what, settings, space, classes=classes, start=start)
        dataset = launch.open_data(settings, beside, steps, texts)
        cache = cache_of(beside)
        given = brought(settings, None, artifacts, dataset, cache, own=None, texts=texts, progress=steps)
        order = order_of(
            settings, space, dataset, None, cache=cache, artifacts=artifacts, texts=texts, start=start, given=given
        )
        child = stack.enter_context(contained(order, progress=steps))
        try:
            found = child.evaluate(0, candidate, Forgetful(artifacts))
        except Rejected as rejected:
            found, broken = rejected.evidence, tuple(map(str, rejected.broken))
    kept = artifacts.path(found.artifact) if out is not None and not broken else None
    return as_evaluated(candidate, found, classes=dataset.classes, broken=broken, artifact=kept)


def study_of(study: AnyStudy) -> Study:
    """The study that is meant by a file's path, by settings, or by itself. Raises `StudyError`."""
    given: Any = study  # whatever a notebook hands over
    if isinstance(given, Study):
        return given
    if isinstance(given, Mapping):
        return study_from(given, Path.cwd())
    if isinstance(given, (str, os.PathLike)):
        return read_study(Path(given))
    raise StudyError(f"A study is the path of a study file, or its settings as a mapping, got {type(given).__name__}.")


def candidate_of(
    what: Candidate | Architecture | Mapping[str, Scalar],
    study: Study,
    space: Space,
    *,
    classes: int,
    start: str | None = None,
) -> Candidate:
    """The candidate that is meant, without what cannot matter under this study. Raises `StudyError`."""
    facts = facts_of(study, classes=classes, start=start)
    given: Any = Candidate(what) if isinstance(what, Architecture) else what
    if isinstance(given, Candidate):
        stored = storable(given, "What is evaluated is")

        def draw(choose: Draw, facts: Facts = facts, /) -> Candidate:
            return stored

        return settled(draw, facts)(Named())
    if isinstance(given, Mapping):
        demand_point("choices", given, space.draw, facts, cure=f"the space is {study.space}")
        return settled(space.draw, facts)(Named(given))
    kind = type(given).__name__
    raise StudyError(f"What is evaluated is a Candidate, an Architecture or a space's parameters by name, got {kind}.")


def _demand_positive(name: str, given: Any, kinds: type | tuple[type, ...], words: str) -> None:
    """Raise `StudyError` unless it is None or a number above 0 of these kinds, whatever a notebook hands over."""
    number = isinstance(given, kinds) and not isinstance(given, bool)
    if given is not None and not (number and given > 0):
        raise StudyError(f"{name} must be {words}, got {given!r}.")


def _path(where: str | os.PathLike[str] | None) -> Path | None:
    return None if where is None else Path(where)
