"""`segsearch.try_space`: what a space draws, built, exported and timed with random weights, in a minute."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, get_args

from segsearch.api.events import watched
from segsearch.api.html import line, scatter, table
from segsearch.errors import StudyError, TrialFailed, UserError
from segsearch.evidence.objectives import intervals_of, values_of
from segsearch.judging.words import describe, in_words, precision
from segsearch.space.candidate import Candidate, Output
from segsearch.space.draws import Dice, DrawFor, Facts, Noting, settled
from segsearch.space.load import drawing, load_space
from segsearch.workshop import Artifacts, Forgetful, Progress

if TYPE_CHECKING:
    from segsearch.datasets import Dataset
    from segsearch.trial.bench import Bench


@dataclass(frozen=True)
class Drawn:
    """A candidate that a space drew: its parameters, and size and latency of its file with random weights."""

    params: Mapping[str, Any]
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    candidate: Candidate = field(repr=False)

    @property
    def design(self) -> str:
        """Its network and its compression in words."""
        return describe(self.candidate)


@dataclass(frozen=True)
class Unmade:
    """A draw that became no file: its parameters as far as they were drawn, and why."""

    params: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class Tried:
    """What came of some draws of a space: candidates as `drawn`, and `failures` with their reasons.

    `repeated` draws were the same as one before. `machine` is the key of the machine that the latencies are of.
    """

    drawn: tuple[Drawn, ...]
    failures: tuple[Unmade, ...]
    repeated: int
    machine: str

    def records(self) -> list[dict[str, Any]]:
        """A flat dictionary for each candidate, all with the same keys."""
        found = [
            {
                **one.values,
                "latency_low_ms": one.intervals["latency_ms"][0],
                "latency_high_ms": one.intervals["latency_ms"][1],
                "ships": precision(one.candidate),
                "design": one.design,
                **{f"param_{name}": value for name, value in one.params.items()},
            }
            for one in self.drawn
        ]
        names = dict.fromkeys(name for record in found for name in record)
        return [{name: record.get(name) for name in names} for record in found]

    def _repr_html_(self) -> str:
        parts = []
        if self.drawn:
            points = [(one.values["latency_ms"], one.values["macs"] / 1e6, _words(one)) for one in self.drawn]
            parts.append(scatter(points, across="latency [ms], untrained", up="multiply-accumulates [M]"))
        parts.append(
            line(f"{len(self.drawn)} candidates, {self.repeated} repeated draws, {len(self.failures)} failures.")
        )
        if self.failures:
            parts.append(table(["failed", "parameters"], [(one.reason, dict(one.params)) for one in self.failures]))
        return "".join(parts)


def try_space(
    draw: Callable[..., Candidate] | str | os.PathLike[str],
    count: int = 20,
    *,
    classes: int = 11,
    height: int = 360,
    width: int = 480,
    output: Output = "mask",
    has_teacher: bool = False,
    seed: int = 0,
    seconds: float = 0.5,
    progress: bool | Progress = False,
) -> Tried:
    """Draw candidates of a space at random; build, prune, export, quantize and time each with random weights.

    `draw` is a space's function, the path of its file, or the name of a built-in one. Sizes are the file's input in
    pixels. Each file is timed for at most `seconds`, roughly: to see which designs can be fast enough, not to choose
    among them. What fails is told with its reason and ends nothing.
    """
    if count < 1 or classes < 2 or min(height, width) < 32:
        raise StudyError(
            "try_space needs a count of 1 or more, 2 classes or more and sides of 32 pixels or more, got count "
            f"{count}, classes {classes}, {height} x {width}."
        )
    if output not in get_args(Output):
        raise StudyError(f"output must be one of {', '.join(get_args(Output))}; got {output!r}.")
    facts = Facts(output=output, has_teacher=has_teacher, classes=classes, height=height, width=width)
    found, source = settled(_drawing(draw), facts), random.Random(seed)
    drawn: list[Drawn] = []
    failures: list[Unmade] = []
    seen: set[str] = set()
    repeated = 0
    with TemporaryDirectory(prefix="segsearch-try-") as scratch, watched(progress) as (steps, _):
        bench = _bench(facts, seed=seed, seconds=seconds, progress=steps)
        artifacts = Artifacts(Path(scratch))
        for number in range(count):
            steps("trying", number, count)
            choose = Noting(Dice(source))
            try:
                candidate = found(choose)
                if candidate.key in seen:
                    repeated += 1
                    continue
                seen.add(candidate.key)
                drawn.append(_looked_at(candidate, choose.noted, bench, artifacts))
            except (UserError, TrialFailed) as why:
                failures.append(Unmade(choose.noted, str(why)))
        steps("trying", count, count)
    return Tried(tuple(drawn), tuple(failures), repeated, bench.machine.key)


def _drawing(draw: Callable[..., Candidate] | str | os.PathLike[str]) -> DrawFor:
    if isinstance(draw, (str, os.PathLike)):
        return load_space(os.fspath(draw)).draw
    if not callable(draw):
        raise StudyError(f"What draws is a space's function, its file or its name, got {type(draw).__name__}.")
    code = getattr(draw, "__code__", None)
    return drawing(draw, code.co_filename if code is not None else getattr(draw, "__name__", "the space"))


def _looked_at(candidate: Candidate, params: Mapping[str, Any], bench: Bench, artifacts: Artifacts) -> Drawn:
    """A candidate's file with random weights, as the gate of a study looks at it."""
    from segsearch.trial.gate import passed_gate
    from segsearch.trial.stages import Stages

    evidence = passed_gate(candidate, bench, Stages(Forgetful(artifacts)))
    return Drawn(dict(params), values_of(evidence), intervals_of(evidence), candidate)


