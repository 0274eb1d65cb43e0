"""Weights stored in fewer bits: the size falls, the answer hardly moves, and what is rounded is what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from segsearch.compression.store_weights import store_weights
from segsearch.errors import TrialFailed
from segsearch.judging.words import describe, precision
from segsearch.networks import build
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.candidate import Candidate
from segsearch.space.steps import Quantize, StoreWeights
from segsearch.trial.export import export

SIZE = (32, 48)
WIDE = Architecture((EncoderPath(Stem(16), (Stage("inverted_residual", 96, 2, 2, expansion=4.0),)),), (), Head(64))


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    target = tmp_path_factory.mktemp("float") / "float.onnx"
    export(build(WIDE, 5).eval(), SIZE, target)
    return target


def answer(model: Path) -> np.ndarray:
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, *SIZE)).astype(np.float32)
    return RUNTIMES["onnxruntime"].open(model, threads=1).run(image)


@pytest.mark.parametrize(("bits", "size", "apart"), [(16, 0.6, 0.002), (4, 0.3, 0.1)])
def test_the_file_shrinks_and_says_nearly_the_same(
    exact: Path, tmp_path: Path, bits: int, size: float, apart: float
) -> None:
    target = tmp_path / "stored.onnx"
    store_weights(exact, target, StoreWeights(bits), images=[])
    assert target.stat().st_size < size * exact.stat().st_size
    onnx.checker.check_model(str(target), full_check=True)
    before, after = answer(exact), answer(target)
    assert 0 < np.sqrt(np.mean((before - after) ** 2)) < apart * before.std()


def test_each_weight_is_within_half_a_step_of_itself_by_the_scale_of_its_block(exact: Path, tmp_path: Path) -> None:
    target = tmp_path / "stored.onnx"
    store_weights(exact, target, StoreWeights(4), images=[])
    floats = {one.name: numpy_helper.to_array(one) for one in onnx.load(str(exact)).graph.initializer}
    graph = onnx.load(str(target)).graph
    stored = {one.name: one for one in graph.initializer}
    kinds = set()
    for node in graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        rounded, scale = (numpy_helper.to_array(stored[name]).astype(np.float64) for name in node.input)
        value, kind = floats[node.output[0]], stored[node.input[0]].data_type
        kinds.add(kind)
        most = 7 if kind == TensorProto.INT4 else 127
        whole = np.repeat(scale, 16, axis=1) if kind == TensorProto.INT4 else scale[:, None, None, None]
        assert np.abs(rounded).max() <= most
        inside = np.abs(value) <= most * whole
        assert np.all(np.abs(rounded * whole - value)[inside] <= 0.5001 * np.broadcast_to(whole, value.shape)[inside])
        assert np.abs(rounded[~inside]).min(initial=most) == most, "what lies beyond is the largest step"
    assert kinds == {TensorProto.INT4, TensorProto.INT8}
    assert not any(one.op_type == "Conv" and one.input[1] in stored for one in graph.node), "every convolution's"


def test_a_channel_of_zeros_and_a_weight_beyond_16_bits_stay_finite(tmp_path: Path) -> None:
    weight = np.zeros((2, 16, 2, 2), np.float32)
    weight[1, 0, 0, 0] = 1e6
    for bits, kept in ((16, 65504.0), (4, 1e6)):
        source, target = tmp_path / "source.onnx", tmp_path / f"{bits}.onnx"
        onnx.save(one_convolution(weight), str(source))
        store_weights(source, target, StoreWeights(bits), images=[])
        session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"image": np.ones((1, 16, 2, 2), np.float32)})
        assert found.ravel().tolist() == [0.0, pytest.approx(kept)]


def test_a_graph_without_float_convolutions_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 16, 2, 2])
    graph = helper.make_graph(
        [helper.make_node("Relu", ["image"], ["out"])],
        "none",
        [value],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 16, 2, 2])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "a.onnx")
    with pytest.raises(TrialFailed, match="no convolution"):
        store_weights(tmp_path / "a.onnx", tmp_path / "b.onnx", StoreWeights(), images=[])


@pytest.mark.parametrize("bits", [8, 32, "16"])
def test_bits_that_are_none_are_refused(bits: Any) -> None:
    with pytest.raises(ValueError, match=r"StoreWeights\.bits must be 16 or 4, got "):
        StoreWeights(bits)


def test_it_stands_alone_and_is_no_int8() -> None:
    with pytest.raises(ValueError, match="StoreWeights must be the only step after the export, got 2 steps"):
        Candidate(WIDE, after_export=(StoreWeights(), Quantize()))
    half, four = (Candidate(WIDE, after_export=(StoreWeights(bits),)) for bits in (16, 4))
    assert [(one.bits, one.int8_steps, one.tail, one.tolerance) for one in (half, four)] == [
        (16, (), 0.0, None),
        (4, (), 0.0, None),
    ]
    assert [precision(one) for one in (half, four)] == ["w16", "w4"]
    assert "weights stored as 16-bit floats" in describe(half)
    assert half.learnt == Candidate(WIDE)


@pytest.mark.parametrize("shape", [(4, 64, 3), (2, 16, 2, 2), (2, 16, 2, 2, 2), (3, 80, 1, 1)])
def test_convolutions_of_any_number_of_sides_are_stored(tmp_path: Path, shape: tuple[int, ...]) -> None:
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    source, target = tmp_path / "source.onnx", tmp_path / "target.onnx"
    onnx.save(one_convolution(weight), str(source))
    store_weights(source, target, StoreWeights(4), images=[])
    image = {"image": np.random.default_rng(1).normal(size=(1, *shape[1:])).astype(np.float32)}
    before, after = (
        onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).run(None, image)[0]
        for file in (source, target)
    )
    assert 0 < np.abs(before - after).max() < 0.35 * np.abs(before).max()


def test_operators_that_changed_until_numbers_of_4_bits_came_are_told_anew(tmp_path: Path) -> None:
    """A mean whose axes were an attribute is none by the newer opset."""
    model = one_convolution(np.random.default_rng(0).normal(size=(2, 64, 1, 1)).astype(np.float32))
    model.graph.node.append(helper.make_node("ReduceMean", ["out"], ["mean"], axes=[1], keepdims=1))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, 1, 1, 1]))
    model.opset_import[0].version = 13
    model.metadata_props.add(key="levels", value="0 255")
    onnx.save(model, str(tmp_path / "source.onnx"))
    store_weights(tmp_path / "source.onnx", tmp_path / "target.onnx", StoreWeights(4), images=[])
    session = onnxruntime.InferenceSession(str(tmp_path / "target.onnx"), providers=["CPUExecutionProvider"])
    assert session.run(None, {"image": np.ones((1, 64, 1, 1), np.float32)})[0].shape == (1, 1, 1, 1)
    assert session.get_modelmeta().custom_metadata_map == {"levels": "0 255"}


def one_convolution(weight: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight"], ["out"])],
        "one",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, *weight.shape[1:]])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, len(weight), *(1 for _ in weight.shape[2:])])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
