"""Around FCN-8s (arXiv:1411.4038): plain convolutions between pools, class scores of two or three maps added."""

from segsearch.space import Architecture, Candidate, Draw, EncoderPath, Facts, Feature, Head, Join, Stage
from spaces._parts import (
    candidate,
    draw_answer_scale,
    draw_input_scale,
    draw_width,
    sixteenths,
    vgg_stages,
)

# The choices of `fcn-8s-mobile`.
REFERENCE = {
    "width": 1.0,
    "fcn_depth": 2,
    "fcn_inner": 256,
    "fcn_kernel": "5",
    "fcn_skips": "5-4",
    "upsample": "transposed",
    "input_scale": "0.5",
}


def draw(choose: Draw, facts: Facts) -> Candidate:
    return candidate(choose, facts, draw_architecture(choose, facts))


def draw_architecture(choose: Draw, facts: Facts) -> Architecture:
    width = draw_width(choose)
    stages = vgg_stages(width, choose.suggest_int("fcn_depth", 1, 3), 16)
    inner = sixteenths(choose.suggest_int("fcn_inner", 64, 512, step=64) * width)
    kernel = int(choose.suggest_categorical("fcn_kernel", ("3", "5", "7")))
    fully = (
        Stage("conv", inner, 1, 2, kernel, downsample="max_pool"),
        Stage("conv", inner, 1, kernel=1),
    )
    skips = choose.suggest_categorical("fcn_skips", ("5", "5-4", "5-4-3"))
    upsample = choose.suggest_categorical("upsample", ("bilinear", "transposed"))
    joins = tuple(Join("score", Feature(0, int(stage)), 0, upsample=upsample) for stage in skips.split("-"))
    return Architecture(
        (EncoderPath(None, (*stages, *fully)),),
        joins,
        Head(1, depth=0),
        input_scale=draw_input_scale(choose),
        answer_scale=draw_answer_scale(choose, facts),
    )
