from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from segsearch.errors import TrialFailed
from segsearch.networks import Network, build, masking, wear_in
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture, Auxiliary, EncoderPath, Feature, Head, Stage, Stem
from segsearch.trial.export import OPSET, PARITY_TOLERANCE, check_parity, count_macs, count_params, export

SIZE = (32, 48)
SMALL = Architecture((EncoderPath(Stem(8), (Stage("conv", 16, 1, 2),)),), (), Head(8))
RUNTIME = RUNTIMES["onnxruntime"]
IMAGE = np.random.default_rng(0).uniform(0, 255, (1, 3, *SIZE)).astype(np.float32)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Poisoned(nn.Module):
    """A network whose scores are what the test wants, by way of a parameter."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1)
        nn.init.constant_(self.conv.weight, 0)
        nn.init.constant_(self.conv.bias, bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(x)
        return found


def test_the_file_is_one_checked_graph_of_fixed_shape(tmp_path: Path) -> None:
    export(build(SMALL, 5), SIZE, tmp_path / "m.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"], "one file, no external weights"
    model = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(model, full_check=True)

    def shape(value: onnx.ValueInfoProto) -> list[int]:
        return [side.dim_value for side in value.type.tensor_type.shape.dim]

    assert [(value.name, shape(value)) for value in model.graph.input] == [("image", [1, 3, *SIZE])]
    assert [(value.name, shape(value)) for value in model.graph.output] == [("scores", [1, 5, *SIZE])]
    assert model.opset_import[0].version == OPSET
    assert not {"BatchNormalization", "Dropout"} & {node.op_type for node in model.graph.node}


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        export(build(SMALL, 5, seed=1), SIZE, tmp_path / name)
    export(build(SMALL, 5, seed=2), SIZE, tmp_path / "c.onnx")
    one, same, other = ((tmp_path / name).read_bytes() for name in ("a.onnx", "b.onnx", "c.onnx"))
    assert one == same
    assert one != other
    assert str(tmp_path).encode() not in one


def test_a_network_in_training_is_exported_as_it_answers(tmp_path: Path) -> None:
    network = build(SMALL, 5).train()
    export(network, SIZE, tmp_path / "m.onnx")
    assert check_parity(network, tmp_path / "m.onnx", RUNTIME, IMAGE) < 1e-4


def test_parity_is_small_and_finite_for_what_was_exported(tmp_path: Path) -> None:
    network = build(SMALL, 5)
    export(network, SIZE, tmp_path / "m.onnx")
    assert 0 <= check_parity(network, tmp_path / "m.onnx", RUNTIME, IMAGE) < PARITY_TOLERANCE / 10


def test_another_networks_file_has_no_parity(tmp_path: Path) -> None:
    export(build(SMALL, 5, seed=1), SIZE, tmp_path / "m.onnx")
    with pytest.raises(TrialFailed, match=r"must agree with torch within 0\.001, got") as caught:
        check_parity(build(SMALL, 5, seed=2), tmp_path / "m.onnx", RUNTIME, IMAGE)
    assert caught.value.kind == "parity"


def test_a_file_of_another_shape_has_no_parity(tmp_path: Path) -> None:
    export(build(SMALL, 4), SIZE, tmp_path / "m.onnx")
    with pytest.raises(TrialFailed, match=r"as torch does, \(1, 5, 32, 48\) float32; got \(1, 4, 32, 48\)"):
        check_parity(build(SMALL, 5), tmp_path / "m.onnx", RUNTIME, IMAGE)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_scores_that_are_not_finite_have_no_parity(tmp_path: Path, value: float) -> None:
    network = Poisoned(value)
    export(network, SIZE, tmp_path / "m.onnx")
    with pytest.raises(TrialFailed, match="must be finite") as caught:
        check_parity(network, tmp_path / "m.onnx", RUNTIME, IMAGE)
    assert caught.value.kind == "parity"


def test_scores_that_are_all_zero_agree(tmp_path: Path) -> None:
    network = Poisoned(0.0)
    export(network, SIZE, tmp_path / "m.onnx")
    assert check_parity(network, tmp_path / "m.onnx", RUNTIME, IMAGE) == 0


def test_a_file_that_is_gone_fails_the_trial(tmp_path: Path) -> None:
    with pytest.raises(TrialFailed) as caught:
        check_parity(build(SMALL, 5), tmp_path / "absent.onnx", RUNTIME, IMAGE)
    assert caught.value.kind == "runtime"


def test_macs_and_parameters_are_those_worked_by_hand() -> None:
    network = build(SMALL, 5)
    # Stem 16x24 of 3x3x3x8, stage 8x12 of 3x3x8x16, head 8x12 of 3x3x16x8, scores 8x12 of 8x5.
    assert count_macs(network, SIZE) == 384 * 216 + 96 * 1152 + 96 * 1152 + 96 * 40
    assert count_params(network) == (216 + 16) + (1152 + 32) + (1152 + 16) + (40 + 5)


def test_what_helps_in_training_alone_is_not_counted_and_does_not_ship(tmp_path: Path) -> None:
    helped = build(replace(SMALL, auxiliary=(Auxiliary(Feature(0, 1), 0.4, 64),)), 5)
    plain = build(SMALL, 5)
    assert sum(value.numel() for value in helped.parameters()) > count_params(plain) + 64 * 16 * 9
    assert (count_params(helped), count_macs(helped, SIZE)) == (count_params(plain), count_macs(plain, SIZE))
    for network, name in ((helped, "helped.onnx"), (plain, "plain.onnx")):
        export(network, SIZE, tmp_path / name)
    helped_model, plain_model = (onnx.load(tmp_path / name) for name in ("helped.onnx", "plain.onnx"))
    assert [node.op_type for node in helped_model.graph.node] == [node.op_type for node in plain_model.graph.node]
    numbers = [
        sum(int(np.prod(weight.dims)) for weight in model.graph.initializer) for model in (helped_model, plain_model)
    ]
    assert numbers[0] == numbers[1]
    assert check_parity(helped, tmp_path / "helped.onnx", RUNTIME, IMAGE) < PARITY_TOLERANCE


def test_macs_of_a_grouped_convolution_count_its_groups() -> None:
    conv = nn.Conv2d(3, 6, 3, padding=1, groups=3, bias=False)
    assert count_macs(conv, (8, 8)) == 64 * 9 * 6


# ---- masks

SCALES = [1.0, 0.5, 0.25]


def masking_network(scale: float, *, seed: int = 0, upsample: str = "bilinear") -> Network:
    """A network whose classes all win somewhere: as it is built one class wins everywhere."""
    head = Head(8, upsample=upsample)  # type: ignore[arg-type]
    network = wear_in(build(replace(SMALL, head=head, answer_scale=scale), 5, seed=seed), seed=seed).eval()
    scores = network.get_submodule("head.scores")
    assert isinstance(scores, nn.Conv2d)
    assert scores.bias is not None
    with torch.no_grad():
        scores.bias -= network.scores(torch.from_numpy(IMAGE)).mean(dim=(0, 2, 3))
    return network


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [SIZE, (33, 50), (32, 114), (32, 854)], ids=["even", "odd", "114", "854"])
def test_a_mask_is_the_class_of_each_pixel_from_inside_the_graph(
    tmp_path: Path, scale: float, size: tuple[int, int]
) -> None:
    network = masking_network(scale)
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, *size)).astype(np.float32)
    export(network, size, tmp_path / "m.onnx", output="mask")
    assert [value.name for value in onnx.load(tmp_path / "m.onnx").graph.output] == ["mask"]
    mask = RUNTIME.open(tmp_path / "m.onnx", threads=1).run(image)
    assert (mask.dtype, mask.shape) == (np.uint8, (1, *size))
    # By hand: scores at the answer's size, the highest one, each answer over the pixels whose corner it covers.
    height, width = (max(1, round(side * scale)) for side in size)
    with torch.no_grad():
        grid = network.scores(torch.from_numpy(image))
        scores = torch.nn.functional.interpolate(grid, size=(height, width), mode="bilinear").numpy()[0]
    # (Torch and ONNX Runtime count in other floats: at 114 and 854 a column on the edge between two answers differs.)
    rows, columns = np.arange(size[0]) * height // size[0], np.arange(size[1]) * width // size[1]
    expected = scores.argmax(axis=0)[rows[:, None], columns[None]]
    assert len(np.unique(expected)) > 1
    assert (mask[0] == expected).mean() > 0.99
    assert check_parity(network, tmp_path / "m.onnx", RUNTIME, image, output="mask") < PARITY_TOLERANCE / 10


@pytest.mark.parametrize("scale", SCALES)
def test_another_networks_mask_has_no_parity(tmp_path: Path, scale: float) -> None:
    export(masking_network(scale, seed=1), SIZE, tmp_path / "m.onnx", output="mask")
    with pytest.raises(TrialFailed, match=r"must agree with torch within 0\.001, got") as caught:
        check_parity(masking_network(scale, seed=2), tmp_path / "m.onnx", RUNTIME, IMAGE, output="mask")
    assert caught.value.kind == "parity"


@pytest.mark.parametrize("behind", [0.0005, 0.5])
def test_a_mask_may_overrule_torch_only_where_two_scores_are_near(tmp_path: Path, behind: float) -> None:
    network = masking_network(1.0)
    export(network, SIZE, tmp_path / "m.onnx", output="mask")
    with torch.no_grad():
        scores, right = masking(network).scores(torch.from_numpy(IMAGE)), masking(network)(torch.from_numpy(IMAGE))
    leads = scores[0].topk(2, dim=0).values
    lead = (leads[0] - leads[1]) / scores.abs().max()
    where = (lead - behind).abs().argmin()
    wrong = right.clone()
    wrong.reshape(-1)[where] = scores[0].reshape(5, -1)[:, where].topk(2).indices[1]
    runtime = Overruling(wrong.numpy())
    if behind < 2 * PARITY_TOLERANCE:
        assert lead.reshape(-1)[where] < 2 * PARITY_TOLERANCE
        assert check_parity(network, tmp_path / "m.onnx", runtime, IMAGE, output="mask") < PARITY_TOLERANCE
    else:
        got = f"{float(lead.reshape(-1)[where]):.3g}"
        with pytest.raises(TrialFailed, match=f"within 0.002, got {got}"):
            check_parity(network, tmp_path / "m.onnx", runtime, IMAGE, output="mask")


def test_a_file_of_scores_is_no_mask(tmp_path: Path) -> None:
    network = masking_network(1.0)
    export(network, SIZE, tmp_path / "m.onnx")
    with pytest.raises(TrialFailed, match=r"\(1, 32, 48\) uint8; got \(1, 5, 32, 48\) float32"):
        check_parity(network, tmp_path / "m.onnx", RUNTIME, IMAGE, output="mask")


def test_a_mask_of_scores_that_are_not_finite_has_no_parity(tmp_path: Path) -> None:
    """Of NaN, too, one is the highest: the mask itself would tell nothing."""
    network = masking_network(1.0)
    with torch.no_grad():
        network.head.scores.bias.fill_(float("nan"))  # type: ignore[union-attr, operator]
    export(network, SIZE, tmp_path / "m.onnx", output="mask")
    with pytest.raises(TrialFailed, match="must be finite"):
        check_parity(network, tmp_path / "m.onnx", RUNTIME, IMAGE, output="mask")


def test_a_module_that_is_no_network_has_no_mask(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="got Poisoned"):
        export(Poisoned(0.0), SIZE, tmp_path / "m.onnx", output="mask")


@dataclass(frozen=True)
class Overruling:
    """A runtime that runs every file but the one that ships, of which it says the same each time."""

    answer: Any
    name: str = "overruling"
    version: str = "1"

    def open(self, model: Path, /, *, threads: int) -> Any:
        return self if model.name == "m.onnx" else RUNTIME.open(model, threads=threads)

    def run(self, image: Any, /) -> Any:
        return self.answer
