"""What the networks of a written study begin with: nothing, or weights that a package ships; and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segsearch.settings.train import START_RATE

# Half of Lite0's width on CamVid at input scale 0.5, 15 epochs in batches of 4, one seed (`benchmarks/pretrained.py
# rates --width 'width 0.5'`): mIoU .571 at 2e-3, .561 at 1e-3; with the inherited layers at half of 2e-3 .554, at .3 of
# 4e-3 .562.
PRETRAINED_RATE = 2e-3


@dataclass(frozen=True)
class Beginning:
    """The space of a study, what is said of it, what `[train]` says beside the budget, its designs and its teacher.

    `rate` is the learning rate where the budget's own, for networks that begin with nothing, is too high.
    """

    space: str
    words: str
    train: str
    designs: str
    teacher: str
    rate: float | None = None


def _table(name: str, choices: Mapping[str, str | float], more: str = "") -> str:
    lines = [f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in choices.items()]
    return "\n".join([name, *lines]) + f"\n{more}"


# ---- from nothing: the mobile space, whose sampler finds its own beginning

_TEACHER_OF_MOBILE: Mapping[str, str | float] = {
    "width_multiplier": 1.5,
    "stem_width": 32,
    "output_stride": "16",
    "stage1_block": "residual",
    "stage1_depth": 1,
    "stage2_block": "residual",
    "stage2_depth": 1,
    "stage3_block": "residual",
    "stage3_depth": 2,
    "stage3_atrous": "2",
    "stage4_block": "residual",
    "stage4_depth": 1,
    "stage4_atrous": "1-2",
    "context": "pyramid_pooling",
    "context_width": 64,
    "pyramid_bins": "1-2-3-6",
    "decoder": "concat",
    "skip_from": "4",
    "decoder_width": 64,
    "head_width": 64,
    "head_block": "conv",
    "head_upsample": "bilinear",
    "input_scale": "1",
    "answer_scale": "1",
    "prune_die": 1,
    "bits": "32",
}
FROM_NOTHING = Beginning(
    space="mobile",
    words="a built-in search space, or the path of a Python file with `def draw(choose, facts)`",
    train="",
    designs="",
    teacher=_table("[teacher.choices]", _TEACHER_OF_MOBILE),
)

# ---- from EfficientNet-Lite0: designs to begin with lie around the whole of it up to 1/16, at half the image's size

WHOLE: Mapping[str, str | float] = {
    "width_multiplier": 1.0,
    "stop": "112",
    "output_stride_of_112": "16",
    "stage2_depth": 2,
    "stage2_expansion": "6",
    "stage3_depth": 2,
    "stage3_kernel": "5",
    "stage3_expansion": "6",
    "stage4_depth": 3,
    "stage4_expansion": "6",
    "stage5_depth": 3,
    "stage5_kernel": "5",
    "stage5_expansion": "6",
    "context": "pyramid_pooling",
    "context_width": 64,
    "pyramid_bins": "1-2-4",
    "decoder": "add",
    "skip_from": "4",
    "decoder_width": 64,
    "head_width": 64,
    "head_block": "separable",
    "head_upsample": "bilinear",
    "input_scale": "0.5",
    "answer_scale": "0.5",
    "prune_die": 1,
    "bits": "8",
}
_SHALLOW: Mapping[str, str | float] = {"stage4_depth": 2, "stage5_depth": 1, "decoder_width": 32}
_DESIGNS: tuple[Mapping[str, str | float], ...] = (
    {**WHOLE, "bits": "32"},
    {**WHOLE, **_SHALLOW, "width_multiplier": 0.75, "input_scale": "0.75", "answer_scale": "0.25"},
    {**WHOLE, **_SHALLOW, "width_multiplier": 0.5, "input_scale": "1", "answer_scale": "0.25", "skip_from": "8"},
)
_TEACHER_OF_LITE: Mapping[str, str | float] = {**WHOLE, "input_scale": "1", "answer_scale": "1", "bits": "32"}
FROM_LITE0 = Beginning(
    space="efficientnet_lite",
    words='parts of EfficientNet-Lite0; or "mobile", or the path of a file with `def draw(choose, facts)`',
    train=f"""\
# Encoders begin with weights that learnt from ImageNet. To train from nothing write space = "mobile", leave out the
# next two lines and the designs at the end ([[search.first]]: they are none of that space), and take
# learning_rate = {{rate}}.
pretrained = "efficientnet-lite0"
start_rate = {START_RATE:g}  # these layers learn at this share of the rate
""",
    designs="# Designs to begin with; the sampler draws others from there.\n"
    + "\n".join(_table("[[search.first]]", design, "# distill_die = 1  # only with a teacher\n") for design in _DESIGNS)
    + "\n",
    teacher=_table("[teacher.choices]", _TEACHER_OF_LITE),
    rate=PRETRAINED_RATE,
)
