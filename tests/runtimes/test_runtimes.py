from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import nn

from segsearch.errors import TrialFailed
from segsearch.export import export
from segsearch.runtimes import RUNTIMES, Runtime

SIZE = (24, 40)
runtimes = pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=RUNTIMES)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def image_of(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 255, (1, 3, *SIZE)).astype(np.float32)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 5, 1), nn.Upsample(scale_factor=2, mode="bilinear")
    ).eval()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    export(network(), SIZE, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@runtimes
@pytest.mark.parametrize("threads", [1, 2])
def test_a_runtime_agrees_with_torch(runtime: Runtime, model: Path, threads: int) -> None:
    session = runtime.open(model, threads=threads)
    assert session.shape == (1, 3, *SIZE)
    for seed in range(3):
        image = image_of(seed)
        with torch.no_grad():
            expected = network()(torch.from_numpy(image)).numpy()
        found = session.run(image)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@runtimes
def test_a_runtime_answers_the_same_each_time_and_leaves_its_input(runtime: Runtime, model: Path) -> None:
    session, image = runtime.open(model, threads=1), image_of()
    first = session.run(image).copy()
    session.time_ms(image, warmup_runs=1, runs=2)
    session.run(image_of(1))
    assert np.array_equal(session.run(image), first)
    assert np.array_equal(image, image_of())


@runtimes
def test_samples_are_positive_and_as_many_as_asked_for(runtime: Runtime, model: Path) -> None:
    session = runtime.open(model, threads=1)
    # A view that is not contiguous: the binding holds a copy, which must outlive the call that made it.
    image = np.flip(image_of(), axis=-1)
    samples = session.time_ms(image, warmup_runs=2, runs=6)
    gc.collect()
    assert len(samples) == 6
    assert all(type(sample) is float and sample > 0 for sample in samples)
    assert session.time_ms(image, warmup_runs=0, runs=1)


@runtimes
def test_a_runtime_has_a_name_and_a_version(runtime: Runtime) -> None:
    assert RUNTIMES[runtime.name] is runtime
    assert runtime.version[0].isdigit()


@runtimes
@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"\x00" * 200, b"\x08\x08\x12\x00"], ids=["empty", "text", "zeros", "bare"]
)
def test_what_is_not_a_model_fails_the_trial(runtime: Runtime, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bad.onnx"
    file.write_bytes(content)
    with pytest.raises(TrialFailed, match=r"bad\.onnx|fixed shape") as caught:
        runtime.open(file, threads=1)
    assert caught.value.kind == "runtime"


@runtimes
def test_a_missing_file_and_half_a_file_fail_the_trial(runtime: Runtime, model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrialFailed, match=r"absent\.onnx"):
        runtime.open(tmp_path / "absent.onnx", threads=1)
    half = tmp_path / "half.onnx"
    half.write_bytes(model.read_bytes()[:-300])
    with pytest.raises(TrialFailed, match=r"half\.onnx"):
        runtime.open(half, threads=1)


def _graph(path: Path, shape: list[int | str], operator: str = "Relu") -> Path:
    graph = helper.make_graph(
        [helper.make_node(operator, ["image"], ["scores"])],
        "graph",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, shape)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.save(made, path)
    return path


@runtimes
@pytest.mark.parametrize(
    "shape", [[1, 3, "height", "width"], ["batch", 3, 8, 8], [1, 3, 8], [1, 3, 8, 8, 8], []], ids=str
)
def test_a_shape_that_is_not_fixed_fails_the_trial(runtime: Runtime, tmp_path: Path, shape: list[int | str]) -> None:
    with pytest.raises(TrialFailed, match=r"fixed shape \(1, 3, height, width\), got") as caught:
        runtime.open(_graph(tmp_path / "dynamic.onnx", shape), threads=1)
    assert caught.value.kind == "runtime"


@runtimes
@pytest.mark.parametrize("shape", [[2, 3, 8, 8], [1, 4, 8, 8], [1, 8, 8, 3]], ids=str)
def test_a_shape_that_is_not_one_image_fails_the_trial(
    runtime: Runtime, tmp_path: Path, shape: list[int | str]
) -> None:
    with pytest.raises(TrialFailed, match=r"fixed shape \(1, 3, height, width\), got"):
        runtime.open(_graph(tmp_path / "batch.onnx", shape), threads=1)


@runtimes
def test_an_operator_nobody_knows_fails_the_trial(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(TrialFailed, match="NoSuchThing") as caught:
        runtime.open(_graph(tmp_path / "unknown.onnx", [1, 3, 8, 8], "NoSuchThing"), threads=1)
    assert "\n" not in str(caught.value).strip()
