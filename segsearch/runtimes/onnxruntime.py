"""ONNX Runtime on the CPU: fixed threads, no spinning."""

from __future__ import annotations

import json
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from segsearch.errors import TrialFailed
from segsearch.runtimes.types import NOISE, Answer, Feed, Image, Operation

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class OnnxSession:
    """An opened ONNX file of one input and one output, both of fixed shape."""

    inner: Any
    shape: tuple[int, int, int, int]

    def run(self, image: Image, /) -> Answer:
        answer: Answer = self.inner.run(None, {self.inner.get_inputs()[0].name: image})[0]
        return answer


@dataclass(frozen=True)
class OnnxTimer:
    """An opened ONNX file whose inputs and outputs are bound once: a run is then the model and nothing of Python's."""

    inner: Any
    binding: Any

    def times_ns(self, runs: int, /) -> list[tuple[int, int]]:
        found = []
        for _ in range(runs):
            wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
            self.inner.run_with_iobinding(self.binding)
            found.append((time.perf_counter_ns() - wall, time.thread_time_ns() - cpu))
        return found


@dataclass(frozen=True)
class OnnxRuntime:
    """The first runtime."""

    name: str = "onnxruntime"

    @property
    def version(self) -> str:
        return str(ort.__version__)

    def open(self, model: Path, /, *, threads: int) -> OnnxSession:
        inner = _open(model, threads)
        shape = inner.get_inputs()[0].shape
        if len(shape) != 4 or not all(isinstance(side, int) for side in shape) or shape[:2] != [1, 3]:
            raise TrialFailed("runtime", f"The input must have a fixed shape (1, 3, height, width), got {shape}.")
        return OnnxSession(inner, (shape[0], shape[1], shape[2], shape[3]))

    def timer(self, model: Path, /, *, threads: int, feed: Feed = NOISE) -> OnnxTimer:
        inner = _open(model, threads, weights=feed.weights)
        binding = inner.io_binding()
        for name, numbers in _fed(inner, model, feed).items():
            binding.bind_cpu_input(name, numbers)
        for output in inner.get_outputs():
            binding.bind_output(output.name, "cpu")
        return OnnxTimer(inner, binding)

    def profile(self, model: Path, /, *, threads: int, runs: int, feed: Feed = NOISE) -> tuple[Operation, ...]:
        """Mean time of each operation of the optimized graph, as they run, over `runs` runs after as many unseen."""
        with tempfile.TemporaryDirectory(prefix="segsearch-profile-") as scratch:
            inner = _open(model, threads, weights=feed.weights, profile=Path(scratch) / "profile")
            numbers = _fed(inner, model, feed)
            for _ in range(2 * runs):
                inner.run(None, numbers)
            events = json.loads(Path(inner.end_profiling()).read_text())
        return _operations(events, runs)


def _operations(events: list[dict[str, Any]], runs: int) -> tuple[Operation, ...]:
    micros: dict[tuple[int, str, str], list[float]] = {}  # in the order they ran first: indices of fused nodes are not
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            about = event["args"]
            key = (int(about["node_index"]), about["op_name"], event["name"].removesuffix("_kernel_time"))
            micros.setdefault(key, []).append(float(event["dur"]))
    found = []
    for (_, kind, name), times in micros.items():
        samples = tuple(time / 1e3 for time in times[-runs:])
        found.append(Operation(name, kind, sum(samples) / len(samples), samples))
    return tuple(found)


def _open(model: Path, threads: int, *, weights: str | None = None, profile: Path | None = None) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Threads that spin after a run take the cores from whatever runs beside, and make the next sample lucky.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if weights is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", weights)
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    try:
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class but Exception
        said = f"ONNX Runtime {ort.__version__} cannot open {model.name}: {too_new(str(error)) or error}"
        raise TrialFailed("runtime", said) from error


def too_new(reason: str) -> str | None:
    """What ONNX Runtime says of versions or operators that it does not know, in words; None of other errors."""
    if found := re.search(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)", reason):
        return (
            f"the file has IR version {found[1]}, and this runtime knows up to {found[2]}. "
            f"Save it with ir_version {found[2]} or below, or update onnxruntime."
        )
    if found := re.search(
        r"Opset (\d+) is under development.*support for domain (\S+) is till opset (\d+)", reason, re.S
    ):
        return (
            f"the file has opset {found[1]} of {found[2]}, and this runtime knows up to {found[3]}. "
            f"Export it with opset_version {found[3]} or below, or update onnxruntime."
        )
    if found := re.search(r"([\w.]+):(\w+)\((-?\d+)\) is not a registered function/op", reason):
        domain, operator, version = found.groups()
        if domain not in ("ai.onnx", "onnx"):
            of = "" if version == "-1" else f", version {version}"
            return (
                f"the file has the operator {operator} of the domain {domain}{of}, and this runtime knows none of that "
                "domain. Export the model with operators of ONNX alone."
            )
    return None


def _fed(inner: Any, model: Path, feed: Feed) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """What each input is given, by name: its values, or noise of a fixed seed.

    The time of a convolution does not depend on the picture, and noise has no denormals. Whole numbers that are no
    pixels may be indices: they are 0.
    """
    given, draw = dict(feed.values), np.random.default_rng(0)
    fed = {}
    for one in inner.get_inputs():
        shape, dtype = one.shape, _DTYPES.get(one.type)
        if not all(isinstance(side, int) and side > 0 for side in shape):
            raise TrialFailed(
                "runtime", f"A model to time must have inputs of a fixed shape; {model.name} takes {shape}."
            )
        if dtype is None:
            raise TrialFailed("runtime", f"A model to time must take numbers; {model.name} takes {one.type}.")
        if one.name in given:
            fed[one.name] = np.array(given[one.name], dtype=dtype).reshape(shape)
            continue
        high = 255 if np.issubdtype(dtype, np.floating) or dtype is np.uint8 else 0
        fed[one.name] = draw.uniform(0, high, shape).astype(dtype)
    if not fed:
        raise TrialFailed("runtime", f"A model to time must have an input; {model.name} has none.")
    return fed
