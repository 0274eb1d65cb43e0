"""Candidates, a bench and a workshop in memory, for trials that take a second or two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from segsearch.latency.machine import this_machine
from segsearch.latency.measure import Effort
from segsearch.latency.room import machine_room
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture, Context, EncoderPath, Feature, Head, Join, Stage, Stem
from segsearch.space.candidate import Candidate
from segsearch.space.steps import Prune, Quantize
from segsearch.training.schedule import Schedule
from segsearch.trial.bench import Bench
from segsearch.workshop import Artifacts, Outcome
from tests.scenes import tiny_dataset

ARCHITECTURE = Architecture(
    (EncoderPath(Stem(8), (Stage("residual", 16, 1, 2), Stage("conv", 24, 1, 2)), Context("aspp", 16, rates=(2,))),),
    (Join("add", Feature(0, 1), 16),),
    Head(16),
)


PLAIN = Candidate(ARCHITECTURE)


PRUNED = replace(PLAIN, before_export=(Prune(0.5),))


INT8 = replace(PLAIN, after_export=(Quantize(),))


@dataclass
class Notebook:
    """A workshop that remembers in memory, and what was made and what was remembered."""

    artifacts: Artifacts
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)

    def once(self, stage: str, key: str, make: Callable[[], Outcome], /) -> Outcome:
        (self.known if key in self.outcomes else self.made).append(stage)
        if key not in self.outcomes:
            self.outcomes[key] = make()
        return self.outcomes[key]


def make_bench(**changes: object) -> Bench:
    runtime = RUNTIMES["onnxruntime"]
    bench = Bench(
        dataset=tiny_dataset(),
        schedule=Schedule(
            epochs=3,
            batch_size=4,
            learning_rate=3e-3,
            weight_decay=1e-2,
            height=32,
            width=48,
            class_weights="log",
            seed=0,
        ),
        fine_tune_share=1 / 3,
        fine_tune_on_top=False,
        effort=Effort(warmup_runs=1, max_seconds=0.5),
        limits=(),
        runtime=runtime,
        machine=replace(this_machine(runtime), references=(("float32-1", 5.0), ("int8-1", 9.0))),
        room=machine_room(),
        device=torch.device("cpu"),
    )
    return replace(bench, **changes)
