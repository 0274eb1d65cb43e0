"""The networks of the field are those of their papers: their sizes are what was published, or it is said why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segsearch.compression.prune import prune
from segsearch.errors import StudyError
from segsearch.networks import Assembled, Network, build, check_architecture, wear_in
from segsearch.references import REFERENCES, Published, reference
from segsearch.references.encoders import (
    POOLED_STEM,
    densenet121,
    mobilenet_v2,
    mobilenet_v3,
    resnet,
    vgg16,
)
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.steps import Prune
from segsearch.trial.export import check_parity, count_macs, count_params, export

MOBILE = [name for name in REFERENCES if name.endswith("-mobile")]
PAPERS = [name for name in REFERENCES if name not in MOBILE]
PUBLISHED = [name for name in PAPERS if REFERENCES[name].published is not None]


def weightless(architecture: Architecture, classes: int) -> Network:
    """The network without any memory for its weights: those of the papers have up to 134 million."""
    check_architecture(architecture)
    with torch.device("meta"):
        return Assembled(architecture, classes)


def published(name: str) -> Published:
    found = REFERENCES[name].published
    assert found is not None
    return found


@pytest.mark.parametrize("name", PAPERS)
def test_every_paper_has_a_network_that_a_phone_runs(name: str) -> None:
    assert f"{name}-mobile" in MOBILE or name == "deeplab-v3-mobilenet-v3", name
    assert REFERENCES[name].paper.startswith("arXiv:")


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_those_that_were_published(name: str) -> None:
    said = published(name)
    million = count_params(weightless(reference(name), said.classes)) / 1e6
    near = abs(million / said.million_params - 1) <= 0.03
    assert near or said.deviates, f"{million:.2f} M where {said.source} has {said.million_params} M"
    assert not (near and said.deviates), f"nothing to explain: {million:.2f} M"


@pytest.mark.parametrize("name", [name for name in PUBLISHED if published(name).giga_macs is not None])
def test_multiply_accumulates_are_those_that_were_published(name: str) -> None:
    said = published(name)
    assert said.giga_macs is not None
    assert said.size is not None
    giga = count_macs(weightless(reference(name), said.classes), said.size) / 1e9
    near = abs(giga / said.giga_macs - 1) <= 0.03
    assert near or said.deviates, f"{giga:.2f} G where {said.source} has {said.giga_macs} G"


def encoder(stem: Stem | None, stages: tuple[Stage, ...]) -> Architecture:
    return Architecture((EncoderPath(stem, stages),), (), Head(1, depth=0))


# Parameters of the classification networks as torchvision counts them, less what comes after the last map here; and
# their multiply-accumulates at 224x224 in thousand millions, less those of that part.
ENCODERS = {
    "VGG-16": (encoder(None, vgg16()), 14_714_688, 15.470 - 0.1236),
    "ResNet-18": (encoder(POOLED_STEM, resnet((2, 2, 2, 2), basic=True)), 11_689_512 - 513_000, 1.814 - 0.0005),
    "ResNet-50": (encoder(POOLED_STEM, resnet((3, 4, 6, 3))), 25_557_032 - 2_049_000, 4.089 - 0.002),
    "ResNet-101": (encoder(POOLED_STEM, resnet((3, 4, 23, 3))), 44_549_160 - 2_049_000, 7.801 - 0.002),
    "DenseNet-121": (encoder(POOLED_STEM, densenet121()), 7_978_856 - 1_025_000, 2.834 - 0.001),
    # Less the last 1x1 to 1280 channels, 320 * 1280 weights and its norm.
    "MobileNetV2": (encoder(*mobilenet_v2()), 3_504_872 - 1_281_000 - 412_160, 0.301 - 0.0214),
    # Less the last 1x1 to 960 channels, and the classifier of 960 * 1280 and 1280 * 1000.
    "MobileNetV3-Large": (encoder(*mobilenet_v3()), 5_483_032 - 2_511_080 - 155_520, 0.217 - 0.0100),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_have_the_weights_of_their_papers_to_the_last_one(name: str) -> None:
    architecture, params, giga = ENCODERS[name]
    network = weightless(architecture, 5)
    classifier = 5 * (network.head.scores.in_channels + 1)  # type: ignore[operator,union-attr]
    assert count_params(network) - classifier == params
    last = 49 * 5 * network.head.scores.in_channels  # type: ignore[operator,union-attr]
    assert (count_macs(network, (224, 224)) - last) / 1e9 == pytest.approx(giga, rel=0.01)


@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_s_network_answers_at_the_image_s_size(name: str) -> None:
    network = weightless(reference(name), 19)
    scores = network.eval()(torch.zeros(1, 3, 360, 480, device="meta"))
    assert scores.shape == (1, 19, 360, 480)


@pytest.mark.parametrize("name", MOBILE)
def test_a_phone_can_run_the_mobile_ones(name: str) -> None:
    network = weightless(reference(name), 11)
    assert count_params(network) < 1_500_000
    assert count_macs(network, (360, 480)) < 2_000_000_000


@pytest.mark.parametrize("name", MOBILE)
def test_a_mobile_reference_learns_exports_and_agrees(name: str, tmp_path: Path) -> None:
    network = build(reference(name), 5).train()
    scores, extra = network.scores_and_auxiliary(torch.rand(2, 3, 96, 128) * 255)
    (scores.square().mean() + sum(each.square().mean() for each in extra)).backward()
    assert all(value.grad is not None for value in network.parameters())
    worn = wear_in(build(reference(name), 5)).eval()
    export(worn, (96, 128), tmp_path / "model.onnx")
    check_parity(worn, tmp_path / "model.onnx", RUNTIMES["onnxruntime"], torch.rand(1, 3, 96, 128).numpy() * 255)


@pytest.mark.parametrize("name", MOBILE)
@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_a_mobile_reference_prunes(name: str, ratio: float) -> None:
    network = build(reference(name), 5)
    before = count_params(network)
    prune(network, Prune(ratio), protected=network.protected)
    assert count_params(network) < before
    with torch.no_grad():
        scores = network.eval()(torch.rand(1, 3, 96, 128) * 255)
    assert scores.shape == (1, 5, 96, 128)
    assert torch.isfinite(scores).all()


def test_a_name_that_is_no_reference_is_told_with_those_that_are() -> None:
    with pytest.raises(StudyError, match=r"A reference must be one of fcn-8s, unet, .*; got 'pspnet-phone'\."):
        reference("pspnet-phone")
