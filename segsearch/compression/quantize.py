"""Static quantization to int8: QDQ nodes, weights per channel, activations calibrated on training images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from segsearch.compression.types import CalibrationImages
from segsearch.errors import TrialFailed
from segsearch.space.candidate import Quantize

# The pixel normalisation stays in float: it is one multiply-add over the image, and quantizing it twice costs accuracy.
_QUANTIZED = ["Conv", "Add", "Relu", "Concat", "AveragePool", "MaxPool", "GlobalAveragePool"]


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands the calibration images to ONNX Runtime one by one."""

    def __init__(self, images: CalibrationImages) -> None:
        self._left: Iterator[NDArray[np.float32]] = iter(images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        image = next(self._left, None)
        return None if image is None else {"image": image}


def quantize(source: Path, target: Path, step: Quantize, /, *, images: CalibrationImages) -> None:
    """Write the QDQ int8 form of `source` to `target`. Raises `TrialFailed` where the graph cannot be quantized."""
    if not len(images):
        raise ValueError("Quantization needs at least one calibration image, got none")
    activations = QuantType.QInt8 if step.symmetric_activations else QuantType.QUInt8
    options = {"ActivationSymmetric": step.symmetric_activations, "WeightSymmetric": True}
    noise = logging.getLogger()
    level = noise.level
    noise.setLevel(logging.ERROR)  # it recommends a preprocessing that the exporter has already done
    try:
        quantize_static(
            str(source),
            str(target),
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED,
            per_channel=True,
            activation_type=activations,
            weight_type=QuantType.QInt8,
            reduce_range=step.reduced_range,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=options,
        )
    except OSError:
        raise  # the disk's trouble, not the graph's
    except Exception as error:  # onnx's and ONNX Runtime's errors share no base class but Exception
        raise TrialFailed("quantize", f"ONNX Runtime could not quantize the graph: {error}") from error
    finally:
        noise.setLevel(level)
