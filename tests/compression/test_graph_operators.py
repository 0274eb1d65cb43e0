"""Every operator as ONNX Runtime runs it, of any batch; what is not known is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.compression.graph_module import GraphModule
from segsearch.errors import TrialFailed
from segsearch.trial.export import export
from tests.compression.graph_files import BOTH, SIZE, answers


class Made(nn.Module):
    """A module of a function, on a few channels of the image made zero-centred."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.function = nn.Conv2d(3, 8, 3, 1, 1), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.stem(x / 64 - 2))


def shuffled(x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    return x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "grouped convolution with rates": lambda: nn.Conv2d(8, 8, 3, 2, 2, dilation=2, groups=4),
    "1x1 with a stride": lambda: nn.Conv2d(8, 4, 1, 2),
    "transposed convolution": lambda: nn.ConvTranspose2d(8, 4, 3, 2, 1, output_padding=1, groups=2),
    "batch norm": lambda: nn.Sequential(nn.ReLU(), nn.BatchNorm2d(8)),
    "relu6": nn.ReLU6,
    "leaky relu": lambda: nn.LeakyReLU(0.1),
    "prelu": lambda: nn.PReLU(8, 0.3),
    "sigmoid": nn.Sigmoid,
    "h-swish": nn.Hardswish,
    "hard sigmoid": nn.Hardsigmoid,
    "average pool that counts no pads": lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    "average pool that counts pads": lambda: nn.AvgPool2d(3, 2, 1),
    "average pool of a last part": lambda: nn.AvgPool2d(3, 3, 0, ceil_mode=True),
    "max pool": lambda: nn.MaxPool2d(3, 2, 1),
    "pixel shuffle": lambda: nn.PixelShuffle(2),
}
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean over the map": lambda x: x * x.mean(dim=(2, 3), keepdim=True),
    "pooled to one": lambda x: x * F.adaptive_avg_pool2d(x, 1),
    "split": lambda x: torch.cat([torch.split(x, [3, 5], dim=1)[1], x[:, :2]], dim=1),
    "cut": lambda x: x[:, 1:7:2, :, 3:-4],
    "shuffled channels": shuffled,
    "bilinear": lambda x: F.interpolate(x, size=(31, 90), mode="bilinear", align_corners=False),
    "nearest": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
    "another axis and back": lambda x: x.unsqueeze(1).mul(2).squeeze(1),
    "sums": lambda x: (x + 1) / 3 - x * x,
    "the class of each pixel": lambda x: x.argmax(dim=1).to(torch.uint8),
}


@pytest.mark.parametrize("name", [*MODULES, *FUNCTIONS])
def test_an_operator_says_what_the_runtime_says_also_of_several_images(name: str, tmp_path: Path) -> None:
    made = Made(MODULES[name]() if name in MODULES else FUNCTIONS[name])
    export(made.eval(), SIZE, tmp_path / "model.onnx")
    expected = answers(tmp_path / "model.onnx")
    module = GraphModule(onnx.load(tmp_path / "model.onnx"))
    with torch.no_grad():
        found = module(BOTH).numpy()
    assert found.shape == expected.shape
    assert np.abs(found.astype(np.float64) - expected).max() < 1e-5 * max(1.0, float(np.abs(expected).max()))


def graph_of(*nodes: onnx.NodeProto, constants: tuple[onnx.TensorProto, ...] = ()) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, *SIZE))
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "made", [image], [answer], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def whole(name: str, *values: int) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], list(values))


def test_zeros_around_the_maps_are_those_of_the_runtime(tmp_path: Path) -> None:
    pads = whole("pads", 0, 0, 1, 2, 0, 0, 3, 0)
    model = graph_of(helper.make_node("Pad", ["image", "pads"], ["answer"]), constants=(pads,))
    onnx.save(model, tmp_path / "model.onnx")
    assert np.array_equal(GraphModule(model)(BOTH).numpy(), answers(tmp_path / "model.onnx"))


REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "an operator": (graph_of(helper.make_node("Tanh", ["image"], ["answer"])), "operator Tanh"),
    "an operator of others": (
        graph_of(helper.make_node("Add", ["image", "image"], ["answer"], domain="com.microsoft")),
        "operator Add",
    ),
    "an attribute": (graph_of(helper.make_node("Relu", ["image"], ["answer"], beta=1.0)), "attribute beta"),
    "a resize": (
        graph_of(
            helper.make_node("Resize", ["image", "", "", "size"], ["answer"], mode="cubic"),
            constants=(whole("size", 1, 3, 8, 8),),
        ),
        "mode cubic",
    ),
    "uneven pads of a pool": (
        graph_of(helper.make_node("MaxPool", ["image"], ["answer"], kernel_shape=[2, 2], pads=[0, 0, 1, 1])),
        "uneven pads",
    ),
    "a sum of images": (
        graph_of(helper.make_node("ReduceMean", ["image"], ["answer"], axes=[0])),
        "first is the batch",
    ),
    "images beside one another": (
        graph_of(helper.make_node("Concat", ["image", "image"], ["answer"], axis=0)),
        "first is the batch",
    ),
    "images in another order of axes": (
        graph_of(helper.make_node("Transpose", ["image"], ["answer"], perm=[1, 0, 2, 3])),
        "first axis is the batch",
    ),
    "images in one row": (
        graph_of(helper.make_node("Reshape", ["image", "shape"], ["answer"]), constants=(whole("shape", 3, -1),)),
        "first is the batch",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_known_fails_the_trial_and_is_no_number(case: str) -> None:
    model, words = REFUSED[case]
    with pytest.raises(TrialFailed, match=words) as caught:
        GraphModule(model)(BOTH)
    assert caught.value.kind == "quantize-train"
