"""ONNX Runtime on the CPU: fixed threads, no spinning."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from segsearch.errors import TrialFailed
from segsearch.runtimes.types import Image


@dataclass(frozen=True)
class OnnxSession:
    """An opened ONNX file of one input and one output, both of fixed shape."""

    inner: Any
    shape: tuple[int, int, int, int]

    def run(self, image: Image, /) -> Image:
        scores: Image = self.inner.run(None, {self.inner.get_inputs()[0].name: image})[0]
        return scores

    def time_ms(self, image: Image, /, *, warmup_runs: int, runs: int) -> list[float]:
        # Bound once: a run is then the model and nothing of Python's.
        binding = self.inner.io_binding()
        binding.bind_cpu_input(self.inner.get_inputs()[0].name, np.ascontiguousarray(image))
        binding.bind_output(self.inner.get_outputs()[0].name, "cpu")
        for _ in range(warmup_runs):
            self.inner.run_with_iobinding(binding)
        samples = []
        for _ in range(runs):
            start = time.perf_counter_ns()
            self.inner.run_with_iobinding(binding)
            samples.append((time.perf_counter_ns() - start) / 1e6)
        return samples


@dataclass(frozen=True)
class OnnxRuntime:
    """The first runtime."""

    name: str = "onnxruntime"

    @property
    def version(self) -> str:
        return str(ort.__version__)

    def open(self, model: Path, /, *, threads: int) -> OnnxSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        # Threads that spin after a run take the cores from whatever runs beside, and make the next sample lucky.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            inner = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no base class but Exception
            raise TrialFailed("runtime", f"ONNX Runtime {ort.__version__} cannot open {model.name}: {error}") from error
        shape = inner.get_inputs()[0].shape
        if len(shape) != 4 or not all(isinstance(side, int) for side in shape) or shape[:2] != [1, 3]:
            raise TrialFailed("runtime", f"The input must have a fixed shape (1, 3, height, width), got {shape}.")
        return OnnxSession(inner, (shape[0], shape[1], shape[2], shape[3]))
