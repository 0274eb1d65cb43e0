"""What ONNX Runtime makes of a file."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import onnx
import onnxruntime as ort


def optimized(model: Path) -> onnx.GraphProto:
    """The graph as it runs, but for layouts that differ from processor to processor."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath).graph


def float_convolutions(model: Path) -> list[str]:
    """Convolutions of an int8 file that are run in float."""
    return [node.name for node in optimized(model).node if node.op_type in ("Conv", "FusedConv", "ConvTranspose")]


def early_convolutions(model: Path, most: int) -> list[str]:
    """Convolutions of a float file that at most so many lie before and at, on the longest path from the input."""
    graph = onnx.load(model).graph
    depths, found = dict.fromkeys((value.name for value in graph.input), 0), []
    for node in graph.node:
        if known := [depths[name] for name in node.input if name in depths]:
            depth = max(known) + (node.op_type == "Conv")
            depths.update(dict.fromkeys(node.output, depth))
            if node.op_type == "Conv" and depth <= most:
                found.append(node.name)
    return found


def kinds(model: Path) -> Counter[str]:
    """How many operations of each kind run."""
    return Counter(node.op_type for node in optimized(model).node)
