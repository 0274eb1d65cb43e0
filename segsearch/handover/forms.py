"""The two forms of an answer, mask and scores: the one made of the other, and whether a written file says the same."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segsearch.errors import TrialFailed
from segsearch.space.candidate import Output

if TYPE_CHECKING:
    from segsearch.runtimes import Answer, Image

# Two graphs of the same weights may be fused otherwise: scores differ in their last bits, relative to the largest.
TOLERANCE = 1e-4
# What metadata of a written file begin with.
PREFIX = "segsearch."


def answer_of(model: Path) -> Output:
    """What a file answers. Raises `TrialFailed` where it cannot be run."""
    from segsearch.runtimes import RUNTIMES

    session = RUNTIMES["onnxruntime"].open(model, threads=1)
    return "scores" if session.run(np.zeros(session.shape, dtype=np.float32)).ndim == 4 else "mask"


def other(answers: Output) -> Output:
    return "scores" if answers == "mask" else "mask"


def answers_of(model: Path, images: Sequence[Image]) -> list[Answer]:
    """What a file says of some images (1, 3, height, width). Raises `TrialFailed` where it cannot be run."""
    from segsearch.runtimes import RUNTIMES

    session = RUNTIMES["onnxruntime"].open(model, threads=1)
    return [session.run(image) for image in images]


def derive(model: Path, target: Path, wanted: Output) -> None:
    """Write at `target` the form of a model that it does not have: its scores at the image's size, or their mask.

    Scores are those that the mask is chosen from; where they are smaller than the image they are grown bilinearly, as
    a network that answers scores does, and their highest is not everywhere the mask's class, which repeats.
    """
    if wanted == "mask":
        from segsearch.runtimes.graphs import Ready, with_mask

        with_mask(Ready(model), target)
    else:
        _with_full_scores(model, target)


def _with_full_scores(model: Path, target: Path) -> None:
    import onnx

    from segsearch.runtimes import RUNTIMES
    from segsearch.runtimes.graphs import with_scores

    with_scores(model, target)
    session = RUNTIMES["onnxruntime"].open(target, threads=1)
    shape = session.run(np.zeros(session.shape, dtype=np.float32)).shape
    full = (*shape[:2], *session.shape[2:])
    found = onnx.load(str(target))
    graph = found.graph
    inner = graph.output[0].name
    _drop_unread(graph)
    if full == shape:
        graph.node.add(op_type="Identity", name="full_scores", input=[inner], output=["scores"])
    else:
        sides = onnx.numpy_helper.from_array(np.array(full, dtype=np.int64), "full_size")
        graph.initializer.append(sides)
        how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        node = onnx.helper.make_node("Resize", [inner, "", "", "full_size"], ["scores"], name="full_scores", **how)
        graph.node.append(node)
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, full))
    onnx.save(found, str(target))


def _drop_unread(graph: Any) -> None:
    """Leave out what no output is made of any more: the choice of the classes."""
    needed, kept = {value.name for value in graph.output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def with_metadata(source: Path, target: Path, about: Mapping[str, str]) -> None:
    """A copy of a model whose metadata hold `about` on top, each key after `segsearch.`; the graph stays as it is."""
    import onnx

    found = onnx.load(str(source))
    kept = {entry.key: entry.value for entry in found.metadata_props}
    kept |= {f"{PREFIX}{key}": value for key, value in about.items()}
    del found.metadata_props[:]
    for key, value in kept.items():
        found.metadata_props.add(key=key, value=value)
    onnx.save(found, str(target))


def as_metadata(about: Mapping[str, Any]) -> dict[str, str]:
    """The part of `model.json` that belongs into a file: words as they are, everything else as JSON."""
    found = {
        "classes": [one["name"] for one in about["classes"]],
        "colours": [one["colour"] for one in about["classes"]],
        "void": about["void"],
        "exif": about["exif"],
        **{key: about["input"][key] for key in ("height", "width", "layout", "range", "order", "resize", "levels")},
        **{key: about["provenance"][key] for key in ("study", "trial", "seed", "artifact", "versions")},
    }
    said = {key: value for key, value in found.items() if value is not None}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in said.items()}


# ---- whether a written file says what the stored one says


def check_same(stored: Sequence[Answer], written: Sequence[Answer], name: str) -> None:
    """Raise `TrialFailed` unless a written file answers as the stored one does, bit by bit."""
    for mine, its in zip(stored, written, strict=True):
        if mine.dtype != its.dtype or mine.shape != its.shape or mine.tobytes() != its.tobytes():
            raise TrialFailed("parity", f"{name} must answer as the stored file does, bit by bit, and does not.")


def check_derived(model: Path, stored: Sequence[Answer], written: Sequence[Answer], images: Sequence[Image]) -> float:
    """How far a derived form is from what the stored file says: the largest difference of scores, relative to these.

    A mask may choose another class than the stored scores only where the two are that near; scores are those that the
    stored mask is made of, grown by numpy. Raises `TrialFailed` above the tolerance.
    """
    if stored[0].ndim == 4:
        found = float(np.max([behind(scores, mask[0]) for scores, mask in zip(stored, written, strict=True)]))
    else:
        from segsearch.runtimes.graphs import with_scores

        with tempfile.TemporaryDirectory(prefix="segsearch-parity-") as scratch:
            inner = answers_of(with_scores(model, Path(scratch) / "scores.onnx"), images)
        found = 0.0
        for mask, scores, grown in zip(stored, inner, written, strict=True):
            expected = bilinear(scores, (grown.shape[2], grown.shape[3]))
            apart = float(np.abs(expected - grown).max()) / _largest(scores)
            found = float(np.max([found, apart, behind(scores, mask[0])]))  # a NaN stays one
    if not found <= TOLERANCE:
        raise TrialFailed(
            "parity", f"The derived form must say what the stored file says within {TOLERANCE:g}, got {found:.3g}."
        )
    return found


def behind(scores: Answer, mask: NDArray[Any]) -> float:
    """How far the classes of a mask are behind the highest scores at most, relative to the largest score.

    Scores are (1, classes, h, w) and each holds for the pixels of its cell; a pixel on the edge of two may take either.
    """
    height, width = mask.shape
    lead = scores[0].max(axis=0, keepdims=True) - scores[0]
    found = np.full(mask.shape, np.inf)
    for rows in _cells(scores.shape[2], height):
        for columns in _cells(scores.shape[3], width):
            found = np.minimum(found, lead[mask, rows[:, None], columns[None, :]])
    return float(found.max()) / _largest(scores)


def _cells(answers: int, pixels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cell of each pixel, counted a little below and a little above; a whole ratio leaves no choice."""
    exact = np.arange(pixels) * answers / pixels
    aside = 1e-4 if pixels % answers else 0.0
    low, high = (np.floor(exact + shift).astype(np.int64).clip(0, answers - 1) for shift in (-aside, aside))
    return low, high


def bilinear(scores: Answer, size: tuple[int, int]) -> NDArray[np.float64]:
    """Scores (1, classes, h, w) at another size, between the centres of pixels; what lies beyond is the edge's."""
    found = scores.astype(np.float64)
    for axis, wanted in ((2, size[0]), (3, size[1])):
        have = found.shape[axis]
        place = ((np.arange(wanted) + 0.5) * have / wanted - 0.5).clip(0, have - 1)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, have - 1)
        share = (place - low).reshape([-1 if at == axis else 1 for at in range(4)])
        found = found.take(low, axis) * (1 - share) + found.take(high, axis) * share
    return found


def _largest(scores: Answer) -> float:
    return max(float(np.abs(scores).max()), 1e-6)
