"""Around BiSeNet (arXiv:1808.00897): a shallow spatial path, a deep context path with attention, their fusion."""

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
from spaces._parts import candidate, draw_answer_scale, draw_input_scale, draw_width, residual_stages, sixteenths

# The choices of `bisenet-mobile`.
REFERENCE = {
    "width": 1.0,
    "depth": 1,
    "context_width": 64,
    "bisenet_spatial": 16,
    "bisenet_fused": 96,
    "bisenet_weight": 1.0,
    "input_scale": "0.5",
}


def draw(choose: Draw, facts: Facts) -> Candidate:
    return candidate(choose, facts, draw_architecture(choose, facts))


def draw_architecture(choose: Draw, facts: Facts) -> Architecture:
    width = draw_width(choose)
    channels = choose.suggest_int("context_width", 32, 128, step=32)
    context = EncoderPath(Stem(16), residual_stages(choose, width, 32), Context("attention", channels))
    first = choose.suggest_int("bisenet_spatial", 8, 32, step=8)
    spatial = EncoderPath(Stem(first), (Stage("conv", 2 * first, 1, 2), Stage("conv", 4 * first, 1, 2)))
    fused = sixteenths(choose.suggest_int("bisenet_fused", 32, 128, step=32))
    joins = (Join("attention", Feature(0, 3), channels), Join("fuse", Feature(1, 2), fused))
    weight = choose.suggest_float("bisenet_weight", 0.4, 1.0, step=0.3)
    losses = (Auxiliary(ContextMap(0), weight, 64), Auxiliary(Joined(0), weight, 64))
    return Architecture(
        (context, spatial),
        joins,
        Head(1, depth=0),
        auxiliary=losses,
        input_scale=draw_input_scale(choose),
        answer_scale=draw_answer_scale(choose, facts),
    )
