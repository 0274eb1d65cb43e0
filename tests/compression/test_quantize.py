from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.compression.quantize import quantize
from segsearch.errors import TrialFailed
from segsearch.networks import build, folded, wear_in
from segsearch.networks.blocks import BLOCKS
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture, Context, EncoderPath, Feature, Head, Join, Stage, Stem
from segsearch.space.block_rules import BLOCK_RULES
from segsearch.space.keys import to_json
from segsearch.space.steps import Quantize
from segsearch.trial.export import export
from tests.blocks import leaves, stage_of
from tests.graphs import early_convolutions, float_convolutions, kinds
from tests.networks.designs import DECODERS, PLAIN

SIZE = (48, 64)
FILES = ("float.onnx", "int8.onnx")
ARCHITECTURE = Architecture(
    (
        EncoderPath(
            Stem(8), (Stage("residual", 16, 1, 2), Stage("separable", 24, 1, 2)), Context("pyramid_pooling", 16, (1, 3))
        ),
    ),
    (Join("concat", Feature(0, 1), 16),),
    Head(16),
    input_scale=0.75,
)
IMAGES: list[NDArray[np.float32]] = [
    np.random.default_rng(seed).uniform(0, 255, (1, 3, *SIZE)).astype(np.float32) for seed in range(4)
]
steps = pytest.mark.parametrize(
    "step", [Quantize(), Quantize(symmetric_activations=True)], ids=["asymmetric", "symmetric"]
)


def exported(architecture: Architecture, target: Path) -> Path:
    """A network's file; batch norm fits the pictures, as after training."""
    network = build(architecture, 5).train()
    with torch.no_grad():
        for norm in network.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                norm.momentum = None
        network(torch.from_numpy(np.concatenate(IMAGES)))
    export(network, SIZE, target)
    return target


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(ARCHITECTURE, tmp_path_factory.mktemp("models") / "float.onnx")


@steps
def test_the_quantized_file_agrees_roughly_and_keeps_its_shape(model: Path, tmp_path: Path, step: Quantize) -> None:
    before = model.read_bytes()
    quantize(model, tmp_path / "int8.onnx", step, images=IMAGES)
    assert model.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["int8.onnx"], "no calibration files left"
    exact = RUNTIMES["onnxruntime"].open(model, threads=1)
    found = RUNTIMES["onnxruntime"].open(tmp_path / "int8.onnx", threads=1)
    assert found.shape == exact.shape
    one, other = exact.run(IMAGES[0]), found.run(IMAGES[0])
    assert one.shape == other.shape
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.97
    assert not np.array_equal(one, other)


@steps
def test_weights_are_symmetric_int8_for_each_channel(model: Path, tmp_path: Path, step: Quantize) -> None:
    quantize(model, tmp_path / "int8.onnx", step, images=IMAGES)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    convs = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convs) == sum(isinstance(layer, torch.nn.Conv2d) for layer in build(ARCHITECTURE, 5).modules())
    for conv in convs:
        dequantize = makers[conv.input[1]]
        assert dequantize.op_type == "DequantizeLinear"
        weight, scale, zero = (stored[name] for name in dequantize.input)
        assert weight.dtype == np.int8
        assert scale.shape == (weight.shape[0],)
        assert not zero.any()


