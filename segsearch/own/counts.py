"""Parameters and multiply-accumulates of an ONNX file that somebody brought."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx

from segsearch.runtimes.inputs import inputs_of

_WEIGHTS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.DOUBLE,
)
_PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")


def counts_in(model: onnx.ModelProto) -> tuple[int, int]:
    """Parameters of all layers, and products of what multiplies a map with weights or with another map.

    Shapes are those of a run on an image of zeros: exporters leave many open that the file settles.
    """
    graph = model.graph
    arrays = {one.name: one for one in graph.initializer}
    arrays |= {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    params = sum(math.prod(one.dims) for one in arrays.values() if one.data_type in _WEIGHTS)
    products = [node for node in graph.node if node.op_type in _PRODUCTS]
    names = dict.fromkeys(name for node in products for name in (*node.input[:2], node.output[0]))
    shapes = {name: tuple(one.dims) for name, one in arrays.items()}
    shapes |= _shapes_of(model, [name for name in names if name not in arrays])
    macs = 0
    for node in products:
        read, weight, made = (shapes[name] for name in (*node.input[:2], node.output[0]))
        if node.op_type in ("MatMul", "Gemm"):
            turned = any(one.name == "transA" and one.i for one in node.attribute)
            macs += math.prod(made) * read[0 if turned else -1]
        else:
            # Each weight of a kernel is used once for each pixel that is made (read, of a transposed one).
            macs += math.prod(weight) * math.prod((read if node.op_type == "ConvTranspose" else made)[2:])
    return params, macs


def _shapes_of(model: onnx.ModelProto, names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The shapes of these maps where the model is run once."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    (image,) = inputs_of(model)
    sides = [one.dim_value for one in image.type.tensor_type.shape.dim]
    entry = {image.name: np.zeros(sides, dtype=np.float32)}
    wanted = [name for name in names if name != image.name]
    there = {one.name for one in asked.graph.output}
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in there)

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(asked.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = zip(wanted, session.run(wanted, entry) if wanted else [], strict=True)
    return {image.name: tuple(sides)} | {name: tuple(np.asarray(value).shape) for name, value in found}
