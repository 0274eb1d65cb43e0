"""What int8 does to a stored file, layer by layer: found once, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx

from segsearch.compression.layers import Pair
from segsearch.errors import DatabaseError
from segsearch.evidence.layers import Choice, Explained
from segsearch.space.candidate import Candidate
from segsearch.space.keys import content_key, from_json, to_json
from segsearch.trial.bench import Bench
from segsearch.trial.evaluate import scored
from segsearch.trial.files import Exported, quantized
from segsearch.trial.layers import Twins
from segsearch.trial.stages import Stages
from segsearch.workshop import Artifacts, Outcome, Progress, Workshop, silent


def explain(
    candidate: Candidate,
    shipped: str,
    bench: Bench,
    workshop: Workshop,
    *,
    calibrated: str,
    floats: Sequence[str],
    choice: Choice | None = None,
    progress: Progress = silent,
) -> Explained:
    """What int8 does to the file `shipped`, which began as `calibrated` and that as one of the files `floats`.

    Layers are told of in the whole int8 file, of which no layer is in float: one explanation of it serves all files of
    a training. Raises `DatabaseError` where none of the float files is the one, `TrialFailed` where a stage cannot be
    finished.
    """
    stages = Stages(workshop, progress)
    exact = float_file_of(calibrated, floats, stages.artifacts)
    plain = Exported(exact, params=0, macs=0, parity=0.0)
    twins = Twins(exact, quantized(whole_int8(candidate), plain, bench, stages).model, bench, stages)
    losses, times = twins.losses(), twins.times()
    confusion = scored(plain, bench, stages).confusion

    def make() -> Outcome:
        in_int8 = {
            layer.name for layer in Pair(twins.pair.exact, onnx.load(str(stages.artifacts.verified(shipped)))).layers
        }
        in_float = tuple(layer.name for layer in twins.pair.layers if layer.name not in in_int8)
        found = Explained(shipped, exact, twins.rounded, in_float, losses, times, confusion, choice)
        return {"shipped": shipped, "machine": bench.machine.key, "explained": to_json(found)}

    key = content_key(["explain", shipped, exact, twins.rounded, to_json(losses), to_json(times)])
    return from_json(Explained, str(stages.once("explain", key, make)["explained"]))


def whole_int8(candidate: Candidate) -> Candidate:
    """The candidate with all of its layers in int8, not trained on."""
    steps = tuple(replace(step, float_convolutions=0, tail=0.0, tolerance=None) for step in candidate.int8_steps)
    return replace(candidate, after_export=steps)


def float_file_of(calibrated: str, floats: Sequence[str], artifacts: Artifacts) -> str:
    """The float file that an int8 file was made of, told by its weights. Raises `DatabaseError` where it is none."""
    rounded = onnx.load(str(artifacts.verified(calibrated)))
    for name in floats:
        if artifacts.has(name) and Pair(onnx.load(str(artifacts.verified(name))), rounded).is_made_of():
            return name
    gone = [name for name in floats if not artifacts.has(name)]
    why = f"{len(gone)} of {len(floats)} are gone: copy them back" if gone else "none has its weights"
    raise DatabaseError(
        f"{artifacts.folder}: an int8 file is explained beside the float file that it was made of, and of those that "
        f"the database names {why}."
    )
