"""An exported graph as a module: it says what the runtime says, and what it learns is what the file holds."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from segsearch.compression.fake_quantize import QuantizedWeights
from segsearch.compression.graph_module import GraphModule, arrays_of, float_module, written_back
from segsearch.errors import TrialFailed
from segsearch.networks import build
from segsearch.space.architecture import Architecture
from segsearch.space.steps import Quantize
from tests.compression.graph_files import BOTH, answers, files_of, of_architecture, own_agreement, settled
from tests.compression.test_quantize import SHIPPED, of_block
from tests.networks.designs import PLAIN

# Every operator of the spaces is in one of them.
DESIGNS: dict[str, Architecture] = {
    **{name: SHIPPED[name] for name in ("FCN-8s", "DeepLab v2", "BiSeNet", "ICNet", "cascaded pooling")},
    **{name: of_block(name) for name in ("dense", "eesp", "qarep", "split_rates")},
    "shuffled, relu6": of_block("shuffled", activation="relu6"),
    "mbconv, h-swish": of_block("mbconv", activation="hardswish"),
}


def both_of(plain: Path, rounded: Path) -> tuple[GraphModule, onnx.ModelProto]:
    model = onnx.load(rounded)
    return GraphModule(model, source=onnx.load(plain)), model


def same(one: onnx.ModelProto, other: onnx.ModelProto) -> bool:
    """The same nodes, and the same numbers bit by bit; an initializer may be written in either of two ways."""
    arrays, others = arrays_of(one.graph), arrays_of(other.graph)
    alike = arrays.keys() == others.keys() and one.graph.node == other.graph.node
    return alike and all(
        (array.dtype, array.shape, array.tobytes()) == (others[name].dtype, others[name].shape, others[name].tobytes())
        for name, array in arrays.items()
    )


@pytest.mark.parametrize("name", DESIGNS)
def test_the_graphs_of_the_spaces_say_what_the_runtime_says(name: str, tmp_path: Path) -> None:
    """Float files to the last bits. Of int8 files the same classes, or as many as the runtime agrees with itself.

    A value half-way between two steps may go up here and down there; untrained networks have many such.
    """
    plain, rounded = of_architecture(DESIGNS[name], tmp_path)
    module, model = both_of(plain, rounded)
    with torch.no_grad():
        alike = np.mean(module(BOTH).numpy() == answers(rounded))
        assert alike >= min(0.995, own_agreement(rounded) - 0.005)
        assert np.mean(float_module(plain)(BOTH).numpy() == answers(plain)) >= 0.9999
        alone = torch.cat([module.scores(image[None]) for image in BOTH])
        assert (module.scores(BOTH) - alone).abs().max() <= 0.02 * alone.abs().max()
    assert same(written_back(module, model), model), "it begins as the file"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return of_architecture(PLAIN, tmp_path_factory.mktemp("files"))


STEPS = {
    "asymmetric": Quantize(),
    "symmetric": Quantize(symmetric_activations=True),
    "the first in float": Quantize(float_convolutions=2),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_what_is_written_back_is_what_was_trained(tmp_path: Path, step: Quantize) -> None:
    plain, rounded = of_architecture(PLAIN, tmp_path, step=step)
    module, model = both_of(plain, rounded)
    before = answers(rounded)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        module.scores(BOTH)[:, 0].mean().neg().backward()
        optimizer.step()
    learnt = written_back(module, model)
    onnx.save(learnt, tmp_path / "learnt.onnx")
    after = answers(tmp_path / "learnt.onnx")
    assert np.mean(before == after) < 0.9, "it did learn something"
    with torch.no_grad():
        assert np.mean(module(BOTH).numpy() == after) >= 0.995
    assert learnt.graph.node == model.graph.node
    assert [(each.name, each.dims, each.data_type) for each in learnt.graph.initializer] == [
        (each.name, each.dims, each.data_type) for each in model.graph.initializer
    ]
    again, _ = both_of(plain, tmp_path / "learnt.onnx")
    assert same(written_back(again, learnt), learnt)


def test_a_scale_that_learned_is_written_back_with_the_biases_that_follow_it(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    model = onnx.load(files[1])
    module = GraphModule(model, source=onnx.load(files[0]), learn_scales=True)
    with torch.no_grad():
        for quantizer in module.quantizers:
            quantizer.relative_scale.mul_(1.05)
        expected = module(BOTH).numpy()
    learnt = written_back(module, model)
    onnx.save(learnt, tmp_path / "learnt.onnx")
    assert np.mean(answers(tmp_path / "learnt.onnx") == expected) >= 0.995
    old, new = arrays_of(model.graph), arrays_of(learnt.graph)
    for name in module.scale_names:
        assert new[name] == pytest.approx(1.05 * old[name])


def test_weights_begin_as_the_float_file_has_them(files: tuple[Path, Path]) -> None:
    """What the rounding took away is where learning begins; without the float file the rounded ones must do."""
    module, _ = both_of(*files)
    alone = GraphModule(onnx.load(files[1]))
    exact = {array.tobytes() for array in arrays_of(onnx.load(files[0]).graph).values()}
    for held, rounded in zip(module.weights, alone.weights, strict=True):
        assert isinstance(held, QuantizedWeights)
        assert isinstance(rounded, QuantizedWeights)
        assert held.weight.detach().numpy().tobytes() in exact
        assert rounded.weight.detach().numpy().tobytes() not in exact
        assert torch.equal(held.integers()[0], rounded.integers()[0])


def test_weights_of_another_float_file_are_not_taken(files: tuple[Path, Path], tmp_path: Path) -> None:
    """What begins is what the int8 file says, whatever lies beside it."""
    other = settled(build(PLAIN, 5, seed=1))
    plain, _ = files_of(other, tmp_path, output="mask")
    module = GraphModule(onnx.load(files[1]), source=onnx.load(plain))
    model = onnx.load(files[1])
    assert same(written_back(module, model), model)


def test_a_dead_channel_and_full_range_begin_as_the_quantizer_has_them(tmp_path: Path) -> None:
    """A channel without weights has a step of 1; one that is nearly dead keeps a bias that needs more than 32 bits."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    with torch.no_grad():
        network[0].weight[2], network[0].weight[3] = 0.0, 1e-12
        network[0].bias[3] = 40.0
    for step in (Quantize(), Quantize(reduced_range=False)):
        plain, rounded = files_of(network, tmp_path, step=step)
        module, model = both_of(plain, rounded)
        assert same(written_back(module, model), model)
        with torch.no_grad():
            assert torch.isfinite(module.scores(BOTH)).all()


