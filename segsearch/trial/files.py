"""From weights to the file that ships: the float graph, and what the steps after the export make of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segsearch.compression import GRAPH_STEPS, CalibrationImages
from segsearch.own.graph import GraphMaker
from segsearch.space.candidate import Candidate, Output
from segsearch.space.keys import content_key, to_json
from segsearch.space.own import OwnNetwork
from segsearch.space.steps import AfterExport, Quantize
from segsearch.trial.bench import Bench, answers, scratch, versions
from segsearch.trial.export import check_parity, count_macs, count_params, export, note_reading
from segsearch.trial.graph_parity import graph_parity
from segsearch.trial.making import compressed_shape, graph_of
from segsearch.trial.score import to_input
from segsearch.trial.stages import Stages
from segsearch.trial.state import load_weights
from segsearch.workshop import Artifacts, Outcome

# (name, version) of what can change a number, as evidence holds it.
Versions = tuple[tuple[str, str], ...]
CALIBRATION_IMAGES = 16
# A mask does not show scores that are not finite: parity looks for them on a few images.
PARITY_IMAGES = 4


@dataclass(frozen=True)
class Exported:
    """The file that ships, by its name, and what was counted and compared on its float graph."""

    model: str
    params: int
    macs: int
    parity: float


def exported(candidate: Candidate, weights: str, bench: Bench, stages: Stages) -> Exported:
    """The float file of trained weights, compared with torch's answer."""

    dataset = bench.dataset

    def make() -> Outcome:
        if (brought := graph_of(candidate, bench)) is not None:
            return exported_graph(*brought, bench, stages)
        network = compressed_shape(candidate, bench)
        load_weights(network, stages.artifacts.verified(weights))
        images = spread_over(bench.dataset.validation.images, PARITY_IMAGES)
        with scratch(stages.artifacts) as target:
            export(network, bench.size, target, output=bench.output)
            note_reading(target, dataset.levels, exif_ignored=dataset.exif_ignored)
            parity = check_parity(network, target, bench.runtime, *images, output=bench.output)
            counted = {"params": count_params(network), "macs": count_macs(network, bench.size)}
            return {"model": stages.artifacts.keep(target), "parity": parity, **counted}

    key = export_key(
        candidate,
        weights,
        size=bench.size,
        output=bench.output,
        levels=dataset.levels,
        exif_ignored=dataset.exif_ignored,
        versions=versions(),
    )
    made = stages.once("export", key, make)
    return Exported(str(made["model"]), int(made["params"]), int(made["macs"]), float(made["parity"]))


def exported_graph(own: OwnNetwork, maker: GraphMaker, bench: Bench, stages: Stages) -> Outcome:
    """An ONNX file that somebody brought as a file of ours, compared with what it answers by itself."""
    params, macs = maker.counts()
    images = spread_over(bench.dataset.validation.images, PARITY_IMAGES)
    with scratch(stages.artifacts) as target:
        maker.write(own, target, output=bench.output)
        note_reading(target, bench.dataset.levels, exif_ignored=bench.dataset.exif_ignored)
        parity = graph_parity(own, maker, target, bench.runtime, images, output=bench.output)
        return {"model": stages.artifacts.keep(target), "parity": parity, "params": params, "macs": macs}


def quantized(candidate: Candidate, plain: Exported, bench: Bench, stages: Stages) -> Exported:
    """The file after the steps on the graph; the float one where there are none."""
    if not candidate.after_export:
        return plain

    def make() -> Outcome:
        images = calibration_images(bench, CALIBRATION_IMAGES)
        source = stages.artifacts.verified(plain.model)
        with after_export(source, graph_steps(candidate, bench), images, stages.artifacts) as target:
            read = bench.dataset
            note_reading(target, read.levels, exif_ignored=read.exif_ignored)  # graph steps write a new file
            return {"model": stages.artifacts.keep(target)}

    key = quantize_key(candidate, plain.model, data_key=bench.dataset.key, versions=versions())
    return replace(plain, model=str(stages.once("quantize", key, make)["model"]))


def export_key(
    candidate: Candidate,
    weights: str,
    *,
    size: tuple[int, int],
    output: Output,
    levels: tuple[float, float] | None,
    exif_ignored: bool,
    versions: Versions,
) -> str:
    """The key of the stage that makes a candidate's float file of these weights, for an input of (height, width)."""
    steps = [to_json(step) for step in candidate.before_export]
    return content_key(
        ["export", weights, to_json(candidate.architecture), *steps],
        list(size),
        [*map(list, versions)],
        *answers(output),
        *([f"levels {levels}"] if levels else []),
        *(["exif ignored"] if exif_ignored else []),
    )


def quantize_key(candidate: Candidate, plain: str, *, data_key: str, versions: Versions) -> str:
    """The key of the stage that makes a candidate's file of the float one called `plain`."""
    steps = map(to_json, untrained(candidate.after_export))
    return content_key(["quantize", plain, *steps, data_key], [*map(list, versions)])


def untrained(steps: Sequence[AfterExport]) -> tuple[AfterExport, ...]:
    """The steps as they make a file before it is trained on, or layers are given back to float: alike for candidates
    that differ in that alone."""
    return tuple(replace(step, tail=0.0, tolerance=None) if isinstance(step, Quantize) else step for step in steps)


def graph_steps(candidate: Candidate, bench: Bench) -> tuple[AfterExport, ...]:
    """The steps after the export as this study carries them out: those of recipe 1 go on as they began."""
    first = bench.schedule.recipe == 1
    return tuple(
        replace(step, signed=first and step.symmetric_activations) if isinstance(step, Quantize) else step
        for step in candidate.after_export
    )


def calibration_images(bench: Bench, count: int) -> CalibrationImages:
    """Training images spread over the split, as the exported model reads them."""
    return spread_over(bench.dataset.train.images, count)


def spread_over(images: NDArray[np.uint8], count: int) -> CalibrationImages:
    """So many images spread over a split, as the exported model reads them."""
    return [to_input(images[index]) for index in spread(len(images), count)]


def spread(total: int, count: int) -> list[int]:
    """At most `count` indices spread over `total` of them, both ends included."""
    return [int(index) for index in np.unique(np.linspace(0, total - 1, count).astype(int))]


@contextlib.contextmanager
def after_export(
    source: Path, steps: Sequence[AfterExport], images: CalibrationImages, artifacts: Artifacts
) -> Iterator[Path]:
    """The file after the steps on the graph; `source` itself where there are none."""
    with contextlib.ExitStack() as stack:
        for step in steps:
            target = stack.enter_context(scratch(artifacts))
            GRAPH_STEPS[type(step)](source, target, step, images=images)
            source = target
        yield source
