"""The space of `table.py`: 216 small networks, each as floats and in int8, to be trained one and all."""

from segsearch.space import (
    Architecture,
    Candidate,
    Context,
    Draw,
    EncoderPath,
    Facts,
    Feature,
    Head,
    Join,
    Quantize,
    Stage,
    Stem,
)

WIDTHS, SCALES, PRECISIONS = (0.5, 1.0, 1.5), ("0.5", "1"), ("32", "8")
RATES, SKIPS = ("2-4", "3-6"), ("1", "2")
BLOCKS = ("separable", "residual", "inverted_residual")


def draw(choose: Draw, facts: Facts) -> Candidate:
    """One candidate. Rates are asked for where there is an ASPP, the skip's map where there is a skip."""
    width = choose.suggest_float("width_multiplier", WIDTHS[0], WIDTHS[-1], step=WIDTHS[1] - WIDTHS[0])
    block = choose.suggest_categorical("block", BLOCKS)
    expansion = 4.0 if block == "inverted_residual" else 1.0
    widths = [round(base * width / 8) * 8 for base in (32, 64, 96)]
    stages = tuple(Stage(block, channels, 1, 2, expansion=expansion) for channels in widths)
    path = EncoderPath(Stem(16), stages, draw_context(choose))
    joins: tuple[Join, ...] = ()
    if choose.suggest_categorical("decoder", ("plain", "add")) == "add":
        joins = (Join("add", Feature(0, int(choose.suggest_categorical("skip_stage", SKIPS))), 32),)
    scale = float(choose.suggest_categorical("input_scale", SCALES))
    architecture = Architecture((path,), joins, Head(32, block="separable"), input_scale=scale, answer_scale=0.5)
    bits = choose.suggest_categorical("bits", PRECISIONS)
    return Candidate(architecture, after_export=() if bits == "32" else (Quantize(),))


def draw_context(choose: Draw) -> Context:
    kind = choose.suggest_categorical("context", ("none", "pyramid_pooling", "aspp"))
    if kind == "none":
        return Context()
    if kind == "pyramid_pooling":
        return Context(kind, 32, bins=(1, 2, 4))
    rates = choose.suggest_categorical("aspp_rates", RATES)
    return Context(kind, 32, rates=tuple(int(rate) for rate in rates.split("-")), image_pool=True)
