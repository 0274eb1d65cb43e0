"""The spaces of the families: each holds its reference, and all that they draw can be built."""

from __future__ import annotations

import random
from collections import Counter
from types import ModuleType
from typing import Any

import pytest
from torch import nn

import spaces.bisenet
import spaces.deeplab
import spaces.espnet
import spaces.fcn
import spaces.icnet
import spaces.pspnet
import spaces.unet
from segsearch.compression.factorize import left_dense
from segsearch.networks import build, check_architecture
from segsearch.pretrained.families import LAYOUTS
from segsearch.pretrained.match import match
from segsearch.references import reference
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate, Draw, Named
from segsearch.space.draws import Dice, Facts
from segsearch.space.keys import from_json, to_json
from segsearch.space.load import load_space
from segsearch.space.steps import Factorize, Prune
from segsearch.trial.export import count_params
from segsearch.trial.making import apply_model_steps

FAMILIES: dict[str, tuple[ModuleType, str]] = {
    "fcn": (spaces.fcn, "fcn-8s-mobile"),
    "unet": (spaces.unet, "unet-mobile"),
    "pspnet": (spaces.pspnet, "pspnet-mobile"),
    "deeplab": (spaces.deeplab, "deeplab-v3-plus-mobile"),
    "icnet": (spaces.icnet, "icnet-mobile"),
    "bisenet": (spaces.bisenet, "bisenet-mobile"),
    "espnet": (spaces.espnet, "espnet-v2-mobile"),
}
MASK = Facts(output="mask", has_teacher=True)
# What the references answer with, and no compression.
REST = {"answer_scale": "0.5", "prune_die": 1, "distill_die": 1, "bits": "32"}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_s_reference_is_a_point_of_its_space(name: str) -> None:
    module, wanted = FAMILIES[name]
    drawn = load_space(name).draw(Named({**module.REFERENCE, **REST}), MASK)
    assert drawn == Candidate(reference(wanted))


@pytest.mark.parametrize("name", [*FAMILIES, "all"])
def test_what_a_family_draws_can_be_built_and_is_replayed_by_name(name: str) -> None:
    space, source = load_space(name), random.Random(5)
    for _ in range(60):
        asked: dict[str, Any] = {}
        candidate = space.draw(Remembering(Dice(source), asked), MASK)
        check_architecture(candidate.architecture)
        assert space.draw(Named(asked), MASK) == candidate
        assert from_json(Candidate, to_json(candidate)) == candidate


@pytest.mark.parametrize("name", [*FAMILIES, "mobile", "efficientnet_lite"])
def test_a_lower_rank_is_asked_for_only_where_it_is_one(name: str) -> None:
    """A step that changes nothing would cost a tail of training for the same network."""
    space, source, ways = load_space(name), random.Random(8), Counter[str]()
    for _ in range(24):
        asked: dict[str, Any] = {}
        candidate = space.draw(Remembering(Shrinking(Dice(source)), asked), MASK)
        ways[asked.get("shrunk_by", "never asked")] += 1
        ranks = [step for step in candidate.before_export if isinstance(step, Factorize)]
        assert [type(step) for step in candidate.before_export] == {
            "rank": [Factorize],
            "both": [Factorize, Prune],
        }.get(asked.get("shrunk_by", ""), [Prune])
        if ranks:
            assert isinstance(candidate.architecture, Architecture)
            network = build(candidate.architecture, 5, seed=0)
            convolutions = sum(isinstance(part, nn.Conv2d) for part in network.modules())
            assert len(left_dense(network, ranks[0], protected=())) < convolutions
    wanted = {"never asked"} if name in ("espnet", "efficientnet_lite") else {"rank", "channels", "both"}
    assert wanted <= set(ways)


def test_a_single_convolution_of_the_image_is_not_asked_for_its_rank() -> None:
    asked: dict[str, Any] = {}
    thin = {**spaces.unet.REFERENCE, "unet_block": "separable", "unet_join_block": "separable", "width": 2.0, **REST}
    load_space("unet").draw(Remembering(Shrinking(Named({**thin, "prune_ratio": 0.25})), asked), MASK)
    assert "shrunk_by" not in asked


@pytest.mark.parametrize("ratio", [0.25, 0.5])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_pruning_narrows_the_reference(name: str, ratio: float) -> None:
    """Of what keeps its channels the same network would be trained on, and told as another."""
    chosen = {**FAMILIES[name][0].REFERENCE, **REST, "prune_ratio": ratio, "shrunk_by": "channels"}
    candidate = load_space(name).draw(Shrinking(Named(chosen)), MASK)
    assert [type(step) for step in candidate.before_export] == [Prune]
    assert isinstance(candidate.architecture, Architecture)
    whole, less = (build(candidate.architecture, 5, seed=0) for _ in range(2))
    assert count_params(apply_model_steps(less, candidate.before_export)) < count_params(whole)


@pytest.mark.parametrize("width", [0.5, 0.75, 1.25])
def test_deeplab_s_mobilenet_inherits_at_every_width_that_mobilenet_is_wider_than(width: float) -> None:
    """Two stages of one width at stride 1 would add what the parent keeps apart."""
    chosen = {**spaces.deeplab.REFERENCE, **REST, "encoder": "mobilenet", "width": width}
    candidate = load_space("deeplab").draw(Named(chosen), MASK)
    assert isinstance(candidate.architecture, Architecture)
    (parent,) = (one for one in LAYOUTS if one.name == "MobileNetV2" and not one.bare)
    assert match(candidate.architecture, parent.architecture).left == ()


def test_all_draws_every_family() -> None:
    space, source = load_space("all"), random.Random(3)
    families: Counter[str] = Counter()
    for _ in range(200):
        asked: dict[str, Any] = {}
        space.draw(Remembering(Dice(source), asked), MASK)
        families[asked["family"]] += 1
    assert set(families) == {*FAMILIES, "mobile", "efficientnet_lite"}


class Shrinking:
    """Dice that shrink every network."""

    def __init__(self, inner: Draw) -> None:
        self.inner, self.suggest_float, self.suggest_categorical = inner, inner.suggest_float, inner.suggest_categorical

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
        return high if name == "prune_die" else self.inner.suggest_int(name, low, high, step=step)


class Remembering:
    """A draw that notes what was answered."""

    def __init__(self, inner: Draw, asked: dict[str, Any]) -> None:
        self.inner, self.asked = inner, asked

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
        return int(self._note(name, self.inner.suggest_int(name, low, high, step=step)))

    def suggest_float(self, name: str, low: float, high: float, /, *, step: float | None = None) -> float:
        return float(self._note(name, self.inner.suggest_float(name, low, high, step=step)))

    def suggest_categorical(self, name: str, choices: Any, /) -> Any:
        return self._note(name, self.inner.suggest_categorical(name, choices))

    def _note(self, name: str, value: Any) -> Any:
        """A name that two parts of a space share must mean one thing."""
        assert self.asked.setdefault(name, value) == value or name not in self.asked, name
        return value
