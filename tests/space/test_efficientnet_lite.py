"""The space of EfficientNet-Lite0's sub-networks: each is a candidate, inherits in its whole encoder, and ships."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from optuna.trial import FixedTrial

from segsearch.networks import build, check_architecture
from segsearch.pretrained.families import LAYOUTS
from segsearch.pretrained.inherit import inherit
from segsearch.pretrained.match import match
from segsearch.space.architecture import Architecture, EncoderPath, Feature, Head
from segsearch.space.candidate import Candidate, Named
from segsearch.space.draws import Facts
from segsearch.space.keys import from_json, to_json
from segsearch.space.steps import Prune
from tests.pretrained.nets import worn
from tests.samples import some
from tests.space.drawn import CLASSES, ask, build_run_learn_prune, export_and_quantize, images, load_built_in

draw = load_built_in("efficientnet_lite")
TAUGHT = Facts(has_teacher=True)
DRAWN = ask(draw, TAUGHT, 300)
LITE = {layout.name: layout for layout in LAYOUTS if layout.name.startswith("EfficientNet-Lite")}


def encoder(candidate: Candidate) -> EncoderPath:
    (path,) = candidate.architecture.paths
    return path


def candidates(numbers: Sequence[int]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("candidate", [DRAWN[number][0] for number in numbers], ids=map(str, numbers))


# What every draw must be, before anything is built.


def test_hundreds_of_draws_fit_and_go_through_json() -> None:
    for candidate, _ in DRAWN:
        check_architecture(candidate.architecture)
        assert from_json(Candidate, to_json(candidate)) == candidate


def test_a_stored_draw_is_replayed_by_name() -> None:
    for candidate, params in DRAWN:
        assert draw(Named(params), TAUGHT) == candidate
    for candidate, params in DRAWN[:30]:
        assert draw(FixedTrial(params), TAUGHT) == candidate


def test_a_quarter_goes_by_taylor_terms_and_a_half_by_magnitude() -> None:
    """Of what begins with ImageNet's weights a quarter cost less by the former in three of three seeds."""
    pruned = [step for candidate, _ in DRAWN for step in candidate.before_export if isinstance(step, Prune)]
    assert {(step.ratio, step.criterion) for step in pruned} == {(0.25, "taylor"), (0.5, "l1")}


def test_equal_keys_are_equal_candidates() -> None:
    assert len({candidate.key for candidate, _ in DRAWN}) == len({candidate for candidate, _ in DRAWN})


def test_choices_are_strings_and_parameters_are_stored_as_they_are() -> None:
    for _, params in DRAWN[:50]:
        assert all(isinstance(value, (str, int, float)) for value in params.values())


@pytest.mark.parametrize("name", LITE)
def test_every_candidate_inherits_in_its_whole_encoder(name: str) -> None:
    """Also of the larger ones, which differ in depth, and in width by a tenth."""
    assert len(LITE) == 3
    for candidate, _ in DRAWN:
        found = match(candidate.architecture, LITE[name].architecture)
        assert found.left == ()
        assert len(found.pairs) >= 3 * len(encoder(candidate).stages)


def test_a_candidate_has_at_most_what_its_parent_has() -> None:
    parent = LITE["EfficientNet-Lite0"].path
    assert parent.stem is not None
    for candidate, _ in DRAWN:
        path = encoder(candidate)
        assert path.stem is not None
        assert path.stem.channels <= parent.stem.channels
        for own, other in zip(path.stages, parent.stages, strict=False):
            sizes = [(one.channels, one.depth, one.kernel, one.expansion, one.stride) for one in (own, other)]
            assert all(mine <= its for mine, its in zip(*sizes, strict=True))


def test_the_whole_of_the_parent_can_be_drawn() -> None:
    path = LITE["EfficientNet-Lite0"].path
    whole: dict[str, Any] = {f"stage{number}_expansion": "6" for number in range(2, 8)}
    whole |= {f"stage{number}_kernel": "5" for number in (3, 5, 6)}
    whole |= {f"stage{number}_depth": stage.depth for number, stage in enumerate(path.stages, start=1)}
    whole |= {"width_multiplier": 1.0, "stop": "320", "output_stride": "32"}
    rest = {"context": "none", "decoder": "plain", "head_width": 32, "head_block": "conv", "head_upsample": "bilinear"}
    rest |= {"input_scale": "0.5", "answer_scale": "1", "prune_die": 1, "distill_die": 1, "bits": "32"}
    assert encoder(draw(Named(whole | rest), TAUGHT)) == path


