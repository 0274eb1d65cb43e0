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


F = Feature(0, 1)
SETTINGS = {
    "concat": [
        Join("concat", F, 16),
        Join("concat", F, 16, reduce=4),
        Join("concat", F, 16, block="conv", depth=2),
        Join("concat", F, 16, upsample="transposed"),
        Join("concat", F, 16, upsample="nearest"),
    ],
    "add": [
        Join("add", F, 16),
        Join("add", F, 16, reduce=4),  # was never heeded
        Join("add", F, 16, block="conv", depth=1),  # RegSeg's sum and 3x3
        Join("add", F, 16, depth=2, upsample="transposed"),
        Join("add", F, 16, upsample="nearest"),
    ],
    "score": [Join("score", F, 0), Join("score", F, 0, upsample="transposed"), Join("score", F, 0, upsample="nearest")],
    "attention": [
        Join("attention", F, 16),
        Join("attention", F, 24, block="conv"),  # as wide as the running map
        Join("attention", F, 16, depth=2, upsample="transposed"),
    ],
    "fuse": [Join("fuse", F, 16), Join("fuse", F, 16, depth=1), Join("fuse", F, 16, upsample="transposed")],
    "cascade": [Join("cascade", F, 16), Join("cascade", F, 16, depth=1, block="conv", upsample="transposed")],
}
CASES = [join for joins in SETTINGS.values() for join in joins]
PAIRS = [((4, 6), (8, 12)), ((3, 5), (7, 9)), ((1, 1), (5, 3)), ((6, 6), (6, 6)), ((9, 9), (4, 4))]
joins = pytest.mark.parametrize("join", CASES, ids=str)
several = pytest.mark.parametrize("join", [joins[0] for joins in SETTINGS.values()], ids=lambda join: join.kind)


def built(join: Join, features: tuple[int, ...] = (8,)) -> nn.Module:
    return JOINS[join.kind](Widths(24, features, 5), join)


def all_learn(module: nn.Module) -> None:
    for key, parameter in module.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


def test_every_join_of_the_table_is_tried() -> None:
    assert set(SETTINGS) == set(JOINS)


@joins
@pytest.mark.parametrize(("running", "feature"), PAIRS)
def test_a_join_answers_at_the_features_size(join: Join, running: tuple[int, int], feature: tuple[int, int]) -> None:
    module, channels = built(join), join.channels or 5
    x, skip = torch.randn(2, 24, *running), torch.randn(2, 8, *feature)
    kept = x.clone(), skip.clone()
    out = module.train()(x, skip)
    assert out.shape == (2, channels, *feature)
    assert torch.equal(x, kept[0])
    assert torch.equal(skip, kept[1]), "another join may read the feature again"
    (out * torch.randn(channels, 1, 1)).sum().backward()
    all_learn(module)


@joins
def test_a_join_hears_both_sides(join: Join) -> None:
    module = built(join).train()
    x, skip = torch.randn(2, 24, 4, 4, requires_grad=True), torch.randn(2, 8, 8, 8, requires_grad=True)
    (module(x, skip) * torch.randn(join.channels or 5, 8, 8)).sum().backward()
    assert x.grad is not None
    assert skip.grad is not None
    assert x.grad.abs().sum() > 0
    assert skip.grad.abs().sum() > 0


@joins
def test_a_join_trains_on_a_single_image(join: Join) -> None:
    # A mean of one image: a batch norm there would have nothing to normalise over.
    assert torch.isfinite(built(join).train()(torch.randn(1, 24, 3, 3), torch.randn(1, 8, 6, 6))).all()


@several
def test_a_join_hears_every_map_at_the_first_ones_size(join: Join) -> None:
    """Semantic FPN and HRNet merge maps of all sizes at once."""
    sizes, widths = ((4, 4), (9, 7), (5, 4), (18, 13)), (24, 8, 6, 10)
    module = built(join, widths[1:]).train()
    maps = [torch.randn(2, width, *size, requires_grad=True) for width, size in zip(widths, sizes, strict=True)]
    out = module(*maps)
    assert out.shape == (2, join.channels or 5, 9, 7)
    (out * torch.randn(*out.shape[1:])).sum().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in maps)
    all_learn(module)


