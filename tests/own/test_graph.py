"""An ONNX file that somebody brought: any export of it says in a file of ours what it says by itself, or is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from segsearch.compression import GRAPH_STEPS
from segsearch.errors import StudyError, TrialFailed
from segsearch.own.graph import GraphMaker, header_in, read_graph
from segsearch.runtimes import RUNTIMES
from segsearch.space.candidate import Output
from segsearch.space.own import OwnNetwork, Pixels
from segsearch.space.steps import Quantize
from segsearch.trial.graph_parity import graph_parity, taken
from tests.own.brought import worn

SIZE = (32, 48)


class Net(nn.Module):
    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.first, self.bn, self.last = nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.Conv2d(16, classes, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = torch.relu(self.bn(self.first(x)))
        return self.last(y), y


def exported(target: Path, module: nn.Module, *, size: tuple[int, int] = SIZE, **options: object) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.zeros(1, 3, *size)
        torch.onnx.export(worn(module).eval(), (example,), str(target), dynamo=False, **options)  # type: ignore[arg-type]
    return target


def image() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (1, 3, *SIZE)).astype(np.float32)


OPEN = {"input_names": ["x"], "output_names": ["y", "z"], "dynamic_axes": {"x": {0: "n", 2: "h", 3: "w"}}}


@pytest.mark.parametrize("output", ["mask", "scores"])
@pytest.mark.parametrize(
    "options",
    [
        {"opset_version": 17},
        {"opset_version": 11, **OPEN},
        {"opset_version": 18, "training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False},
    ],
    ids=["plain", "old and open", "with batch norm"],
)
def test_it_says_what_it_said(options: dict[str, object], output: Output, tmp_path: Path) -> None:
    source = exported(tmp_path / "mine.onnx", Net(), **options)
    header, notes = read_graph(source, tmp_path / "kept.onnx", size=SIZE, classes=5, entry=None)
    assert "its scores are 16x24 for 32x48" in " ".join(notes)
    assert "2 outputs" in " ".join(notes)
    maker = GraphMaker(tmp_path / "kept.onnx")
    assert header_in(maker.path) == header
    pixels = Pixels((10.0, 20.0, 30.0), (1.0, 2.0, 3.0), channels="bgr")
    own = OwnNetwork(f"{'0' * 64}.onnx", pixels, answer_scale=0.5 if output == "mask" else 1.0)
    model = tmp_path / "model.onnx"
    maker.write(own, model, output=output)
    onnx.checker.check_model(onnx.load(str(model)), full_check=True)
    assert graph_parity(own, maker, model, RUNTIMES["onnxruntime"], [image()], output=output) < 1e-5
    params, macs = maker.counts()
    assert macs == 16 * 24 * (27 * 16 + 16 * 5)
    assert params >= 27 * 16 + 16 * 5
    other = OwnNetwork(own.artifact, Pixels(), answer_scale=own.answer_scale)
    with pytest.raises(TrialFailed, match="agree with the graph"):
        graph_parity(other, maker, model, RUNTIMES["onnxruntime"], [image()], output=output)


class Level(nn.Module):
    """One level of a pyramid, resized by the shape of another: an export leaves its shapes open."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(*sides, 3, padding=1) for sides in ((3, 8), (8, 8), (8, 5)))
        self.same, self.also = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.also.load_state_dict(self.same.state_dict())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = torch.relu(self.a(x))
        coarse = nn.functional.interpolate(self.b(nn.functional.max_pool2d(fine, 2)), size=fine.shape[-2:])
        return self.c(torch.relu(self.also(torch.relu(self.same(fine + coarse)))))  # type: ignore[no-any-return]


