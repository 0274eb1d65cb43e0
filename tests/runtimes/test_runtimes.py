from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from segsearch.errors import TrialFailed
from segsearch.runtimes import RUNTIMES, Feed, Runtime
from segsearch.trial.export import export
from tests.models import convolutions, fails_when_run, one_node, resized, save

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
    session.run(image_of(1))
    assert np.array_equal(session.run(image), first)
    assert np.array_equal(image, image_of())


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


@runtimes
@pytest.mark.parametrize(
    "shape", [[1, 3, "height", "width"], ["batch", 3, 8, 8], [1, 3, 8], [1, 3, 8, 8, 8], []], ids=str
)
def test_a_shape_that_is_not_fixed_fails_the_trial(runtime: Runtime, tmp_path: Path, shape: list[int | str]) -> None:
    with pytest.raises(TrialFailed, match=r"fixed shape \(1, 3, height, width\), got") as caught:
        runtime.open(one_node(tmp_path / "dynamic.onnx", shape=shape), threads=1)
    assert caught.value.kind == "runtime"


@runtimes
@pytest.mark.parametrize("shape", [[2, 3, 8, 8], [1, 4, 8, 8], [1, 8, 8, 3]], ids=str)
def test_a_shape_that_is_not_one_image_fails_the_trial(
    runtime: Runtime, tmp_path: Path, shape: list[int | str]
) -> None:
    with pytest.raises(TrialFailed, match=r"fixed shape \(1, 3, height, width\), got"):
        runtime.open(one_node(tmp_path / "batch.onnx", shape=shape), threads=1)


