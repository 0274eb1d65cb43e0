"""The gate: size and latency of a candidate with random weights, before anything is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from segsearch.evidence.timing import Timing
from segsearch.evidence.types import Evidence
from segsearch.latency.measure import Effort, measure
from segsearch.networks import Network, wear_in
from segsearch.own.graph import GraphMaker
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate
from segsearch.space.keys import content_key, from_json, to_json
from segsearch.space.own import OwnNetwork
from segsearch.trial.bench import Bench, answers, scratch, versions
from segsearch.trial.export import count_macs, count_params, export
from segsearch.trial.files import after_export, calibration_images, graph_steps, untrained
from segsearch.trial.making import demanded_shape, graph_of
from segsearch.trial.stages import Stages
from segsearch.workshop import Artifacts, Outcome, sha256_of

# The gate asks whether a candidate can be within the limits, not by how much.
GATE_SECONDS = 1.5
GATE_INTERVAL = 0.05
GATE_CALIBRATION_IMAGES = 2


def passed_gate(candidate: Candidate, bench: Bench, stages: Stages) -> Evidence:
    """Size and latency of the candidate with random weights, through the same steps as the trained one."""

    def make() -> Outcome:
        if (brought := graph_of(candidate, bench)) is not None:
            (params, macs), file = (
                brought[1].counts(),
                _gate_file_of_graph(*brought, candidate, bench, stages.artifacts),
            )
        else:
            network = demanded_shape(candidate, bench)
            if isinstance(candidate.architecture, Architecture):  # what somebody brought has its own weights
                wear_in(network)
            params, macs = count_params(network), count_macs(network, bench.size)
            file = gate_file_of(network, candidate, bench, stages.artifacts)
        with file as model:
            evidence = Evidence(
                artifact=sha256_of(model),
                size_bytes=model.stat().st_size,
                params=params,
                macs=macs,
                timing=timed(model, bench, gate_effort(bench.effort)),
                seed=bench.schedule.seed,
                versions=versions(),
            )
            return {"evidence": to_json(evidence)}

    key = content_key(
        [
            "gate of a worn-in network",
            *map(to_json, (candidate.architecture, candidate.before_export, untrained(candidate.after_export))),
        ],
        [*bench.size, bench.classes, bench.dataset.key, bench.machine.key, to_json(bench.effort)],
        *answers(bench.output),
    )
    return from_json(Evidence, str(stages.once("gate", key, make)["evidence"]))


@contextlib.contextmanager
def gate_file_of(network: Network, candidate: Candidate, bench: Bench, artifacts: Artifacts) -> Iterator[Path]:
    """The file of a candidate's untrained network, through the same steps after the export as the trained one's."""
    with scratch(artifacts) as plain:
        export(network, bench.size, plain, output=bench.output)
        images = calibration_images(bench, GATE_CALIBRATION_IMAGES)
        with after_export(plain, graph_steps(candidate, bench), images, artifacts) as model:
            yield model


@contextlib.contextmanager
def _gate_file_of_graph(
    own: OwnNetwork, maker: GraphMaker, candidate: Candidate, bench: Bench, artifacts: Artifacts
) -> Iterator[Path]:
    with scratch(artifacts) as plain:
        maker.write(own, plain, output=bench.output)
        images = calibration_images(bench, GATE_CALIBRATION_IMAGES)
        with after_export(plain, graph_steps(candidate, bench), images, artifacts) as model:
            yield model


def gate_effort(effort: Effort) -> Effort:
    """What the gate spends of a measurement's effort."""
    return replace(
        effort, interval=max(effort.interval, GATE_INTERVAL), max_seconds=min(effort.max_seconds, GATE_SECONDS)
    )


def timed(model: Path, bench: Bench, effort: Effort) -> Timing:
    """The latency of a file, taken in the quiet room."""
    with bench.room.quiet():
        return measure(model, bench.machine, bench.runtime, effort=effort)
