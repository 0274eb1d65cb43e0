from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from segsearch.compression.prune import prune
from segsearch.networks import build
from segsearch.networks.decoders import HEAD_BLOCKS, JOINS, UPSAMPLES, Classifier, Shuffle, Widths
from segsearch.networks.layers import resize
from segsearch.space.architecture import Architecture, EncoderPath, Feature, Head, Join, Stage, Stem
from segsearch.space.steps import Prune
from segsearch.trial.export import count_params

Parity = Callable[[nn.Module, tuple[int, int]], float]


def join(name: str, reduce: int = 0) -> nn.Module:
    return JOINS[name](Widths(24, (8,), 5), Join(name, Feature(0, 1), 16, reduce))


@pytest.mark.parametrize("name", JOINS)
@pytest.mark.parametrize("reduce", [0, 4])
@pytest.mark.parametrize(
    ("running", "feature"), [((4, 6), (8, 12)), ((3, 5), (7, 9)), ((1, 1), (5, 3)), ((6, 6), (6, 6)), ((9, 9), (4, 4))]
)
def test_a_join_answers_at_the_features_size(
    name: str, reduce: int, running: tuple[int, int], feature: tuple[int, int]
) -> None:
    module = join(name, reduce)
    x, skip = torch.randn(2, 24, *running), torch.randn(2, 8, *feature)
    kept = x.clone(), skip.clone()
    out = module.train()(x, skip)
    assert out.shape == (2, 16, *feature)
    assert torch.equal(x, kept[0])
    assert torch.equal(skip, kept[1]), "another join may read the feature again"
    (out * torch.randn(16, 1, 1)).sum().backward()
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("name", JOINS)
def test_a_join_hears_both_sides(name: str) -> None:
    module = join(name).train()
    x, skip = torch.randn(2, 24, 4, 4, requires_grad=True), torch.randn(2, 8, 8, 8, requires_grad=True)
    (module(x, skip) * torch.randn(16, 8, 8)).sum().backward()
    assert x.grad is not None
    assert skip.grad is not None
    assert x.grad.abs().sum() > 0
    assert skip.grad.abs().sum() > 0


class Joined(nn.Module):
    """A join as a network of images, to export it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.coarse, self.fine, self.join = nn.Conv2d(3, 24, 3, 4, 1), nn.Conv2d(3, 8, 3, 2, 1), module

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.join(self.coarse(image / 255), self.fine(image / 255))
        return found


@pytest.mark.parametrize("name", JOINS)
@pytest.mark.parametrize("reduce", [0, 4])
@pytest.mark.parametrize("size", [(32, 48), (33, 45)])
def test_a_join_exports_with_parity(name: str, reduce: int, size: tuple[int, int], parity: Parity) -> None:
    assert parity(Joined(join(name, reduce)), size) < 1e-4


@pytest.mark.parametrize("name", HEAD_BLOCKS)
@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_head_scores_every_class_and_learns(name: str, depth: int, dropout: float) -> None:
    head = Classifier(24, Head(16, depth, name, dropout), classes=5).train()
    scores = head(torch.randn(2, 24, 7, 9))
    assert scores.shape == (2, 5, 7, 9)
    (scores * torch.randn(5, 1, 1)).sum().backward()
    for key, parameter in head.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    assert sum(isinstance(module, nn.ReLU) for module in head.modules()) >= depth


@pytest.mark.parametrize("name", HEAD_BLOCKS)
def test_a_head_exports_with_parity_and_without_its_dropout(name: str, parity: Parity) -> None:
    first = nn.Conv2d(3, 24, 1)
    nn.init.normal_(first.weight, std=0.01)
    head = Classifier(24, Head(16, 2, name, 0.5), classes=5)
    assert parity(nn.Sequential(first, head), (9, 11)) < 1e-4


def test_scores_are_not_rectified() -> None:
    head = Classifier(4, Head(8), classes=3).eval()
    assert (head(torch.randn(1, 4, 16, 16)) < 0).any()


def test_a_shuffle_begins_as_the_bilinear_resize() -> None:
    shuffle = Shuffle(3)
    shuffle.grow.bias = None
    scores = torch.randn(2, 3, 6, 9, generator=torch.Generator().manual_seed(0))
    expected = resize(scores, (12, 18))
    # But for the outermost row, where a resize repeats the edge and a convolution sees nothing.
    assert torch.allclose(shuffle(scores)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-6)


def test_a_shuffle_learns_for_each_class_alone() -> None:
    shuffle = Shuffle(3)
    scores = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (gradient,) = torch.autograd.grad(shuffle(scores)[:, 1].sum(), scores)
    assert gradient[:, 1].abs().sum() > 0
    assert not gradient[:, [0, 2]].any()


@pytest.mark.parametrize("name", sorted(UPSAMPLES))
@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_a_head_with_every_upsampling_scores_learns_and_exports(
    name: str, size: tuple[int, int], parity: Parity
) -> None:
    head = Head(8, upsample=name)  # type: ignore[arg-type]
    network = build(Architecture((EncoderPath(Stem(8), (Stage("conv", 8, 1, 2),)),), (), head), 5)
    grid = network.scores(torch.zeros(1, 3, *size))
    assert grid.shape[-2] == (2 if name == "pixel_shuffle" else 1) * -(-size[0] // 4)
    grid.sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert parity(network, size) < 1e-4


def test_pruning_leaves_a_shuffle_whole() -> None:
    head = Head(32, upsample="pixel_shuffle")
    network = build(Architecture((EncoderPath(Stem(8), (Stage("conv", 32, 1, 2),)),), (), head), 5)
    before = count_params(network)
    prune(network, Prune(0.5), protected=network.protected)
    assert count_params(network) < before
    assert network.eval()(torch.zeros(1, 3, 32, 48)).shape == (1, 5, 32, 48)
    assert [layer.weight.shape[0] for layer in (network.head.scores, network.head.upsample.grow)] == [5, 20]  # type: ignore[union-attr]
