"""Around PSPNet (arXiv:1612.01105): pyramid pooling over a residual encoder, and a second loss on its way."""

from segsearch.space import Architecture, Auxiliary, Candidate, Context, Draw, EncoderPath, Facts, Feature, Head, Stem
from spaces._parts import (
    candidate,
    draw_answer_scale,
    draw_input_scale,
    draw_width,
    numbers,
    residual_stages,
    sixteenths,
)

# The choices of `pspnet-mobile`.
REFERENCE = {
    "width": 1.0,
    "output_stride": "8",
    "depth": 1,
    "context_width": 96,
    "pyramid_bins": "1-2-3-6",
    "pyramid_kernel": "3",
    "auxiliary_weight": 0.4,
    "input_scale": "0.5",
}


def draw(choose: Draw, facts: Facts) -> Candidate:
    return candidate(choose, facts, draw_architecture(choose, facts))


def draw_architecture(choose: Draw, facts: Facts) -> Architecture:
    width = draw_width(choose)
    stages = residual_stages(choose, width, int(choose.suggest_categorical("output_stride", ("8", "16", "32"))))
    context = Context(
        "pyramid_pooling",
        choose.suggest_int("context_width", 32, 128, step=32),
        bins=numbers(choose.suggest_categorical("pyramid_bins", ("1-2-4", "1-3", "1-2-3-6"))),
        kernel=int(choose.suggest_categorical("pyramid_kernel", ("1", "3"))),
    )
    weight = choose.suggest_float("auxiliary_weight", 0.0, 0.4, step=0.2)
    losses = (Auxiliary(Feature(0, 3), weight, sixteenths(64 * width)),) if weight else ()
    return Architecture(
        (EncoderPath(Stem(16), stages, context),),
        (),
        Head(1, depth=0),
        auxiliary=losses,
        input_scale=draw_input_scale(choose),
        answer_scale=draw_answer_scale(choose, facts),
    )
