"""Around DeepLab: a large field (v1), atrous classifiers summed (v2), atrous branches beside one another (v3, v3+)."""

from segsearch.space import Architecture, Candidate, Context, Draw, EncoderPath, Facts, Feature, Head, Join, Stage, Stem
from spaces._parts import (
    candidate,
    draw_answer_scale,
    draw_input_scale,
    draw_width,
    eighths,
    numbers,
    residual_stages,
    vgg_stages,
)

# The choices of `deeplab-v3-plus-mobile`.
REFERENCE = {
    "width": 1.0,
    "deeplab": "v3+",
    "encoder": "residual",
    "output_stride": "16",
    "depth": 1,
    "atrous_rates": "2-4-6",
    "context_width": 64,
    "context_block": "conv",
    "skip_width": 24,
    "decoder_width": 64,
    "decoder_block": "separable",
    "input_scale": "0.5",
}
MOBILENET = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2))


def draw(choose: Draw, facts: Facts) -> Candidate:
    return candidate(choose, facts, draw_architecture(choose, facts))


def draw_architecture(choose: Draw, facts: Facts) -> Architecture:
    width = draw_width(choose)
    version = choose.suggest_categorical("deeplab", ("v1", "v2", "v3", "v3+"))
    stem, stages, finest = draw_encoder(choose, width, version)
    context = draw_context(choose, version)
    joins: tuple[Join, ...] = ()
    head = Head(1, depth=0)
    if version == "v3+":
        skip = choose.suggest_int("skip_width", 8, 48, step=8)
        channels = choose.suggest_int("decoder_width", 32, 96, step=32)
        block = choose.suggest_categorical("decoder_block", ("conv", "separable"))
        joins = (Join("concat", Feature(0, finest), channels, reduce=skip, block=block),)
    elif version == "v3":
        head = Head(context.channels, block=choose.suggest_categorical("head_block", ("conv", "separable")))
    return Architecture(
        (EncoderPath(stem, stages, context),),
        joins,
        head,
        input_scale=draw_input_scale(choose),
        answer_scale=draw_answer_scale(choose, facts),
    )


def draw_encoder(choose: Draw, width: float, version: str) -> tuple[Stem | None, tuple[Stage, ...], int]:
    """Stem, stages, and the stage whose map is at 1/4."""
    if version == "v1":
        return None, vgg_stages(width, choose.suggest_int("vgg_depth", 1, 3), 8), 3
    kind = choose.suggest_categorical("encoder", ("residual", "mobilenet"))
    stride = int(choose.suggest_categorical("output_stride", ("8", "16", "32")))
    if kind == "residual":
        return Stem(16), residual_stages(choose, width, stride), 1
    return Stem(16, activation="relu6"), mobilenet_stages(width / 2, stride), 2


def mobilenet_stages(width: float, output_stride: int) -> tuple[Stage, ...]:
    """MobileNetV2's stages (arXiv:1801.04381) at a share of its widths."""
    made: list[Stage] = []
    stride, rate = 2, 1
    for expansion, channels, depth, step in MOBILENET:
        if stride * step > output_stride:
            rate, step = rate * step, 1
        stride *= step
        made.append(
            Stage(
                "mbconv",
                eighths(channels * width),
                depth,
                step,
                atrous=(rate,),
                expansion=float(expansion),
                activation="relu6",
            )
        )
    return tuple(made)


def draw_context(choose: Draw, version: str) -> Context:
    if version == "v1":
        rate = int(choose.suggest_categorical("large_rate", ("4", "8", "12")))
        return Context("large_field", choose.suggest_int("context_width", 32, 128, step=32), rates=(rate,))
    rates = numbers(choose.suggest_categorical("atrous_rates", ("2-4", "2-4-6", "3-6-9", "3-6-9-12")))
    if version == "v2":
        return Context("aspp_scores", 0, rates=rates)
    channels = choose.suggest_int("context_width", 32, 128, step=32)
    block = choose.suggest_categorical("context_block", ("conv", "separable"))
    return Context("aspp", channels, rates=rates, image_pool=True, block=block)