@pytest.mark.parametrize("options", [{}, {**OPEN, "output_names": ["y"]}], ids=["fixed", "open"])
def test_operations_are_counted_where_shapes_are_open_and_weights_are_shared(
    options: dict[str, object], tmp_path: Path
) -> None:
    source = exported(tmp_path / "mine.onnx", Level(), opset_version=17, **options)
    read_graph(source, tmp_path / "kept.onnx", size=SIZE, classes=5, entry=None)
    pixels = SIZE[0] * SIZE[1]
    by_hand = 9 * (3 * 8 * pixels + 8 * 8 * pixels // 4 + 2 * 8 * 8 * pixels + 8 * 5 * pixels)
    assert GraphMaker(tmp_path / "kept.onnx").counts()[1] == by_hand


class Dense(Net):
    """Its scores pass a layer of all channels at once, which exporters write as Gemm with turned weights."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        y = self.last(torch.relu(self.first(x)))
        gate = self.dense(y.mean((2, 3)))[:, :5]
        return torch.as_tensor(y * gate[:, :, None, None])


def test_a_layer_with_turned_weights_is_counted_by_what_it_reads(tmp_path: Path) -> None:
    source = exported(tmp_path / "mine.onnx", Dense(), opset_version=17)
    assert any(node.op_type == "Gemm" for node in onnx.load(str(source)).graph.node)
    read_graph(source, tmp_path / "kept.onnx", size=SIZE, classes=5, entry=None)
    assert GraphMaker(tmp_path / "kept.onnx").counts()[1] == 16 * 24 * (27 * 16 + 16 * 5) + 5 * 7


class Aided(Net):
    """A second answer has weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.aid = nn.Conv2d(16, 64, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.relu(self.first(x))
        return self.last(y), self.aid(y)


def test_what_only_another_answer_needs_is_not_kept(tmp_path: Path) -> None:
    source = exported(tmp_path / "mine.onnx", Aided(), opset_version=17)
    read_graph(source, tmp_path / "kept.onnx", size=SIZE, classes=5, entry=None)
    assert GraphMaker(tmp_path / "kept.onnx").counts() == (
        27 * 16 + 16 + 16 * 5 + 5,
        16 * 24 * (27 * 16 + 16 * 5),
    )
    assert (tmp_path / "kept.onnx").stat().st_size < source.stat().st_size - 4 * 16 * 64 * 9


def test_pixels_are_given_in_the_networks_order() -> None:
    found = taken(image(), Pixels((1.0, 2.0, 3.0), (2.0, 2.0, 4.0), top=1.0, channels="bgr"))
    assert np.allclose(found[0, 0], (image()[0, 2] / 255 - 1) / 2, atol=1e-6)
    assert np.allclose(found[0, 2], (image()[0, 0] / 255 - 3) / 4, atol=1e-6)


class Chosen(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(x)[0].argmax(1)


class Two(Net):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(x + y)[0]


def test_what_cannot_be_searched_is_refused_in_a_line(tmp_path: Path) -> None:
    target = tmp_path / "kept.onnx"

    def refused(source: Path, words: str, classes: int = 5, size: tuple[int, int] = SIZE) -> None:
        with pytest.raises(StudyError, match=words) as error:
            read_graph(source, target, size=size, classes=classes, entry=None)
        assert len(str(error.value).splitlines()) == 1

    plain = exported(tmp_path / "a.onnx", Net(), opset_version=17)
    refused(plain, "a.onnx tells 5 classes apart, and the data set has 19", classes=19)
    refused(plain, "takes images of 32x48, and the data's are 64x96: add --size 32x48", size=(64, 96))
    training = {"training": torch.onnx.TrainingMode.TRAINING, "do_constant_folding": False}
    in_training = exported(tmp_path / "t.onnx", Net().train(), opset_version=17, **training)
    refused(in_training, "is in training form .*: export it with model.eval")
    rounded = tmp_path / "q.onnx"
    GRAPH_STEPS[Quantize](
        exported(tmp_path / "f.onnx", Level(), opset_version=17, input_names=["image"]),
        rounded,
        Quantize(),
        images=[image()],
    )
    refused(rounded, "is quantized already .*; bring the float file")
    last = onnx.load(str(plain))
    for side, name in zip(last.graph.input[0].type.tensor_type.shape.dim, ("n", "h", "w", None), strict=True):
        side.Clear()
        if name is None:
            side.dim_value = 3
        else:
            side.dim_param = name
    onnx.save(last, tmp_path / "last.onnx")
    refused(tmp_path / "last.onnx", "export it with channels second")
    refused(exported(tmp_path / "b.onnx", Chosen(), opset_version=17), "return the scores before the argmax")
    (tmp_path / "c.onnx").write_bytes(b"nothing")
    refused(tmp_path / "c.onnx", "not an ONNX file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both = (torch.zeros(1, 3, *SIZE), torch.zeros(1, 3, *SIZE))
        torch.onnx.export(Two().eval(), both, str(tmp_path / "d.onnx"), dynamo=False, opset_version=17)
    refused(tmp_path / "d.onnx", "must have one input, an image; it has 2")