@steps
def test_activations_are_what_the_step_says(model: Path, tmp_path: Path, step: Quantize) -> None:
    quantize(model, tmp_path / "int8.onnx", step, images=IMAGES)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zeros = [stored[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert zeros
    assert {zero.dtype for zero in zeros} == {np.dtype(np.uint8)}
    if step.symmetric_activations:
        assert {int(zero) for zero in zeros} == {128}


@steps
def test_every_convolution_is_run_in_integers(model: Path, tmp_path: Path, step: Quantize) -> None:
    """Signed activations left most of them in float, between a Q and a DQ: slower than the float file."""
    quantize(model, tmp_path / "int8.onnx", step, images=IMAGES)
    found = kinds(tmp_path / "int8.onnx")
    assert float_convolutions(tmp_path / "int8.onnx") == []
    assert found["QLinearConv"] == sum(isinstance(layer, torch.nn.Conv2d) for layer in build(ARCHITECTURE, 5).modules())


GATHERED = {
    "separable ASPP": Context("aspp", 16, rates=(2, 4), image_pool=True, block="separable"),
    "scores of separable ASPP": Context("aspp_scores", rates=(2, 4), block="separable"),
    "cascaded pooling": Context("cascaded_pooling", 16, bins=(5, 2), block="separable"),
    "global pooling": Context("global_pooling", 16),
    "attention": Context("attention", 16, block="separable"),
}
SHIPPED = DECODERS | {
    name: replace(PLAIN, paths=(replace(PLAIN.paths[0], context=context),), head=Head(16, 1 if context.channels else 0))
    for name, context in GATHERED.items()
}


@pytest.mark.parametrize("architecture", SHIPPED.values(), ids=SHIPPED)
def test_contexts_joins_and_exchanges_are_run_in_integers(architecture: Architecture, tmp_path: Path) -> None:
    """All but transposed convolutions, of which ONNX Runtime has no integer kernel."""
    quantize(exported(architecture, tmp_path / "float.onnx"), tmp_path / "int8.onnx", Quantize(), images=IMAGES)
    convolutions = [layer for layer in build(architecture, 5).modules() if isinstance(layer, torch.nn.Conv2d)]
    grown = sum(join.upsample == "transposed" for join in architecture.joins)
    unread = sum(2 for _ in architecture.auxiliary)
    assert len(float_convolutions(tmp_path / "int8.onnx")) == grown
    assert kinds(tmp_path / "int8.onnx")["QLinearConv"] == len(convolutions) - unread
    exact, rounded = (RUNTIMES["onnxruntime"].open(tmp_path / name, threads=1).run(IMAGES[0]) for name in FILES)
    assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.95


def test_signed_activations_are_those_of_studies_that_began_with_them(model: Path, tmp_path: Path) -> None:
    """About 0 as they were: one front never holds files of two quantizers under one name."""
    quantize(model, tmp_path / "int8.onnx", Quantize(symmetric_activations=True, signed=True), images=IMAGES)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zeros = [stored[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    assert {zero.dtype for zero in zeros} == {np.dtype(np.int8)}
    assert not any(zero.any() for zero in zeros)


class Squeeze(nn.Module):
    """Squeeze-excitation, as MobileNetV3 and EfficientNet have it."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


@pytest.mark.parametrize(
    ("middle", "float_operations"),
    [
        (Squeeze(), {"Sigmoid", "Mul", "GlobalAveragePool"}),
        (nn.ReLU6(), {"Clip"}),
        (nn.LeakyReLU(), {"LeakyRelu"}),
        (nn.SiLU(), {"Sigmoid", "Mul"}),
        (nn.Hardswish(), set()),
        (nn.ConvTranspose2d(8, 8, 2, 2), set()),
    ],
    ids=["squeeze-excitation", "relu6", "leaky-relu", "silu", "h-swish", "transposed"],
)
def test_what_lies_between_convolutions_is_run_in_integers_where_the_runtime_can(
    tmp_path: Path, middle: nn.Module, float_operations: set[str]
) -> None:
    """h-swish and the transposed convolution stay float: ONNX Runtime has no integer kernel of them."""
    torch.manual_seed(0)
    export(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), middle, nn.Conv2d(8, 8, 3, 1, 1)), SIZE, tmp_path / "float.onnx")
    quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", Quantize(), images=IMAGES)
    found = kinds(tmp_path / "int8.onnx")
    assert found["QLinearConv"] >= 2
    assert not float_operations.intersection(found)
    assert found["Conv"] == found["FusedConv"] == 0
    exact, rounded = (RUNTIMES["onnxruntime"].open(tmp_path / name, threads=1).run(IMAGES[0]) for name in FILES)
    assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.95


def of_block(name: str, **changes: Any) -> Architecture:
    """Two stages of a block, the first with a stride, the second one wider."""
    first = leaves(name, 16)
    stages = (stage_of(name, first, 2, 2, **changes), stage_of(name, leaves(name, first, 24), 1, **changes))
    return Architecture((EncoderPath(Stem(16, pool=True, stride=4), stages),), (), Head(16))


# What ONNX Runtime has no integer kernel of, where a block has it on purpose: a norm that no convolution comes before,
# h-swish, and the hard sigmoid of a squeeze, which has one number a channel.
IN_FLOAT = {
    "dense": {"BatchNormalization"},
    "eesp": {"BatchNormalization"},
    "mbconv": {"HardSigmoid"},
    "split_rates": {"HardSigmoid"},
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in BLOCKS},
    **{f"{name}, relu6": (name, {"activation": "relu6"}) for name, rule in BLOCK_RULES.items() if rule.activates},
    **{f"{name}, h-swish": (name, {"activation": "hardswish"}) for name, rule in BLOCK_RULES.items() if rule.activates},
    "atrous bottleneck": ("bottleneck", {"atrous": (2,), "groups": 4}),
    "unexpanded mbconv": ("mbconv", {"expansion": 1.0}),
    "reinforced eesp": ("eesp", {"reinforce": True}),
    "rates without groups of their own": ("split_rates", {"groups": 2}),
    "without a norm": ("conv", {"norm": "none"}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_convolution_of_every_block_is_run_in_integers(tmp_path: Path, variant: str) -> None:
    name, changes = VARIANTS[variant]
    network = wear_in(build(of_block(name, **changes), 5))
    export(network, SIZE, tmp_path / "float.onnx")
    quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", Quantize(), images=IMAGES)
    found = kinds(tmp_path / "int8.onnx")
    assert float_convolutions(tmp_path / "int8.onnx") == []
    assert found["QLinearConv"] == sum(isinstance(layer, nn.Conv2d) for layer in folded(network).modules())
    swish = {"HardSwish", "HardSigmoid"} if "h-swish" in variant else set()
    plain = {"BatchNormalization", "HardSigmoid", "HardSwish", "Clip", "Concat", "Add"}
    assert not plain & set(found) - IN_FLOAT.get(name, set()) - swish
    exact, rounded = (RUNTIMES["onnxruntime"].open(tmp_path / file, threads=1).run(IMAGES[0]) for file in FILES)
    assert np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.9


def test_the_pixel_normalisation_stays_in_float(model: Path, tmp_path: Path) -> None:
    """To quantize it as well would round every pixel twice."""
    quantize(model, tmp_path / "int8.onnx", Quantize(), images=IMAGES)
    assert kinds(tmp_path / "int8.onnx")["Mul"] == 1


def test_the_same_file_and_images_give_the_same_bytes(model: Path, tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        quantize(model, tmp_path / name, Quantize(), images=IMAGES)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_without_images_there_is_nothing_to_calibrate_on(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one calibration image, got none"):
        quantize(model, tmp_path / "int8.onnx", Quantize(), images=[])


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_a_graph_that_cannot_be_read_fails_the_trial(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(TrialFailed) as caught:
        quantize(tmp_path / "bad.onnx", tmp_path / "int8.onnx", Quantize(), images=IMAGES)
    assert caught.value.kind == "quantize"


def test_a_calibration_image_of_another_size_fails_the_trial(model: Path, tmp_path: Path) -> None:
    with pytest.raises(TrialFailed) as caught:
        quantize(model, tmp_path / "int8.onnx", Quantize(), images=[np.zeros((1, 3, 8, 8), np.float32)])
    assert caught.value.kind == "quantize"


def test_logging_is_left_as_it_was(model: Path, tmp_path: Path) -> None:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    try:
        quantize(model, tmp_path / "int8.onnx", Quantize(), images=IMAGES)
        assert root.level == logging.INFO
    finally:
        root.setLevel(before)


def test_a_beginning_in_float_holds_the_first_convolutions_of_every_path(tmp_path: Path) -> None:
    """Two paths begin at the image: the first convolutions by the order of the file would all be of one of them."""
    paths = (
        EncoderPath(Stem(8), (Stage("residual", 16, 1, 2), Stage("separable", 24, 2, 2))),
        EncoderPath(Stem(8), (Stage("separable", 16, 1, 2),), scale=0.5),
    )
    two = Architecture(paths, (Join("concat", Feature(1, 1), 16),), Head(16))
    model = exported(two, tmp_path / "float.onnx")
    quantize(model, tmp_path / "int8.onnx", Quantize(float_convolutions=2), images=IMAGES)
    early = early_convolutions(model, 2)
    assert len(early) == 5, "a stem, a residual block's first and its shortcut, and two of the other path"
    assert len(float_convolutions(tmp_path / "int8.onnx")) == len(early)
    graph = onnx.load(tmp_path / "int8.onnx").graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    convs = [node for node in graph.node if node.op_type == "Conv"]
    in_float = [conv.name for conv in convs if makers.get(conv.input[1]) != "DequantizeLinear"]
    assert in_float == early
    assert all(makers[conv.input[0]] != "DequantizeLinear" for conv in convs if conv.name in early), "no way back"
    files = (model, tmp_path / "int8.onnx")
    exact, found = (RUNTIMES["onnxruntime"].open(file, threads=1).run(IMAGES[0]) for file in files)
    assert np.corrcoef(exact.ravel(), found.ravel())[0, 1] > 0.97


def test_a_beginning_of_none_is_the_file_of_before(model: Path, tmp_path: Path) -> None:
    quantize(model, tmp_path / "one.onnx", Quantize(), images=IMAGES)
    quantize(model, tmp_path / "other.onnx", Quantize(float_convolutions=0), images=IMAGES)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()
    assert "float_convolutions" not in to_json(Quantize()), "and its key"


def test_a_beginning_longer_than_the_network_leaves_it_in_float(model: Path, tmp_path: Path) -> None:
    quantize(model, tmp_path / "int8.onnx", Quantize(float_convolutions=99), images=IMAGES)
    assert "QuantizeLinear" not in kinds(tmp_path / "int8.onnx")


def test_a_beginning_of_fewer_than_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0, got -1"):
        Quantize(float_convolutions=-1)