class Decoded(nn.Module):
    """A join as a network of images, to export it."""

    def __init__(self, module: nn.Module, *others: nn.Module) -> None:
        super().__init__()
        self.coarse, self.fine, self.join = nn.Conv2d(3, 24, 3, 4, 1), nn.Conv2d(3, 8, 3, 2, 1), module
        self.others = nn.ModuleList(others)

    def forward(self, image: Tensor) -> Tensor:
        x = image / 255
        found: Tensor = self.join(self.coarse(x), self.fine(x), *(other(x) for other in self.others))
        return found


@joins
@pytest.mark.parametrize("size", [(32, 48), (33, 45)])
def test_a_join_exports_with_parity(join: Join, size: tuple[int, int], parity: Parity) -> None:
    assert parity(Decoded(built(join)), size) < 1e-4


@several
def test_a_join_of_several_maps_exports_with_parity(join: Join, parity: Parity) -> None:
    others = nn.Conv2d(3, 6, 3, 8, 1), nn.Conv2d(3, 10, 1)
    assert parity(Decoded(built(join, (8, 6, 10)), *others), (37, 51)) < 1e-4


@pytest.mark.parametrize("size", [(31, 43), (35, 46), (64, 62)])
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_the_nearest_resize_is_the_runtimes_own(size: tuple[int, int], stride: int, parity: Parity) -> None:
    """Where a pixel lay on the edge of two, runtimes that count in other floats could take either."""
    network = Decoded(built(Join("add", F, 16, upsample="nearest")))
    network.coarse = nn.Conv2d(3, 24, 3, 2 * stride, 1)
    assert parity(network, size) < 1e-4


def test_maps_that_are_scores_already_are_added_as_they_are() -> None:
    done = JOINS["score"](Widths(5, (5, 5), 5, running_scored=True, scored=(True, True)), Join("score", F, 0))
    assert not list(done.parameters())
    x, one, two = torch.randn(1, 5, 4, 4), torch.randn(1, 5, 8, 8), torch.randn(1, 5, 8, 8)
    torch.testing.assert_close(done(x, one, two), resize(x, (8, 8)) + one + two)


def test_as_many_channels_as_classes_are_no_scores_yet() -> None:
    module = JOINS["score"](Widths(5, (5,), 5), Join("score", F, 0))
    assert sum(isinstance(layer, nn.Conv2d) and layer.bias is not None for layer in module.modules()) == 2


def test_a_learned_doubling_is_tried_before_the_resize() -> None:
    module = built(Join("concat", F, 16, upsample="transposed")).eval()
    seen: list[tuple[int, ...]] = []
    module.grow.doubled.register_forward_hook(lambda *told: seen.append(tuple(told[-1].shape)))
    module(torch.randn(1, 24, 5, 6), torch.randn(1, 8, 9, 11))
    assert seen == [(1, 16, 10, 12)], "it leaves the join's width, as U-Net's does"


def test_a_running_map_of_the_same_width_is_added_without_a_projection() -> None:
    """As BiSeNet's context path hands it on."""
    fits, other = (built(Join("attention", F, width)) for width in (24, 16))
    assert isinstance(fits.running, nn.Identity)
    assert not isinstance(other.running, nn.Identity)


def test_refinement_is_as_deep_as_it_is_asked_to_be() -> None:
    for kind, alone in (("concat", 1), ("add", 0), ("attention", 1), ("fuse", 0), ("cascade", 0)):
        for depth in (None, 1, 3):
            refine = built(Join(kind, F, 16, block="conv", depth=depth)).refine
            wide = [layer for layer in refine.modules() if isinstance(layer, nn.Conv2d)]
            assert len(wide) == (alone if depth is None else depth), (kind, depth)
            assert all(layer.kernel_size == (3, 3) and layer.out_channels == 16 for layer in wide)


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