@runtimes
def test_an_operator_nobody_knows_fails_the_trial(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(TrialFailed, match="NoSuchThing") as caught:
        runtime.open(one_node(tmp_path / "unknown.onnx", "NoSuchThing"), threads=1)
    assert "\n" not in str(caught.value).strip()


# ---- timing


@runtimes
@pytest.mark.parametrize("threads", [1, 2])
def test_each_run_has_its_time_on_the_wall_and_on_the_thread(runtime: Runtime, model: Path, threads: int) -> None:
    timer = runtime.timer(model, threads=threads)
    gc.collect()  # what was bound must outlive the call that bound it
    times = timer.times_ns(6)
    assert len(times) == 6
    assert all(type(wall) is type(thread) is int and wall > 0 and thread > 0 for wall, thread in times)
    assert timer.times_ns(0) == []
    assert len(timer.times_ns(1)) == 1


@runtimes
@pytest.mark.parametrize(
    "kind", ["FLOAT", "FLOAT16", "DOUBLE", "BOOL"] + [f"{s}INT{b}" for s in ("", "U") for b in (8, 16, 32, 64)]
)
@pytest.mark.parametrize("shape", [(2, 5), (1, 3, 8, 8), ()], ids=str)
def test_inputs_of_any_numbers_and_shape_are_timed(
    runtime: Runtime, tmp_path: Path, kind: str, shape: tuple[int, ...]
) -> None:
    model = one_node(tmp_path / "model.onnx", "Identity", shape, dtype=getattr(TensorProto, kind))
    assert len(runtime.timer(model, threads=1).times_ns(2)) == 2
    assert [one.kind for one in runtime.profile(model, threads=1, runs=2)] == ["Identity"]


@runtimes
def test_whole_numbers_may_be_indices(runtime: Runtime, tmp_path: Path) -> None:
    """A table of one row: any other index than 0 fails."""
    table = numpy_helper.from_array(np.ones((1, 4), np.float32), "table")
    node = helper.make_node("Gather", ["table", "image"], ["scores"])
    image = helper.make_tensor_value_info("image", TensorProto.INT64, [1, 7])
    model = save(tmp_path / "model.onnx", [node], [image], [table])
    assert runtime.timer(model, threads=1).times_ns(1)


@runtimes
def test_several_inputs_are_fed_what_is_given_and_noise(runtime: Runtime, tmp_path: Path) -> None:
    """The size in the graph is the one that is given: another one would be another work."""
    model = resized(tmp_path / "model.onnx")
    feed = Feed((("size", (1, 3, 5, 7)),))
    assert len(runtime.timer(model, threads=1, feed=feed).times_ns(2)) == 2
    assert runtime.profile(model, threads=1, runs=2, feed=feed)[-1].kind == "Resize"
    with pytest.raises(Exception, match="Resize"):
        runtime.timer(model, threads=1).times_ns(1)  # zeros


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ir_version": 99}, r"has IR version 99, and this runtime knows up to \d+\. Save it with ir_version \d+ or"),
        ({"opset": 99}, r"has opset 99 of ai\.onnx, and this runtime knows up to \d+\. Export it with opset_version"),
        (
            {"domain": "mmdeploy"},
            r"has the operator Relu of the domain mmdeploy, and this runtime knows none of that domain",
        ),
    ],
)
def test_a_file_of_another_time_or_world_says_which_and_what_the_runtime_knows(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    model = onnx.load(one_node(tmp_path / "model.onnx"))
    model.ir_version = change.get("ir_version", 8)
    model.opset_import[0].version = change.get("opset", 17)
    if "domain" in change:
        model.graph.node[0].domain = change["domain"]
        model.opset_import.append(helper.make_opsetid(change["domain"], 1))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(TrialFailed, match=rf"ONNX Runtime \S+ cannot open model\.onnx: the file {words}") as caught:
        RUNTIMES["onnxruntime"].timer(tmp_path / "model.onnx", threads=1)
    assert "/onnxruntime_src/" not in str(caught.value)


REFUSED = {
    "no input": (
        lambda path: save(path, [helper.make_node("Constant", [], ["scores"], value_float=1.0)], []),
        "must have an input; bad.onnx has none",
    ),
    "dynamic": (
        lambda path: one_node(path, shape=(1, 3, "height", 8)),
        r"fixed shape; bad.onnx takes \[1, 3, 'height'",
    ),
    "a side of 0": (lambda path: one_node(path, shape=(0, 3)), r"fixed shape; bad.onnx takes \[0, 3\]"),
    "strings": (
        lambda path: one_node(path, "Identity", dtype=TensorProto.STRING),
        r"must take numbers; bad.onnx takes tensor\(string\)",
    ),
    "unknown operator": (lambda path: one_node(path, "NoSuchThing"), "NoSuchThing"),
    "text": (lambda path: path.write_bytes(b"garbage"), r"bad\.onnx"),
    "missing": (lambda path: None, r"bad\.onnx"),
}


@runtimes
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_timed_fails_the_trial(runtime: Runtime, tmp_path: Path, case: str) -> None:
    make, words = REFUSED[case]
    make(tmp_path / "bad.onnx")
    with pytest.raises(TrialFailed, match=words) as caught:
        runtime.timer(tmp_path / "bad.onnx", threads=1)
    assert caught.value.kind == "runtime"
    with pytest.raises(TrialFailed, match=words):
        runtime.profile(tmp_path / "bad.onnx", threads=1, runs=1)


@runtimes
def test_a_model_that_opens_and_cannot_run_is_no_silence(runtime: Runtime, tmp_path: Path) -> None:
    timer = runtime.timer(fails_when_run(tmp_path / "model.onnx"), threads=1)
    with pytest.raises(Exception, match="Reshape"):
        timer.times_ns(1)


# ---- profiles


@runtimes
def test_a_profile_names_each_operation_in_the_order_they_run(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the optimizer makes anew has late indices in its graph; the softmax runs last all the same."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = [
        helper.make_node("Conv", ["image", "w"], ["a"], name="conv"),
        helper.make_node("Relu", ["a"], ["b"], name="relu"),
    ]
    last = [helper.make_node("Softmax", ["b"], ["scores"], name="softmax", axis=3)]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])
    weight = numpy_helper.from_array(np.ones((16, 3, 3, 3), np.float32), "w")
    model = save(tmp_path / "model.onnx", [*first, *last], [image], [weight])
    found = runtime.profile(model, threads=1, runs=3)
    assert "Conv" in found[0].kind
    assert (found[-1].kind, found[-1].name) == ("Softmax", "softmax")
    assert not [one for one in found if one.kind == "Relu"], "the ReLU is part of the convolution"
    assert all(one.mean_ms >= 0 and one.name for one in found)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"], "no profile is left behind"


@runtimes
def test_a_profile_counts_an_operation_once_however_often_it_runs(runtime: Runtime, tmp_path: Path) -> None:
    model = convolutions(tmp_path / "model.onnx", depth=4)
    few, many = (runtime.profile(model, threads=1, runs=runs) for runs in (1, 7))
    assert [(one.name, one.kind) for one in few] == [(one.name, one.kind) for one in many]
    assert len([one for one in few if "Conv" in one.kind]) == 4


def test_onnx_runtime_reports_to_nobody(tmp_path: Path) -> None:
    """It leaves files in the folders for temporary and for cached ones where it does."""
    clean = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    places = {"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    code = "import os, segsearch.runtimes; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    said = subprocess.run(
        [sys.executable, "-P", "-c", code], env=clean | places, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "1"
    assert list(tmp_path.iterdir()) == []
