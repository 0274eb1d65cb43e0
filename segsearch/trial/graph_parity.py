"""Whether the file made around somebody's ONNX graph says what that graph says by itself."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from segsearch.errors import TrialFailed
from segsearch.networks.layers import resize
from segsearch.own.graph import GraphMaker, header_in
from segsearch.runtimes import Image, Runtime
from segsearch.runtimes.graphs import with_scores
from segsearch.space.candidate import Output
from segsearch.space.own import OwnNetwork, Pixels
from segsearch.space.shapes import scaled
from segsearch.trial.export import PARITY_TOLERANCE


def graph_parity(
    own: OwnNetwork, maker: GraphMaker, model: Path, runtime: Runtime, images: Sequence[Image], *, output: Output
) -> float:
    """The largest difference of scores, relative to the largest score. Raises `TrialFailed` above the tolerance.

    The graph by itself is fed pixels that numpy made ready, and torch resizes what it answers.
    """
    header = header_in(maker.path)
    size = header.size if output == "scores" else scaled(header.size, own.answer_scale)
    with tempfile.TemporaryDirectory(prefix="segsearch-parity-") as scratch:
        inner = with_scores(model, Path(scratch) / "scores.onnx") if output == "mask" else model
        ours, theirs = runtime.open(inner, threads=1), runtime.open(maker.path, threads=1)
        relative = 0.0
        for image in images:
            answered = torch.from_numpy(np.asarray(theirs.run(taken(image, own.pixels))))
            if header.binary:
                answered = torch.cat([torch.zeros_like(answered), answered], dim=1)
            expected, found = resize(answered, size), torch.from_numpy(np.asarray(ours.run(image)))
            if found.shape != expected.shape or not bool(found.isfinite().all()):
                raise TrialFailed("parity", f"The file must answer {tuple(expected.shape)}, got {tuple(found.shape)}.")
            largest = max(float(expected.abs().max()), 1e-6)
            relative = max(relative, float((found - expected).abs().max()) / largest)
    if relative > PARITY_TOLERANCE:
        raise TrialFailed(
            "parity",
            f"The file must agree with the graph that it is made of within {PARITY_TOLERANCE:g}, got {relative:.3g}.",
        )
    return relative


def taken(image: Image, pixels: Pixels) -> Image:
    """An image (1, 3, height, width) of RGB 0..255 as a network takes it."""
    ordered = image[:, ::-1] if pixels.channels == "bgr" else image
    mean, std = (np.array(one, dtype=np.float64).reshape(1, 3, 1, 1) for one in (pixels.mean, pixels.std))
    found: Image = np.ascontiguousarray((ordered * (pixels.top / 255.0) - mean) / std, dtype=np.float32)
    return found
