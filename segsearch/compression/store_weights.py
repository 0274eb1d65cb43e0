"""Weights in fewer bits in the file, which the runtime expands to floats: 16-bit floats, or numbers of 4 and 8 bits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.version_converter
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from segsearch.compression.types import CalibrationImages
from segsearch.errors import TrialFailed
from segsearch.space.steps import StoreWeights

# Numbers of 4 bits, and scales of several in a row, came with this opset and this version of the format.
OPSET, IR_VERSION = 21, 10
# Weights of fewer inputs are few, and rounding them to 4 bits costs much: 8 bits. The others share a scale by so many.
FEW_INPUTS, BLOCK = 64, 16
# A scale is the largest weight's by one of these shares: that of the least squared error.
_SHARES = np.linspace(1.0, 0.5, 26)


def store_weights(source: Path, target: Path, step: StoreWeights, /, *, images: CalibrationImages) -> None:
    """Write `source` to `target` with its convolutions' weights stored in fewer bits; no image is looked at.

    Raises `TrialFailed` where no convolution has weights of its own in float, or a graph cannot be told by `OPSET`.
    """
    model = onnx.load(str(source))
    try:
        if step.bits != 16:
            model = _at_opset(model)
        stored = _stored(model, step.bits)
    except TrialFailed:
        raise
    except Exception as error:  # onnx's errors share no base class but Exception
        raise TrialFailed("quantize", f"The weights could not be stored in {step.bits} bits: {error}") from error
    onnx.save(stored, str(target))


def _at_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph by the operators of an opset that knows numbers of 4 bits: several take their attributes as inputs."""
    opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    if opset < OPSET:
        about = list(model.metadata_props)
        model = onnx.version_converter.convert_version(model, OPSET)
        del model.metadata_props[:]
        model.metadata_props.extend(about)
    model.ir_version = max(IR_VERSION, model.ir_version)
    return model


def _stored(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    """The graph with its convolutions' weights in so many bits, in place."""
    graph = model.graph
    taken = {node.input[1] for node in graph.node if node.op_type in ("Conv", "ConvTranspose")}
    weights = [one for one in graph.initializer if one.name in taken and one.data_type == TensorProto.FLOAT]
    if not weights:
        raise TrialFailed("quantize", "The graph has no convolution with 32-bit float weights of its own to store.")
    nodes = list(graph.node)
    del graph.node[:]
    for tensor in weights:
        stored, node = _half(tensor) if bits == 16 else _whole(tensor)
        graph.initializer.remove(tensor)
        graph.initializer.extend(stored)
        graph.node.append(node)
    graph.node.extend(nodes)
    return model


def _half(tensor: onnx.TensorProto) -> tuple[list[onnx.TensorProto], onnx.NodeProto]:
    """Weights as 16-bit floats, and the node that makes 32-bit ones of them; what is too large stays the largest."""
    value, most = numpy_helper.to_array(tensor), float(np.finfo(np.float16).max)
    name = f"{tensor.name}_half"
    stored = numpy_helper.from_array(np.clip(value, -most, most).astype(np.float16), name)
    return [stored], helper.make_node("Cast", [name], [tensor.name], name=f"{name}_expanded", to=TensorProto.FLOAT)


def _whole(tensor: onnx.TensorProto) -> tuple[list[onnx.TensorProto], onnx.NodeProto]:
    """Weights (out, in, ...) as whole numbers with their scales, and the node that makes floats of them.

    Those of transposed convolutions are (in, out, ...): there input channels have the scales.
    """
    value = numpy_helper.to_array(tensor)
    blocks = value[0].size >= FEW_INPUTS and value.shape[1] % BLOCK == 0
    bits = 4 if blocks else 8
    most = 2 ** (bits - 1) - 1
    # Numbers that share a scale are one row: all of an output channel, or as many of its input channels at one tap.
    rows = np.concatenate(list(_rows(value))) if blocks else value.reshape(len(value), -1)
    scales = _scales(rows, most)
    steps = np.clip(np.round(rows / scales[:, None]), -most, most)
    about: dict[str, Any] = {"axis": 0}
    if blocks:
        about = {"axis": 1, "block_size": BLOCK}
        taps = math.prod(value.shape[2:])
        steps = steps.reshape(len(value), taps, -1).transpose(0, 2, 1)
        scales = scales.reshape(len(value), taps, -1).transpose(0, 2, 1)
        scales = scales.reshape(len(value), -1, *value.shape[2:])
    kind = np.int8 if bits == 8 else ml_dtypes.int4
    name, scale = f"{tensor.name}_rounded", f"{tensor.name}_scale"
    stored = [
        numpy_helper.from_array(steps.reshape(value.shape).astype(kind), name),
        numpy_helper.from_array(scales.astype(np.float32), scale),
    ]
    expanded = helper.make_node("DequantizeLinear", [name, scale], [tensor.name], name=f"{name}_expanded", **about)
    return stored, expanded


def _rows(value: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """The blocks of each output channel, tap by tap: (taps x blocks, BLOCK) each."""
    for channel in value:
        yield channel.reshape(value.shape[1], -1).T.reshape(-1, BLOCK)


def _scales(rows: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """For each row the scale whose squared error is least; 1 where all is zero."""
    largest = np.abs(rows).max(axis=1)
    found, best = np.where(largest > 0, largest / most, 1.0).astype(np.float32), np.full(len(rows), np.inf)
    whole = found
    for share in _SHARES:
        scale = whole * np.float32(share)
        steps = np.clip(np.round(rows / scale[:, None]), -most, most)
        error = ((steps * scale[:, None] - rows) ** 2).sum(axis=1)
        found, best = np.where(error < best, scale, found), np.minimum(error, best)
    return found
