"""Files with some layers in int8 and some in float: they say what the whole ones say, and float is float."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from segsearch.compression.layers import Pair
from segsearch.compression.mixed import mixed
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture
from segsearch.space.steps import Quantize
from tests.compression.graph_files import IMAGES, answers, of_architecture
from tests.compression.test_graph_module import DESIGNS
from tests.compression.test_quantize import of_block
from tests.graphs import float_convolutions

STEPS = {"asymmetric": Quantize(), "symmetric": Quantize(symmetric_activations=True)}


def pair_of(architecture: Architecture, folder: Path, step: Quantize = STEPS["asymmetric"]) -> Pair:
    return Pair(*(onnx.load(file) for file in of_architecture(architecture, folder, step=step)))


def run_model(model: onnx.ModelProto, folder: Path) -> NDArray[np.float32]:
    """The scores that a graph says of an image."""
    onnx.save(model, folder / "scores.onnx")
    return RUNTIMES["onnxruntime"].open(folder / "scores.onnx", threads=1).run(IMAGES[0])


def written(model: onnx.ModelProto, target: Path) -> Path:
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)
    return target


@pytest.mark.parametrize(
    ("name", "step"), [*((name, "asymmetric") for name in DESIGNS), ("FCN-8s", "symmetric"), ("eesp", "symmetric")]
)
def test_none_in_float_is_the_int8_file_and_all_of_them_the_float_one(name: str, step: str, tmp_path: Path) -> None:
    pair = pair_of(DESIGNS[name], tmp_path, STEPS[step])
    none = written(mixed(pair, ()), tmp_path / "none.onnx")
    every = written(mixed(pair, [layer.name for layer in pair.layers]), tmp_path / "all.onnx")
    assert np.array_equal(answers(none), answers(tmp_path / "int8.onnx"))
    assert np.array_equal(answers(every), answers(tmp_path / "float.onnx"))
    assert pair.is_made_of()


@pytest.mark.parametrize("name", DESIGNS)
def test_a_layer_in_float_is_run_in_float_wherever_it_lies(name: str, tmp_path: Path) -> None:
    """ONNX Runtime rounds float weights between two int8 layers by one scale for all channels, worse than int8."""
    pair = pair_of(DESIGNS[name], tmp_path)
    never = len(float_convolutions(tmp_path / "int8.onnx"))
    names = [layer.name for layer in pair.convolutions]
    picks = [names[::2], random.Random(0).sample(names, len(names) // 3)]
    for number, chosen in enumerate(picks):
        file = written(mixed(pair, pair.settled(chosen)), tmp_path / f"{number}.onnx")
        assert len(float_convolutions(file)) == never + len(chosen)


def test_one_layer_in_float_among_int8_ones_is_nearer_to_the_float_file(tmp_path: Path) -> None:
    """So it was not in files that the quantizer was told to leave a node out of: there it lost mIoU."""
    pair = pair_of(of_block("mbconv"), tmp_path)
    exact = run_model(mixed(pair, {layer.name for layer in pair.layers}, scores=True), tmp_path)

    def off(*names: str) -> float:
        return float(np.abs(run_model(mixed(pair, pair.settled(names), scores=True), tmp_path) - exact).mean())

    inner = [layer.name for layer in pair.convolutions][1:-1]
    assert np.mean([off(name) for name in inner]) < 1.02 * off()
    assert off(*[layer.name for layer in pair.convolutions][:4]) < off()


def test_layers_are_convolutions_with_what_is_fused_to_them(tmp_path: Path) -> None:
    pair = pair_of(of_block("mbconv", activation="relu6"), tmp_path)
    nodes = {node.name: node for node in pair.exact.graph.node}
    first = pair.convolutions[0]
    assert [nodes[name].op_type for name in first.nodes] == ["Conv", "Relu"]
    assert any([nodes[name].op_type for name in layer.nodes] == ["Conv", "Clip"] for layer in pair.convolutions)
    assert first.shape[0] == 1
    assert len(first.shape) == 4
    # One `add` join, and in each of three blocks a squeeze: its pool, and the product of its answer with the map.
    kinds = Counter(layer.kind for layer in pair.layers)
    assert kinds == {"Conv": 18, "AveragePool": 3, "Mul": 3, "MaxPool": 1, "Add": 1}
    assert len(pair.convolutions) == sum(node.op_type == "Conv" for node in pair.exact.graph.node)


def test_what_lies_between_float_layers_is_float_and_elsewhere_int8(tmp_path: Path) -> None:
    pair = pair_of(of_block("residual"), tmp_path)
    adds = [layer for layer in pair.layers if layer.kind == "Add"]
    assert adds
    every = {layer.name for layer in pair.convolutions}
    assert {add.name for add in adds} <= pair.settled(every)
    makers = {pair.of_node[pair.makers[name].name].name for name in adds[0].reads}
    assert adds[0].name in pair.settled(makers)
    assert adds[0].name not in pair.settled(makers - {next(iter(makers))})


def test_conversions_are_counted_where_the_forms_meet(tmp_path: Path) -> None:
    pair = pair_of(of_block("conv"), tmp_path)
    every = [layer.name for layer in pair.layers]
    assert pair.boundaries(every) == frozenset()
    assert pair.converted(every) == 0
    lone = pair.convolutions[1]
    more = pair.boundaries(pair.settled({lone.name})) - pair.boundaries(pair.settled(()))
    assert more == {*lone.reads, lone.writes}
    assert pair.converted({lone.name}) > pair.converted(())


def test_an_int8_file_of_other_weights_is_not_taken_for_its_own(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    pair = pair_of(of_block("conv"), one)
    weights = onnx.load(one / "float.onnx")
    for tensor in weights.graph.initializer:
        if len(tensor.dims) == 4:
            tensor.raw_data = (2 * np.frombuffer(tensor.raw_data, np.float32)).tobytes()
    assert not Pair(weights, pair.rounded).is_made_of()
    assert not Pair(pair_of(of_block("residual"), other).exact, pair.rounded).is_made_of()
