"""Biases of an int8 graph, corrected by how far rounding moves the mean of each channel (arXiv:1906.04721)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from segsearch.compression.types import CalibrationImages

_INT32 = np.iinfo(np.int32)


def corrected(exact: onnx.ModelProto, rounded: onnx.ModelProto, images: CalibrationImages) -> None:
    """Correct the biases of `rounded`, the int8 form of `exact`, in place: one convolution after the other.

    What an earlier correction changes is seen by those that follow. Convolutions in float, and those that have no bias
    of their own, stay as they are.
    """
    nodes = {node.name: node for node in rounded.graph.node}
    made = {name: node for node in rounded.graph.node for name in node.output}
    stored = {tensor.name: tensor for tensor in rounded.graph.initializer}
    reads = Counter(name for node in rounded.graph.node for name in node.input)
    convolutions = [node for node in exact.graph.node if node.op_type == "Conv" and node.name in nodes]
    wanted = _means(exact, [node.output[0] for node in convolutions], images)
    for convolution, mean in zip(convolutions, wanted, strict=True):
        node = nodes[convolution.name]
        source = made.get(node.input[2]) if len(node.input) > 2 else None
        if source is None or source.op_type != "DequantizeLinear":
            continue
        if reads[source.output[0]] > 1 or reads[source.input[0]] > 1:  # shared by several
            continue
        (now,) = _means(rounded, [node.output[0]], images)
        bias, scale = (stored[name] for name in source.input[:2])
        moved = numpy_helper.to_array(bias) + np.round((mean - now) / numpy_helper.to_array(scale))
        bias.CopyFrom(numpy_helper.from_array(moved.clip(_INT32.min, _INT32.max).astype(np.int32), bias.name))


def maps_of(
    model: onnx.ModelProto, names: Collection[str], images: CalibrationImages
) -> Iterator[list[NDArray[np.float32]]]:
    """What some maps of a graph hold for each image, by a session that leaves the graph as it is."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.node[:], opened.graph.output[:]
    opened.graph.node.extend(_needed(model.graph, names))
    opened.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(opened.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for image in images:
        yield session.run(list(names), {"image": image})


def _means(model: onnx.ModelProto, names: Collection[str], images: CalibrationImages) -> list[NDArray[np.float64]]:
    """The mean of each channel of some maps over the images."""
    found = maps_of(model, names, images)
    means = [[one.mean(axis=(0, *range(2, one.ndim)), dtype=np.float64) for one in maps] for maps in found]
    return [np.mean(of_map, axis=0) for of_map in zip(*means, strict=True)]


def _needed(graph: onnx.GraphProto, names: Collection[str]) -> Iterator[onnx.NodeProto]:
    """The nodes that some values are made by, in their order."""
    wanted, kept = set(names), set[int]()
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if wanted.intersection(node.output):
            kept.add(index)
            wanted.update(node.input)
    yield from (graph.node[index] for index in sorted(kept))
