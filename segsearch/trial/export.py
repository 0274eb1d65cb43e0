"""Export a network to one ONNX file of fixed shape, and check that the file says what torch says."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from segsearch.errors import TrialFailed
from segsearch.networks import Network, answering, folded, masking
from segsearch.runtimes import Answer, Image, Runtime
from segsearch.runtimes.graphs import with_scores
from segsearch.space.candidate import Output

OPSET = 17
# The keys of the metadata that `note_reading` writes.
LEVELS, EXIF = "segsearch.levels", "segsearch.exif"
# Float kernels of two libraries differ in the last bits and the differences add up over the layers; a wrong
# operator is off by far more.
PARITY_TOLERANCE = 1e-3


def export(network: nn.Module, size: tuple[int, int], target: Path, *, output: Output = "scores") -> None:
    """Write `network`, folded, to `target`: input `image` (1, 3, height, width) float32, RGB in 0..255.

    Output is `mask` (1, height, width) uint8 or `scores` (1, classes, height, width) float32.
    """
    answers = answering(folded(network), output).eval().to("cpu")
    example = torch.zeros(1, 3, *size)
    with warnings.catch_warnings(), torch.no_grad():
        # The shape is fixed on purpose, so tracing its arithmetic as constants is what is wanted; and the
        # tracing exporter is quicker than its successor for the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            answers,
            (example,),
            str(target),
            input_names=["image"],
            output_names=[output],
            opset_version=OPSET,
            dynamo=False,
        )


def note_reading(model: Path, levels: tuple[float, float] | None, *, exif_ignored: bool) -> None:
    """Write into a file's metadata how its images are read, where that is not as any image is read.

    Where images hold more than 8 bits, which stored values 0 and 255 stand for: whoever feeds the file on a device must
    stretch images alike, (value - black) / (white - black) * 255, clipped. And where EXIF orientations are ignored.
    """
    notes = {} if levels is None else {LEVELS: json.dumps({"black": levels[0], "white": levels[1]})}
    notes |= {EXIF: "ignore"} if exif_ignored else {}
    if not notes:
        return
    loaded = onnx.load(str(model))
    known = {one.key: one.value for one in loaded.metadata_props}
    onnx.helper.set_model_props(loaded, known | notes)
    onnx.save(loaded, str(model))


def check_parity(network: nn.Module, model: Path, runtime: Runtime, *images: Image, output: Output = "scores") -> float:
    """Largest difference between torch's scores and the file's on some images, relative to an image's largest score.

    The network is asked as it is, not folded: what a fold would change shows as well as what an export does.
    Images are (1, 3, height, width). Of a file that answers a mask it is that of the scores that the mask is made of;
    the mask itself may choose another class than torch only where the two scores are that near. Raises `TrialFailed`
    above the tolerance or where either is not finite.
    """
    network = network.eval()
    answered = [torch.from_numpy(found) for found in _run(runtime, model, images)]
    with torch.no_grad():
        if output == "scores":
            expected = [network(torch.from_numpy(image)) for image in images]
            return max(map(_difference, expected, answered))
        masked = masking(network)
        scores = [masked.scores(torch.from_numpy(image)) for image in images]
    for mask, image in zip(answered, images, strict=True):
        _demand_shape(torch.empty((1, *image.shape[2:]), dtype=torch.uint8), mask)
    with tempfile.TemporaryDirectory(prefix="segsearch-parity-") as scratch:
        inner = _run(runtime, with_scores(model, Path(scratch) / "scores.onnx"), images)
    relative = max(map(_difference, scores, map(torch.from_numpy, inner)))
    for each, mask in zip(scores, answered, strict=True):
        _demand_mask(each, mask)
    return relative


def _run(runtime: Runtime, model: Path, images: Sequence[Image]) -> list[Answer]:
    session = runtime.open(model, threads=1)
    return [session.run(image) for image in images]


def _difference(expected: Tensor, found: Tensor) -> float:
    """The largest difference relative to the largest score, where it is within the tolerance."""
    _demand_shape(expected, found)
    if not (expected.isfinite().all() and found.isfinite().all()):
        raise TrialFailed("parity", "The network's scores must be finite, got NaN or infinity.")
    relative = float((found - expected).abs().max()) / _largest(expected)
    _demand_near(relative, PARITY_TOLERANCE)
    return relative


def _demand_mask(scores: Tensor, found: Tensor) -> None:
    """A class that the file chose against torch's scores may be behind by what two of them may differ, and no more.

    Where a pixel lies on the edge between two of the answer's cells, runtimes that count in other floats take the one
    or the other: either will do.
    """
    first, second = scores.topk(min(2, scores.shape[1]), dim=1).values[0, [0, -1]]
    chosen, lead = scores[0].argmax(dim=0), first - second
    behind = torch.full(found.shape[1:], torch.inf)
    for rows in _cells(scores.shape[2], found.shape[1]):
        for columns in _cells(scores.shape[3], found.shape[2]):
            here = rows[:, None], columns[None, :]
            behind = torch.minimum(behind, torch.where(chosen[here] == found[0], 0.0, lead[here]))
    _demand_near(float(behind.max()) / _largest(scores), 2 * PARITY_TOLERANCE)


def _cells(answers: int, pixels: int) -> tuple[Tensor, Tensor]:
    """The answer that each pixel takes, counted a little below and a little above; a whole ratio leaves no choice."""
    exact = torch.arange(pixels, dtype=torch.float64) * answers / pixels
    aside = 1e-4 if pixels % answers else 0.0
    low, high = ((exact + shift).floor().long().clamp(0, answers - 1) for shift in (-aside, aside))
    return low, high


def _demand_near(relative: float, tolerance: float) -> None:
    if relative > tolerance:
        raise TrialFailed(
            "parity", f"The exported file must agree with torch within {tolerance:g}, got {relative:.3g}."
        )


def _largest(scores: Tensor) -> float:
    return max(float(scores.abs().max()), 1e-6)


def _demand_shape(expected: Tensor, found: Tensor) -> None:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        wanted, got = (f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}" for value in (expected, found))
        raise TrialFailed("parity", f"The file must answer as torch does, {wanted}; got {got}.")


def count_macs(network: nn.Module, size: tuple[int, int]) -> int:
    """Multiply-accumulates of one image, as torch's own counter sees them (matrix and convolution operators).

    They are those of `forward`, as the file runs it: folded, without auxiliary heads.
    """
    device = next(network.parameters()).device
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shipped = folded(network).eval()
        shipped(torch.zeros(1, 3, *size, device=device))
    return (int(counter.get_total_flops()) - _beside(shipped, counter)) // 2


def _beside(network: nn.Module, counter: FlopCounterMode) -> int:
    """Operations of layers that were run and do not ship: nobody reads their maps."""
    if not isinstance(network, Network):
        return 0
    layers = {name.rpartition(".")[0] for name, _ in network.named_parameters() if not network.ships(name)}
    counts = counter.get_flop_counts()
    return sum(sum(counts.get(f"{type(network).__name__}.{name}", {}).values()) for name in layers)


def count_params(network: nn.Module) -> int:
    """Parameters of what ships: folded, without what stays behind (`Network.ships`)."""
    shipped = folded(network)
    ships = shipped.ships if isinstance(shipped, Network) else bool
    return sum(value.numel() for name, value in shipped.named_parameters() if ships(name))
