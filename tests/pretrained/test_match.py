"""Which layers inherit is told from two architectures: stage by stage, as far as their maps are the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segsearch.networks import build
from segsearch.pretrained.families import LAYOUTS
from segsearch.pretrained.match import Left, Report, match
from segsearch.space.architecture import EncoderPath, Feature, Stage, Stem
from segsearch.space.keys import from_json, to_json
from tests.pretrained.nets import ALONE, KINDS, mb, of, whole

PARENT = of(mb(16, 1, expansion=1.0), mb(24, 3, 2, 5), mb(32, 2, 2))
VGG = of(Stage("conv", 16, 2), Stage("conv", 24, 2, 2, downsample="max_pool"), Stage("conv", 32, 1, 2), stem=None)


@pytest.mark.parametrize("kind", ALONE)
def test_a_network_matches_itself_whole(kind: str) -> None:
    found = match(KINDS[kind], KINDS[kind])
    assert not found.left
    assert all(child == parent for child, parent in found.pairs)
    names = {name for name, _ in build(KINDS[kind], 3).named_parameters() if name.startswith("encoders.")}
    assert found.parameters >= names


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.name}, {layout.called.get('project')}")
def test_every_known_network_matches_itself(layout: object) -> None:
    architecture = layout.architecture  # type: ignore[attr-defined]
    assert match(architecture, architecture).report.left == ()


def test_narrower_shallower_and_smaller_kernels_match_whole() -> None:
    child = of(mb(8, 1, expansion=1.0), mb(16, 1, 2, 3, expansion=3.0), mb(24, 1, 1, atrous=(2,)), stem=Stem(8))
    found = match(child, PARENT)
    assert found.report == Report(1 + 2 + 3 + 3, 9)
    assert {layer.block for layer, _ in found.pairs} == {0}
    assert found.report.words == "9 of 9 convolutions of the encoder inherit"


def test_blocks_and_stages_that_the_parent_lacks_are_left() -> None:
    child = of(mb(16, 1, expansion=1.0), mb(24, 4, 2), mb(32, 2, 2), mb(48, 2, 2))
    assert match(child, PARENT).left == (
        Left("stage 2, block 4", 3, "the parent's has no such block"),
        Left("stage 4", 6, "the parent ends after stage 3"),
    )


def test_from_the_first_stage_that_does_not_fit_on_nothing_inherits() -> None:
    child = of(mb(16, 1, expansion=1.0), Stage("residual", 24, 1, 2), mb(32, 1, 2))
    assert match(child, PARENT).left == (
        Left("stage 2", 3, "its block is residual, the parent's mbconv"),
        Left("stage 3", 3, "it reads a map that is not the parent's"),
    )
    words = "3 of 9 convolutions of the encoder inherit; stage 2 (3) does not: its block is residual, the parent's"
    assert match(child, PARENT).report.words.startswith(words)


def test_a_stage_that_nobody_counted_ends_the_match_too() -> None:
    child = of(Stage("grouped", 16, 1, groups=2), mb(24, 1, 2))
    assert [one.convolutions for one in match(child, PARENT).left] == [0, 3]


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        (mb(16, 1), "one of the two expands nothing"),
        (Stage("conv", 16, 1, norm="none"), "its block is conv, the parent's mbconv"),
    ],
)
def test_another_structure_does_not_fit(stage: Stage, why: str) -> None:
    assert match(of(stage), PARENT).left[0].why == why


def test_grouped_convolutions_do_not_fit() -> None:
    """A choice of channels would have to suit every group (ResNeXt)."""
    plain, grouped = (of(Stage("bottleneck", 32, 1, groups=groups)) for groups in (1, 4))
    assert match(grouped, plain).left == (Left("stage 1", 4, "its convolutions are grouped"),)
    assert match(plain, grouped).left == (Left("stage 1", 4, "the parent's convolutions are grouped"),)


def test_another_norm_does_not_fit() -> None:
    child = of(Stage("conv", 16, 1, norm="none"), stem=None)
    assert match(child, VGG).left == (Left("stage 1", 1, "its norm is none, the parent's batch"),)


def test_squeezing_that_the_parent_does_not_do_begins_as_drawn() -> None:
    child = of(mb(16, 1, expansion=1.0), mb(24, 1, 2, squeeze=0.25))
    assert match(child, PARENT).left == (Left("stage 2, block 1", 2, "the parent's block has no reduce, widen"),)


def test_maps_that_only_the_child_adds_do_not_fit() -> None:
    """Its one choice of channels would stand for two of the parent's."""
    child = of(mb(16, 1, expansion=1.0), mb(16, 1, 1))
    assert match(child, PARENT).left[0].why == "it adds maps that the parent keeps apart"
    assert not match(of(mb(16, 1, expansion=1.0), mb(16, 1, 2)), PARENT).left