def test_where_a_stride_is_left_out_rates_see_what_the_parent_sees() -> None:
    """Every fourth pixel of a map at 1/8 is a pixel of the map at 1/32, convolved from the very same ones."""
    fine = [one for one, _ in DRAWN if one.architecture.output_stride == 8 and len(encoder(one).stages) > 5][:4]
    assert len(fine) == 4
    for candidate in fine:
        path = encoder(candidate)
        coarse = tuple(
            replace(stage, stride=other.stride, atrous=(1,))
            for stage, other in zip(path.stages, LITE["EfficientNet-Lite0"].path.stages, strict=False)
        )
        maps = []
        for stages in (path.stages, coarse):
            network = worn(Architecture((EncoderPath(path.stem, stages),), (), Head(8)))
            with torch.no_grad():
                x = network.encoders[0].get_submodule("stem")(images())
                for stage in network.encoders[0].get_submodule("stages").children():
                    x = stage(x)
            maps.append(x)
        assert torch.allclose(maps[0][:, :, ::4, ::4], maps[1], atol=1e-3 * float(maps[1].abs().max()))


def test_the_space_branches_and_reaches_all_that_it_names() -> None:
    paths = [encoder(candidate) for candidate, _ in DRAWN]
    stages = [stage for path in paths for stage in path.stages]
    assert {len(path.stages) for path in paths} == {3, 5, 6, 7}
    assert {stage.block for stage in stages} == {"mbconv"}
    assert {stage.kernel for stage in stages} == {3, 5}
    assert {stage.expansion for stage in stages} == {1.0, 3.0, 4.0, 6.0}
    assert {stage.activation for stage in stages} == {"relu6"}
    assert {path.context.kind for path in paths} == {"none", "pyramid_pooling", "aspp"}
    joins = Counter(join.kind for c, _ in DRAWN for join in c.architecture.joins)
    assert set(joins) == {"add", "concat"}
    assert {c.architecture.output_stride for c, _ in DRAWN} == {8, 16, 32}
    assert {c.architecture.input_scale for c, _ in DRAWN} == {0.5, 0.75, 1.0}
    assert {c.architecture.answer_scale for c, _ in DRAWN} == {0.25, 0.5, 1.0}
    assert {c.architecture.head.block for c, _ in DRAWN} == {"conv", "separable"}
    assert {c.architecture.head.upsample for c, _ in DRAWN} == {"bilinear", "pixel_shuffle"}
    assert {c.bits for c, _ in DRAWN} == {8, 32}
    assert {bool(c.before_export) for c, _ in DRAWN} == {False, True}
    assert {c.distill is None for c, _ in DRAWN} == {False, True}
    assert len({frozenset(params) for _, params in DRAWN}) > 50


def test_a_skip_leads_to_a_finer_map_than_the_last_one() -> None:
    for candidate, _ in DRAWN:
        last = Feature(0, len(encoder(candidate).stages))
        assert last not in [join.feature for join in candidate.architecture.joins]


def test_without_a_teacher_nothing_is_asked_that_only_one_could_matter_to() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(60):
        trial = study.ask()
        assert draw(trial, Facts(output="scores")).distill is None
        assert not [name for name in trial.params if name.startswith("distill") or name == "answer_scale"]


# What can be built, inherit, trained, pruned, exported and quantized: a sample each time, hundreds where there is time.

QUICK = range(6)
SHIPPED = [number for number, (candidate, _) in enumerate(DRAWN) if candidate.after_export][:4]


@candidates(QUICK)
def test_a_draw_inherits_and_runs(candidate: Candidate) -> None:
    parent_architecture = LITE["EfficientNet-Lite0"].architecture
    network, drawn = (build(candidate.architecture, CLASSES) for _ in range(2))
    report = inherit(network, candidate.architecture, worn(parent_architecture, seed=3), parent_architecture)
    assert (report.matched, report.left) == (report.convolutions, ())
    for (name, value), before in zip(network.named_parameters(), drawn.parameters(), strict=True):
        assert torch.equal(value, before) != name.startswith(("encoders.0.stem.", "encoders.0.stages.")), name
    with torch.no_grad():
        assert torch.isfinite(network.eval()(images())).all()


@candidates(QUICK)
def test_a_draw_builds_runs_learns_and_prunes(candidate: Candidate) -> None:
    build_run_learn_prune(candidate)


@candidates(SHIPPED)
def test_a_draw_exports_quantizes_and_runs(candidate: Candidate, tmp_path: Path) -> None:
    export_and_quantize(candidate, tmp_path)


@pytest.mark.slow
@candidates(some(range(len(QUICK), 150), 6))
def test_hundreds_of_draws_build_run_learn_and_prune(candidate: Candidate) -> None:
    build_run_learn_prune(candidate)


@pytest.mark.slow
@candidates(some(range(60), 7))
def test_dozens_of_draws_export_quantize_and_run(candidate: Candidate, tmp_path: Path) -> None:
    export_and_quantize(candidate, tmp_path)