def test_every_weight_learns_and_nothing_else(files: tuple[Path, Path]) -> None:
    module, _ = both_of(*files)
    module.scores(BOTH).square().mean().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in module.parameters())
    assert len(list(module.parameters())) == 2 * len(module.weights)
    assert not any(value.requires_grad for value in float_module(files[0]).parameters())


def test_a_map_that_is_turned_back_by_other_numbers_fails_the_trial(files: tuple[Path, Path]) -> None:
    model = onnx.load(files[1])
    makers = {node.output[0]: node for node in model.graph.node}
    node = next(node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in makers)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "another"))
    node.input[1] = "another"
    with pytest.raises(TrialFailed, match="turns back what is quantized by other numbers"):
        GraphModule(model)


def test_weights_that_two_convolutions_share_fail_the_trial(files: tuple[Path, Path]) -> None:
    """Each would learn its own, and the file has room for one."""
    model = onnx.load(files[1])
    weights = [node for node in model.graph.node if node.op_type == "DequantizeLinear" and len(node.attribute)]
    weights[1].input[:] = weights[0].input
    with pytest.raises(TrialFailed, match="several convolutions share"):
        GraphModule(model)


def test_a_file_that_only_answers_may_share_what_it_likes(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The exporter stores equal biases once; who learns nothing writes nothing back."""
    model = onnx.load(files[0])
    arrays = arrays_of(model.graph)
    biased = [node for node in model.graph.node if node.op_type == "Conv" and len(node.input) == 3]
    one, other = next(
        (one, other)
        for one, other in itertools.combinations(biased, 2)
        if arrays[one.input[2]].shape == arrays[other.input[2]].shape
    )
    other.input[2] = one.input[2]
    onnx.save(model, tmp_path / "shared.onnx")
    with torch.no_grad():
        found = float_module(tmp_path / "shared.onnx")(BOTH).numpy()
    assert np.mean(found == answers(tmp_path / "shared.onnx")) > 0.999
    with pytest.raises(TrialFailed, match="several convolutions share"):
        GraphModule(model)