def _bench(facts: Facts, *, seed: int, seconds: float, progress: Progress) -> Bench:
    """What a study's candidates share, with noise for images: nothing is learnt from them."""
    from segsearch.latency.measure import Effort, machine_for
    from segsearch.latency.room import machine_room
    from segsearch.runtimes import RUNTIMES
    from segsearch.settings.train import TrainSettings
    from segsearch.training.schedule import pick_device
    from segsearch.trial.bench import Bench
    from segsearch.trial.prepare import schedule_of

    progress("machine", 0, 1)
    runtime = RUNTIMES["onnxruntime"]
    return Bench(
        dataset=_noise(facts, seed),
        schedule=schedule_of(TrainSettings(epochs=1), seed=seed, images=2),
        fine_tune_share=0.0,
        fine_tune_on_top=False,
        effort=Effort(max_seconds=seconds),
        limits=(),
        runtime=runtime,
        machine=machine_for(runtime, threads=1, cores=None, progress=progress),
        room=machine_room(),
        device=pick_device("cpu"),
        output=facts.output,
    )


def _noise(facts: Facts, seed: int) -> Dataset:
    """Two images of noise, for the ranges of an untrained int8 file."""
    import numpy as np

    from segsearch.datasets import Dataset, Split

    height, width, classes = facts.height or 0, facts.width or 0, facts.classes or 0
    images = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    masks = np.zeros((2, height, width), dtype=np.uint8)
    starts = np.arange(2, dtype=np.int64) * height * width
    shapes = np.tile(np.array([height, width], dtype=np.int64), (2, 1))
    split = Split(("noise 1", "noise 2"), images, masks, masks.reshape(-1), starts, shapes)
    return Dataset("noise", tuple(f"class {index}" for index in range(classes)), 255, split, split)


def _words(one: Drawn) -> str:
    numbers = (f"{name} {in_words(name, one.values[name])}" for name in ("latency_ms", "params", "macs", "size_bytes"))
    return f"{', '.join(numbers)}: {one.design}"
