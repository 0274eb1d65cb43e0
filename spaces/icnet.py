"""Around ICNet (arXiv:1704.08545): a cascade over the whole image, half and a quarter of it, a loss at each join."""

from segsearch.space import (
    Architecture,
    Auxiliary,
    Candidate,
    Context,
    ContextMap,
    Draw,
    EncoderPath,
    Facts,
    Feature,
    Head,
    Join,
    Joined,
    Stage,
    Stem,
)
from spaces._parts import candidate, draw_answer_scale, draw_width, numbers, sixteenths

# The choices of `icnet-mobile`.
REFERENCE = {
    "width": 1.0,
    "icnet_depth": 2,
    "icnet_scale": "0.5",
    "context_width": 96,
    "pyramid_bins": "1-2-3-6",
    "icnet_detail": 16,
    "decoder_width": 64,
    "icnet_weight": "0.4",
    "icnet_input_scale": "1",
}


def draw(choose: Draw, facts: Facts) -> Candidate:
    return candidate(choose, facts, draw_architecture(choose, facts))


def draw_architecture(choose: Draw, facts: Facts) -> Architecture:
    width = draw_width(choose)
    depth = choose.suggest_int("icnet_depth", 1, 3)
    scale = float(choose.suggest_categorical("icnet_scale", ("0.5", "0.75")))
    first = (Stage("residual", sixteenths(32 * width), 1, 2), Stage("residual", sixteenths(64 * width), 1, 2))
    middle = EncoderPath(Stem(16), first, scale=scale)
    context = Context(
        "pyramid_pooling",
        choose.suggest_int("context_width", 32, 128, step=32),
        bins=numbers(choose.suggest_categorical("pyramid_bins", ("1-2-4", "1-3", "1-2-3-6"))),
    )
    deep = (
        Stage("residual", sixteenths(96 * width), depth, atrous=(2,)),
        Stage("residual", sixteenths(160 * width), depth, atrous=(4,)),
    )
    low = EncoderPath(None, deep, context, source=Feature(0, 2), scale=0.5)
    detail = choose.suggest_int("icnet_detail", 8, 32, step=8)
    high = EncoderPath(Stem(detail), (Stage("conv", detail, 1, 2), Stage("conv", 2 * detail, 1, 2)))
    channels = choose.suggest_int("decoder_width", 32, 96, step=32)
    joins = (Join("cascade", Feature(0, 2), channels), Join("cascade", Feature(2, 2), channels))
    weight = float(choose.suggest_categorical("icnet_weight", ("0.2", "0.4", "0.6")))
    losses = (Auxiliary(ContextMap(1), weight, 64), Auxiliary(Joined(0), weight, 64))
    return Architecture(
        (middle, low, high),
        joins,
        Head(1, depth=0),
        auxiliary=losses,
        trunk=1,
        input_scale=float(choose.suggest_categorical("icnet_input_scale", ("0.75", "1"))),
        answer_scale=draw_answer_scale(choose, facts),
    )
