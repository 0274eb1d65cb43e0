"""The reference models: the same bytes for ever, and which one a model is compared with."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from segsearch.latency.reference import HEIGHT, LAYERS, REFERENCES, WIDTH, empty_bytes, reference_bytes, reference_for
from tests.models import RUNTIME, one_node, save

# Every latency is a ratio to these very bytes. Whoever changes them must raise VERSION with them.
GOLDEN = {
    "float32": "8a617c05e83b0004ae87e122b5e748be43f643b6bdbdf4f595a713864b63d013",
    "int8": "01de5a580c1ea348720a2e480e27aa83a1cd93f47af9a4542c573480a2c7810f",
    "empty": "0d084cef0ad5e379cc940ce34a944633a94859060d9177516f88baab87ea1398",
}
names = pytest.mark.parametrize("name", REFERENCES)


def test_the_references_are_the_bytes_that_they_always_were() -> None:
    made = {name: reference_bytes(name) for name in REFERENCES} | {"empty": empty_bytes()}
    assert {name: hashlib.sha256(content).hexdigest() for name, content in made.items()} == GOLDEN


@names
def test_a_reference_is_made_the_same_twice_and_is_whole(name: str) -> None:
    assert reference_bytes(name) == reference_bytes(name)
    onnx.checker.check_model(reference_bytes(name), full_check=True)


@names
def test_a_reference_runs_and_answers_something(name: str, tmp_path: Path) -> None:
    (tmp_path / "reference.onnx").write_bytes(reference_bytes(name))
    session = RUNTIME.open(tmp_path / "reference.onnx", threads=1)
    assert session.shape == (1, 3, HEIGHT, WIDTH)
    image = np.random.default_rng(0).uniform(0, 255, session.shape).astype(np.float32)
    scores = session.run(image)
    assert scores.shape == (1, 8, HEIGHT, WIDTH)
    assert np.isfinite(scores).all()
    assert (scores.std(axis=(0, 2, 3)) > 0).all()


def test_the_int8_reference_runs_its_int8_half_in_int8(tmp_path: Path) -> None:
    for name in REFERENCES:
        (tmp_path / f"{name}.onnx").write_bytes(reference_bytes(name))
    kinds = {
        name: Counter(one.kind for one in RUNTIME.profile(tmp_path / f"{name}.onnx", threads=1, runs=1))
        for name in REFERENCES
    }
    assert kinds["int8"]["QLinearConv"] == kinds["int8"]["Conv"] == len(LAYERS)
    assert kinds["float32"]["Conv"] == len(LAYERS)
    assert "QLinearConv" not in kinds["float32"]


def test_the_empty_model_gives_back_what_it_takes(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").write_bytes(empty_bytes())
    assert RUNTIME.timer(tmp_path / "empty.onnx", threads=1).times_ns(1)


@names
def test_a_reference_is_compared_with_itself(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(reference_bytes(name))
    assert reference_for(tmp_path / "model.onnx") == name


@pytest.mark.parametrize(
    ("operator", "name"),
    [
        ("QuantizeLinear", "int8"),
        ("DynamicQuantizeLinear", "int8"),
        ("QLinearConv", "int8"),
        ("QLinearMatMul", "int8"),
        ("ConvInteger", "int8"),
        ("MatMulInteger", "int8"),
        # Weights alone in int8 are turned back when the file is opened: the kernels are those of floats.
        ("DequantizeLinear", "float32"),
        ("Conv", "float32"),
        ("NoSuchThing", "float32"),
    ],
)
def test_the_operators_choose_the_reference(tmp_path: Path, operator: str, name: str) -> None:
    assert reference_for(one_node(tmp_path / "model.onnx", operator)) == name


def test_one_operator_of_int8_among_floats_is_enough(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["image"], ["a"]),
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1])
    assert reference_for(save(tmp_path / "model.onnx", nodes, [image])) == "int8"
