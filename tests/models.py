"""Small ONNX files made by hand, and this machine with reference times that nobody had to measure."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from segsearch.evidence.timing import Machine
from segsearch.latency.kept import kept_times
from segsearch.latency.machine import this_machine
from segsearch.runtimes import RUNTIMES
from segsearch.workshop import user_folder

RUNTIME = RUNTIMES["onnxruntime"]
KNOWN = (("float32-1", 5.0), ("int8-1", 9.0))


def here(*, threads: int = 1, cores: Sequence[int] | None = None) -> Machine:
    """This machine; a run of its references takes 5 and 9 ms."""
    return replace(this_machine(RUNTIME, threads=threads, cores=cores), references=KNOWN)


def keep_times(*, threads: int = 1) -> None:
    """Reference times of this machine in the user's folder, as if it had been timed."""
    machine = this_machine(RUNTIME, threads=threads)
    scratch = kept_times(machine.key).with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps(dict(KNOWN)))
    scratch.replace(kept_times(machine.key))  # whole, whoever reads it meanwhile


def calibrate_at_once(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """An own folder of the user's, where every machine gets the reference times of `here` without a measurement."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    times = {name.removesuffix("-1"): value for name, value in KNOWN}
    monkeypatch.setattr("segsearch.latency.measure._reference_ms", lambda name, machine, runtime: times[name])
    assert user_folder() == folder / "segsearch"


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
    *,
    output: int = TensorProto.FLOAT,
) -> Path:
    """A graph whose last node makes the one output, of whatever shape."""
    values = [helper.make_tensor_value_info(nodes[-1].output[0], output, None)]
    graph = helper.make_graph(list(nodes), "graph", list(inputs), values, list(weights))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def one_node(
    path: Path,
    operator: str = "Relu",
    shape: Sequence[int | str] | None = (1, 3, 8, 8),
    *,
    dtype: int = TensorProto.FLOAT,
    inputs: Sequence[str] = ("image",),
) -> Path:
    """One operator on inputs of one shape and type."""
    node = helper.make_node(operator, list(inputs), ["scores"])
    values = [helper.make_tensor_value_info(name, dtype, shape) for name in inputs]
    return save(path, [node], values, output=dtype)


def convolutions(path: Path, *, size: int | str = 32, depth: int = 3, channels: int = 16, seed: int = 0) -> Path:
    """Convolutions of 3 x 3 with a ReLU after each; the seed tells files of equal work apart."""
    draw = np.random.RandomState(seed)
    nodes, weights, running, width = [], [], "image", 3
    for index in range(depth):
        values = draw.standard_normal((channels, width, 3, 3)) / (9 * width) ** 0.5
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{index}"))
        nodes += [
            helper.make_node("Conv", [running, f"w{index}"], [f"c{index}"], name=f"conv{index}", pads=[1] * 4),
            helper.make_node("Relu", [f"c{index}"], [f"r{index}"], name=f"relu{index}"),
        ]
        running, width = f"r{index}", channels
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size, size])
    return save(path, nodes, [image], weights)


def fails_when_run(path: Path) -> Path:
    """It opens, and its only operation cannot be carried out: three numbers are no four."""
    node = helper.make_node("Reshape", ["image", "sides"], ["scores"])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3])
    return save(path, [node], [image], [numpy_helper.from_array(np.array([4]), "sides")])


def resized(path: Path, *, open_size: bool = False) -> Path:
    """An image and the size that it is brought to, as a list of four numbers: zeros are no size."""
    node = helper.make_node("Resize", ["image", "", "", "size"], ["scores"], mode="nearest")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    size = helper.make_tensor_value_info("size", TensorProto.INT64, ["count" if open_size else 4])
    return save(path, [node], [image, size])


def beside(path: Path, *, name: str = "model.data", size: int | str = 32) -> Path:
    """`convolutions` whose weights lie in another file."""
    onnx.save(
        onnx.load(convolutions(path, size=size)),
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=name,
        size_threshold=0,
    )
    return path


def scoring(path: Path, *, kind: int = TensorProto.FLOAT, node: str = "scores", rank: int = 4) -> Path:
    """A model whose scores are its input."""
    shape = (1, 5, 8, 8)[:rank]
    made = helper.make_node("Identity", ["image"], [node])
    ends = [helper.make_tensor_value_info(name, kind, shape) for name in ("image", node)]
    graph = helper.make_graph([made], "scoring", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