def test_maps_that_only_the_parent_adds_fit() -> None:
    parent = of(Stage("residual", 16, 2), Stage("residual", 32, 1, 2))
    child = of(Stage("residual", 16, 2), Stage("residual", 24, 1, 2), stem=Stem(8))
    found = match(child, parent)
    assert found.left == (Left("stage 1, block 1", 1, "the parent's block has no shortcut"),)


def test_without_shortcuts_a_shallower_stage_makes_another_map() -> None:
    child = of(Stage("conv", 16, 2), Stage("conv", 24, 1, 2, downsample="max_pool"), Stage("conv", 32, 1, 2), stem=None)
    assert match(child, VGG).left == (Left("stage 3", 1, "it reads a map that is not the parent's"),)
    deeper = of(Stage("conv", 16, 3), Stage("conv", 24, 2, 2), stem=None)
    assert match(deeper, VGG).left == (
        Left("stage 1, block 3", 1, "the parent's has no such block"),
        Left("stage 2", 2, "it reads a map that is not the parent's"),
    )


def test_a_stem_needs_a_stem() -> None:
    assert match(of(Stage("conv", 16, 1)), VGG).left[0] == Left("stem", 1, "it has a stem, the parent has none")
    assert match(of(mb(16, 1, expansion=1.0), stem=None), PARENT).left == (
        Left("stage 1", 2, "the parent has a stem before it"),
    )


def test_a_deeper_stem_inherits_its_first_convolutions_and_ends_the_match() -> None:
    found = match(of(mb(16, 1, expansion=1.0), stem=Stem(16, 4, depth=2)), PARENT)
    assert found.left == (
        Left("stem, convolution 2", 1, "the parent's has no such block"),
        Left("stage 1", 2, "it reads a map that is not the parent's"),
    )


# ---- several paths


def test_each_path_that_reads_the_image_inherits() -> None:
    child = whole(
        EncoderPath(Stem(16), (mb(16, 1, expansion=1.0), mb(24, 1, 2))), EncoderPath(Stem(8), (Stage("conv", 8, 1),))
    )
    found = match(child, PARENT)
    assert found.left == (Left("path 2, stage 1", 1, "its block is conv, the parent's mbconv"),)
    assert {layer.path for layer, _ in found.pairs} == {0, 1}


def test_a_path_that_goes_on_from_a_map_goes_on_with_the_parents_stages() -> None:
    """Two rates of a scene (ICNet): the second one reads the first one's map and runs the stages behind it."""
    first = EncoderPath(Stem(16), (mb(16, 1, expansion=1.0), mb(24, 3, 2, 5)))
    child = whole(first, EncoderPath(None, (mb(32, 2, 2), mb(48, 1, 2)), source=Feature(0, 2), scale=0.5))
    found = match(child, PARENT)
    assert found.left == (Left("path 2, stage 2", 3, "the parent ends after stage 3"),)
    assert {parent.stage for layer, parent in found.pairs if layer.path == 1} == {3}


def test_a_path_that_goes_on_from_a_map_of_its_own_kind_inherits_nothing() -> None:
    first = EncoderPath(Stem(16), (Stage("conv", 16, 1), mb(24, 1, 2)))
    child = whole(first, EncoderPath(None, (mb(24, 1, 2),), source=Feature(0, 1)))
    assert match(child, PARENT).left[-1] == Left("path 2, stage 1", 3, "it reads a map that is not the parent's")
    child = whole(first, EncoderPath(Stem(8), (mb(24, 1, 2),), source=Feature(0, 0)))
    assert match(child, PARENT).left[-2] == Left("path 2, stem", 1, "it has a stem and reads no image")


def test_a_report_goes_through_json() -> None:
    child = replace(
        PARENT,
        paths=(
            replace(
                PARENT.paths[0],
                stages=(*PARENT.paths[0].stages, mb(48, 1)),
            ),
        ),
    )
    report = match(child, PARENT).report
    assert report.left
    assert from_json(Report, to_json(report)) == report
