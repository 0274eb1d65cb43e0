"""Sub-networks of EfficientNet-Lite0 as encoders, light contexts and decoders, and their compression.

Every candidate inherits the weights of EfficientNet-Lite0 (`train.pretrained`) in all of its encoder: it is narrower,
shallower, has smaller kernels or expands by less, and ends where it likes.
"""

from dataclasses import replace

from segsearch.space import (
    Architecture,
    Candidate,
    Context,
    Draw,
    EncoderPath,
    Factorize,
    Facts,
    Feature,
    Head,
    Join,
    Prune,
    Stage,
    Stem,
)
from spaces._parts import candidate, draw_answer_scale, draw_input_scale, eighths, numbers

# Width, depth, kernel and stride of EfficientNet-Lite0's stages (arXiv:1905.11946); the first one expands nothing.
STEM = 32
STAGES = ((16, 1, 3, 1), (24, 2, 3, 2), (40, 2, 5, 2), (80, 3, 3, 2), (112, 3, 5, 1), (192, 4, 5, 2), (320, 1, 3, 1))
# How many stages an encoder has, by the width of its last one; the maps there are at 1/8, 1/16, 1/32 and 1/32.
STOPS = {"40": 3, "112": 5, "192": 6, "320": 7}


def draw(choose: Draw, facts: Facts) -> Candidate:
    """One candidate. Parameters are asked for only where they matter: the space branches.

    A quarter of the channels goes by Taylor terms, which cost these networks less there; a half by magnitude.
    """
    drawn = candidate(choose, facts, draw_architecture(choose, facts))
    return replace(drawn, before_export=tuple(map(by_taylor, drawn.before_export)))


def by_taylor(step: Factorize | Prune) -> Factorize | Prune:
    return replace(step, criterion="taylor") if isinstance(step, Prune) and step.ratio < 0.5 else step


def draw_architecture(choose: Draw, facts: Facts) -> Architecture:
    width = choose.suggest_float("width_multiplier", 0.5, 1.0, step=0.125)
    stop = choose.suggest_categorical("stop", tuple(STOPS))
    stages = draw_stages(choose, width, STOPS[stop], draw_output_stride(choose, stop))
    path = EncoderPath(Stem(eighths(STEM * width), activation="relu6"), stages, draw_context(choose))
    joins = draw_joins(choose, finest_is_last=stop == "40")
    head = Head(
        channels=choose.suggest_int("head_width", 32, 128, step=16),
        block=choose.suggest_categorical("head_block", ("conv", "separable")),
        upsample=choose.suggest_categorical("head_upsample", ("bilinear", "pixel_shuffle")),
    )
    return Architecture(
        (path,), joins, head, input_scale=draw_input_scale(choose), answer_scale=draw_answer_scale(choose, facts)
    )


def draw_output_stride(choose: Draw, stop: str) -> int:
    """At most the stride that the stages up to there have; what is finer is atrous (DeepLab, arXiv:1706.05587)."""
    if stop == "40":
        return 8
    if stop == "112":
        return int(choose.suggest_categorical("output_stride_of_112", ("8", "16")))
    return int(choose.suggest_categorical("output_stride", ("8", "16", "32")))


def draw_stages(choose: Draw, width: float, count: int, output_stride: int) -> tuple[Stage, ...]:
    """The first `count` stages. From the output stride on, rates stand for strides: the convolutions see as before."""
    stages: list[Stage] = []
    reached, rate = 2, 1
    for index, (channels, depth, kernel, stride) in enumerate(STAGES[:count]):
        name = f"stage{index + 1}"
        before = rate
        if reached * stride > output_stride:
            rate, stride = rate * stride, 1
        reached *= stride
        depth = choose.suggest_int(f"{name}_depth", 1, depth) if depth > 1 else 1
        if kernel == 5:
            kernel = int(choose.suggest_categorical(f"{name}_kernel", ("3", "5")))
        expansion = float(choose.suggest_categorical(f"{name}_expansion", ("3", "4", "6"))) if index else 1.0
        # The first convolution, which has lost its stride, reads a map that was as dense before.
        rates = (before,) + (rate,) * (depth - 1) if before != rate else (rate,)
        stages.append(
            Stage(
                "mbconv",
                eighths(channels * width),
                depth,
                stride,
                kernel,
                rates,
                expansion,
                activation="relu6",
            )
        )
    return tuple(stages)


def draw_context(choose: Draw) -> Context:
    kind = choose.suggest_categorical("context", ("none", "pyramid_pooling", "aspp"))
    if kind == "none":
        return Context()
    channels = choose.suggest_int("context_width", 32, 128, step=32)
    if kind == "pyramid_pooling":
        bins = choose.suggest_categorical("pyramid_bins", ("1-2-4", "1-3", "1-2-3-6"))
        return Context(kind, channels, bins=numbers(bins))
    rates = choose.suggest_categorical("aspp_rates", ("2-4", "3-6-9", "6-12"))
    return Context(kind, channels, rates=numbers(rates), image_pool=True)


def draw_joins(choose: Draw, *, finest_is_last: bool) -> tuple[Join, ...]:
    """Plain upsampling, or skip connections down to the map at 1/8 or 1/4: those of 40 and of 24 channels.

    An encoder that ends at 1/8 has only the one at 1/4 to skip from.
    """
    decoder = choose.suggest_categorical("decoder", ("plain", "add", "concat"))
    if decoder == "plain":
        return ()
    features = [Feature(0, 2)]
    if not finest_is_last:
        finest = choose.suggest_categorical("skip_from", ("8", "4"))
        features = [Feature(0, 3)] if finest == "8" else [Feature(0, 3), Feature(0, 2)]
    channels = choose.suggest_int("decoder_width", 32, 96, step=32)
    reduce = channels // 2 if decoder == "concat" else 0
    return tuple(Join(decoder, feature, channels, reduce) for feature in features)
