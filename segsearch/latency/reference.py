"""The reference models that every latency is a ratio to: fixed small networks, one of floats and one of int8."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Of the size of a small segmentation model's maps, so that what disturbs the caches disturbs both alike.
HEIGHT, WIDTH = 288, 384
# (input channels, output channels, kernel, stride, groups) of each convolution.
LAYERS = (
    (3, 16, 3, 2, 1),
    (16, 32, 3, 2, 1),
    (32, 32, 3, 1, 32),
    (32, 64, 1, 1, 1),
    (64, 64, 3, 2, 1),
    (64, 64, 3, 1, 64),
    (64, 96, 1, 1, 1),
    (96, 8, 1, 1, 1),
)
# What is added to a name when the network of that name changes: its times no longer compare.
VERSION = 1


def reference_for(model: Path) -> str:
    """The name of the reference to time a model against: int8 kernels slow down otherwise than those of floats."""
    graph = onnx.load(str(model), load_external_data=False).graph
    return "int8" if any(node.op_type in _QUANTIZED for node in graph.node) else "float32"


_QUANTIZED = {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}


def reference_bytes(name: str) -> bytes:
    """The reference model of that name, the same bytes each time."""
    nodes, weights = REFERENCES[name]()
    scale = numpy_helper.from_array(np.array([1, 1, 8, 8], np.float32), "scale")
    nodes.append(
        helper.make_node(
            "Resize", ["small", "", "scale"], ["scores"], mode="linear", coordinate_transformation_mode="half_pixel"
        )
    )
    graph = helper.make_graph(
        nodes,
        f"segsearch-reference-{name}-{VERSION}",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 8, HEIGHT, WIDTH])],
        [*weights, scale],
    )
    made: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return made


def empty_bytes() -> bytes:
    """A model that does nothing: what a runtime needs for itself is read with it."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "empty", value[:1], value[1:])
    made: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return made


_Graph = tuple[list[onnx.NodeProto], list[onnx.TensorProto]]


def _float32(source: str = "image", result: str = "small") -> _Graph:
    """Convolutions and ReLUs in float32."""
    draw = np.random.RandomState(0)
    nodes, weights, running = [], [], source
    for index, (inputs, outputs, kernel, stride, groups) in enumerate(LAYERS):
        shape = (outputs, inputs // groups, kernel, kernel)
        values = draw.standard_normal(shape) / (shape[1] * kernel * kernel) ** 0.5
        weights += [
            numpy_helper.from_array(values.astype(np.float32), f"w{index}"),
            numpy_helper.from_array(draw.uniform(-0.1, 0.1, outputs).astype(np.float32), f"b{index}"),
        ]
        last = index == len(LAYERS) - 1
        done = result if last else f"c{index}"
        inner = [running, f"w{index}", f"b{index}"]
        nodes.append(helper.make_node("Conv", inner, [done], **_shape_of(kernel, stride, groups)))
        if not last:
            nodes.append(helper.make_node("Relu", [done], [f"r{index}"]))
        running = f"r{index}"
    return nodes, weights


def _int8() -> _Graph:
    """The same convolutions in int8 beside those in float32: a quantized model has its share of both."""
    draw = np.random.RandomState(0)
    nodes, weights = _float32(result="small_float")
    constants = {"s": np.float32(0.05), "z": np.uint8(128), "ws": np.float32(0.02), "wz": np.int8(0)}
    constants |= {"image_s": np.float32(1), "image_z": np.uint8(0)}
    weights += [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    nodes.append(helper.make_node("QuantizeLinear", ["image", "image_s", "image_z"], ["q"]))
    running, scale, zero = "q", "image_s", "image_z"
    for index, (inputs, outputs, kernel, stride, groups) in enumerate(LAYERS):
        shape = (outputs, inputs // groups, kernel, kernel)
        weights += [
            numpy_helper.from_array(draw.randint(-60, 61, shape).astype(np.int8), f"qw{index}"),
            numpy_helper.from_array(draw.randint(-500, 501, outputs).astype(np.int32), f"qb{index}"),
        ]
        inner = [running, scale, zero, f"qw{index}", "ws", "wz", "s", "z", f"qb{index}"]
        nodes.append(helper.make_node("QLinearConv", inner, [f"q{index}"], **_shape_of(kernel, stride, groups)))
        running, scale, zero = f"q{index}", "s", "z"
    nodes.append(helper.make_node("DequantizeLinear", [running, "s", "z"], ["small_int8"]))
    nodes.append(helper.make_node("Add", ["small_float", "small_int8"], ["small"]))
    return nodes, weights


def _shape_of(kernel: int, stride: int, groups: int) -> dict[str, Any]:
    return {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4, "group": groups}


REFERENCES: Mapping[str, Callable[[], _Graph]] = {"float32": _float32, "int8": _int8}
