"""Around ESPNetv2 (arXiv:1811.11431): units of parallel depthwise atrous branches, the image fed in at each stride."""

from segsearch.space import Architecture, Candidate, Context, Draw, EncoderPath, Facts, Feature, Head, Join, Stage, Stem
from spaces._parts import candidate, draw_answer_scale, draw_input_scale, draw_width, numbers

# The choices of `espnet-v2-mobile`.
REFERENCE = {
    "width": 1.0,
    "espnet_depth": 4,
    "espnet_reinforce": "yes",
    "espnet_context": "pyramid_pooling",
    "espnet_bins": "1-2-4-8",
    "espnet_finest": "2",
    "input_scale": "0.5",
}
RATES = ((1, 2, 3, 4), (1, 1, 2, 3), (1, 1, 1, 2))


def draw(choose: Draw, facts: Facts) -> Candidate:
    """Of a unit's four branches, each a quarter as wide, a pruning to multiples of 16 would leave all."""
    return candidate(choose, facts, draw_architecture(choose, facts), multiple=8)


def draw_architecture(choose: Draw, facts: Facts) -> Architecture:
    width = draw_width(choose)
    depth = choose.suggest_int("espnet_depth", 2, 6)
    reinforce = choose.suggest_categorical("espnet_reinforce", ("no", "yes")) == "yes"
    # Four groups, and four branches in each: widths are multiples of 16.
    widths = [max(16, round(channels * width / 16) * 16) for channels in (16, 32, 64, 128)]
    stages = tuple(
        Stage("eesp", channels, blocks, 2, atrous=rates, groups=4, reinforce=reinforce)
        for channels, blocks, rates in zip(widths[1:], (1, depth, 2 * depth), RATES, strict=True)
    )
    context = Context()
    if choose.suggest_categorical("espnet_context", ("none", "pyramid_pooling")) == "pyramid_pooling":
        bins = numbers(choose.suggest_categorical("espnet_bins", ("1-2-4", "1-2-4-8")))
        context = Context("pyramid_pooling", widths[2], bins=bins)
    finest = int(choose.suggest_categorical("espnet_finest", ("2", "4", "8")))
    joins = [Join("concat", Feature(0, 2), widths[2]), Join("concat", Feature(0, 1), widths[1])]
    joins += [Join("concat", Feature(0, 0), widths[0])]
    kept = {2: 3, 4: 2, 8: 1}[finest]
    return Architecture(
        (EncoderPath(Stem(widths[0]), stages, context),),
        tuple(joins[:kept]),
        Head(1, depth=0),
        input_scale=draw_input_scale(choose),
        answer_scale=draw_answer_scale(choose, facts),
    )
