"""Static quantization to int8: QDQ nodes, weights per channel, activations calibrated on training images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from segsearch.compression.correct_bias import corrected
from segsearch.compression.types import CalibrationImages
from segsearch.errors import TrialFailed
from segsearch.space.steps import Quantize

# ONNX Runtime has no integer kernel of a transposed convolution, of h-swish and of PReLU: in here they would only be
# wrapped in more conversions.
QUANTIZED = (
    "Conv",
    "Add",
    "Mul",
    "Relu",
    "Clip",
    "LeakyRelu",
    "Sigmoid",
    "Concat",
    "Split",
    "AveragePool",
    "MaxPool",
    "GlobalAveragePool",
)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands the calibration images to ONNX Runtime one by one."""

    def __init__(self, images: CalibrationImages) -> None:
        self._left: Iterator[NDArray[np.float32]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        image = next(self._left, None)
        return None if image is None else {"image": image}


def _beginning(graph: onnx.GraphProto, convolutions: int) -> list[str]:
    """The nodes that lie within so many convolutions of a path from the input, the longest path to each; none for 0."""
    depths = dict.fromkeys((value.name for value in graph.input), 0)
    found: list[str] = []
    for node in graph.node:  # makers come first
        if known := [depths[name] for name in node.input if name in depths]:
            depth = max(known) + (node.op_type == "Conv")
            depths.update(dict.fromkeys(node.output, depth))
            if depth <= convolutions:
                found.append(node.name)
    return found if convolutions else []


def _normalisation(graph: onnx.GraphProto) -> list[str]:
    """The multiplications by a constant: the pixel normalisation is one over the image, and stays in float.

    To quantize it as well would round every pixel twice.
    """
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    return [node.name for node in graph.node if node.op_type == "Mul" and constants.intersection(node.input)]


def quantizer_arguments(graph: onnx.GraphProto, step: Quantize, images: CalibrationImages) -> dict[str, Any]:
    """How ONNX Runtime's `quantize_static` is called for a step, beside the two files."""
    return {
        "calibration_data_reader": _Reader(images),
        "quant_format": QuantFormat.QDQ,
        "op_types_to_quantize": list(QUANTIZED),
        "nodes_to_exclude": [*_normalisation(graph), *_beginning(graph, step.float_convolutions)],
        "per_channel": True,
        # Unsigned also where they are symmetric, about 128: ONNX Runtime runs many convolutions of signed ones in
        # float. Either way a symmetric ReLU stays an operation of its own, where an asymmetric zero point clips.
        "activation_type": QuantType.QInt8 if step.signed else QuantType.QUInt8,
        "weight_type": QuantType.QInt8,
        "reduce_range": step.reduced_range,
        "calibrate_method": CalibrationMethod.MinMax,
        "extra_options": {"ActivationSymmetric": step.symmetric_activations, "WeightSymmetric": True},
    }


def quantize(source: Path, target: Path, step: Quantize, /, *, images: CalibrationImages) -> None:
    """Write the QDQ int8 form of `source` to `target`. Raises `TrialFailed` where the graph cannot be quantized."""
    if not len(images):
        raise ValueError("Quantization needs at least one calibration image, got none")
    noise = logging.getLogger()
    level = noise.level
    noise.setLevel(logging.ERROR)  # it recommends a preprocessing that the exporter has already done
    try:
        graph = onnx.load(str(source), load_external_data=False).graph
        quantize_static(str(source), str(target), **quantizer_arguments(graph, step, images))
        if step.correct_bias:
            rounded = onnx.load(str(target))
            corrected(onnx.load(str(source)), rounded, images)
            onnx.save(rounded, str(target))
    except OSError:
        raise  # the disk's trouble, not the graph's
    except Exception as error:  # onnx's and ONNX Runtime's errors share no base class but Exception
        raise TrialFailed("quantize", f"ONNX Runtime could not quantize the graph: {error}") from error
    finally:
        noise.setLevel(level)
