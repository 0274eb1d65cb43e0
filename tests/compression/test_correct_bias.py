"""Corrected biases: each channel has the mean that it has in float, and nothing else of the file changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from segsearch.compression.correct_bias import _means
from segsearch.compression.quantize import quantize
from segsearch.space.keys import to_json
from segsearch.space.steps import Quantize
from tests.compression.test_quantize import ARCHITECTURE, IMAGES, exported


@pytest.mark.parametrize("first", [0, 2])
def test_channels_have_the_mean_of_the_float_file_and_only_biases_change(tmp_path: Path, first: int) -> None:
    source = exported(ARCHITECTURE, tmp_path / "float.onnx")
    files = [tmp_path / name for name in ("plain.onnx", "corrected.onnx")]
    for file, correct in zip(files, (False, True), strict=True):
        quantize(source, file, Quantize(float_convolutions=first, correct_bias=correct), images=IMAGES)
    exact, plain, corrected = (onnx.load(str(file)) for file in (source, *files))
    assert [node.SerializeToString() for node in plain.graph.node] == [
        node.SerializeToString() for node in corrected.graph.node
    ]
    before, after = ({one.name: one for one in model.graph.initializer} for model in (plain, corrected))
    changed = {name for name, one in before.items() if one.SerializeToString() != after[name].SerializeToString()}
    made = {name: node for node in corrected.graph.node for name in node.output}
    nodes = {node.name: node for node in corrected.graph.node}
    moved = 0
    for convolution in (node for node in exact.graph.node if node.op_type == "Conv"):
        node = nodes[convolution.name]
        if node.input[2] not in made:
            continue
        bias, scale = made[node.input[2]].input[:2]
        (wanted,), (found,), (was,) = (
            _means(model, [name], IMAGES)
            for model, name in ((exact, convolution.output[0]), (corrected, node.output[0]), (plain, node.output[0]))
        )
        step = numpy_helper.to_array(after[scale])
        assert np.all(np.abs(wanted - found) <= 0.5 * step + 1e-4 * np.abs(wanted).max())
        moved += float(np.abs(wanted - was).max()) > float(np.abs(wanted - found).max())
        changed -= {bias}
    assert moved > 3
    assert not changed


def test_stored_steps_are_as_they_were() -> None:
    assert "correct_bias" not in to_json(Quantize())
    assert Quantize(correct_bias=True).words == "int8, biases corrected"
