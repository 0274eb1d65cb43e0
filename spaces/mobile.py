"""The mobile space: small encoders of mixed blocks, pyramid pooling or ASPP, light decoders, and their compression."""

from segsearch.space import (
    Architecture,
    Candidate,
    Context,
    Distill,
    Draw,
    EncoderPath,
    Factorize,
    Facts,
    Feature,
    Head,
    Join,
    Prune,
    Quantize,
    Stage,
    Stem,
)

# Widths of the stages at width multiplier 1; maps at 1/4, 1/8, 1/16 and 1/32 of the input.
BASE_WIDTHS = (32, 64, 96, 128)
BLOCKS = ("conv", "grouped", "separable", "inverted_residual", "residual")
# What has 3x3 convolutions over all channels; of this width and more a lower rank saves time.
DENSE_BLOCKS, DENSE_WIDTH = ("conv", "residual"), 32


def draw(choose: Draw, facts: Facts) -> Candidate:
    """One candidate. Parameters are asked for only where they matter: the space branches."""
    architecture = draw_architecture(choose, facts)
    return Candidate(
        architecture,
        distill=draw_distill(choose) if facts.has_teacher else None,
        before_export=draw_shrink(choose, architecture),
        after_export=draw_quantize(choose),
    )


def draw_architecture(choose: Draw, facts: Facts) -> Architecture:
    width = choose.suggest_float("width_multiplier", 0.5, 2.0, step=0.25)
    output_stride = int(choose.suggest_categorical("output_stride", ("8", "16", "32")))
    stem = Stem(channels=choose.suggest_int("stem_width", 8, 32, step=8))
    stages = tuple(draw_stage(choose, index, width, output_stride) for index in range(4))
    path = EncoderPath(stem, stages, draw_context(choose))
    joins = draw_joins(choose)
    head = Head(
        channels=choose.suggest_int("head_width", 32, 128, step=16),
        block=choose.suggest_categorical("head_block", ("conv", "separable")),
        upsample=choose.suggest_categorical("head_upsample", ("bilinear", "pixel_shuffle")),
    )
    input_scale = float(choose.suggest_categorical("input_scale", ("0.5", "0.75", "1")))
    answer_scale = 1.0
    if facts.output == "mask":
        answer_scale = float(choose.suggest_categorical("answer_scale", ("0.25", "0.5", "1")))
    return Architecture((path,), joins, head, input_scale=input_scale, answer_scale=answer_scale)


def draw_stage(choose: Draw, index: int, width: float, output_stride: int) -> Stage:
    """Stage `index`, whose map is at 1/4, 1/8, 1/16, 1/32 of the input, or at the output stride where that is finer."""
    name = f"stage{index + 1}"
    block = choose.suggest_categorical(f"{name}_block", BLOCKS)
    depth = choose.suggest_int(f"{name}_depth", 1, 3)
    stride = 2 if 2 ** (index + 2) <= output_stride else 1
    kernel, expansion, groups, atrous = 3, 1.0, 1, "1"
    if block in ("separable", "inverted_residual"):
        kernel = int(choose.suggest_categorical(f"{name}_kernel", ("3", "5")))
    if block == "inverted_residual":
        expansion = float(choose.suggest_int(f"{name}_expansion", 2, 6))
    if block == "grouped":
        groups = int(choose.suggest_categorical(f"{name}_groups", ("2", "4", "8")))
    if index >= 2:
        atrous = choose.suggest_categorical(f"{name}_atrous", ("1", "2", "1-2", "1-2-4"))
    # Runtimes compute 16 channels at a time, and some of those between as slowly as more (`benchmarks/widths.py`).
    channels = max(8, round(BASE_WIDTHS[index] * width / 16) * 16)
    return Stage(block, channels, depth, stride, kernel, _numbers(atrous), expansion, groups)


def draw_context(choose: Draw) -> Context:
    kind = choose.suggest_categorical("context", ("none", "pyramid_pooling", "aspp"))
    if kind == "none":
        return Context()
    channels = choose.suggest_int("context_width", 32, 128, step=32)
    if kind == "pyramid_pooling":
        bins = choose.suggest_categorical("pyramid_bins", ("1-2-4", "1-3", "1-2-3-6"))
        return Context(kind, channels, bins=_numbers(bins))
    rates = choose.suggest_categorical("aspp_rates", ("2-4", "3-6-9", "6-12"))
    return Context(kind, channels, rates=_numbers(rates), image_pool=True)


def draw_joins(choose: Draw) -> tuple[Join, ...]:
    """Plain upsampling, or skip connections down to the map at 1/8 or 1/4."""
    decoder = choose.suggest_categorical("decoder", ("plain", "add", "concat"))
    if decoder == "plain":
        return ()
    finest = choose.suggest_categorical("skip_from", ("8", "4"))
    channels = choose.suggest_int("decoder_width", 32, 96, step=32)
    features = [Feature(0, 2)] if finest == "8" else [Feature(0, 2), Feature(0, 1)]
    reduce = channels // 2 if decoder == "concat" else 0
    return tuple(Join(decoder, feature, channels, reduce) for feature in features)


def draw_distill(choose: Draw) -> Distill | None:
    """Seldom: a teacher is worth its time only where it is better than its students.

    Where each class is thought to be was the one of three losses that paid (`benchmarks/distill.py`).
    """
    if not seldom(choose, "distill_die"):
        return None
    weight = choose.suggest_float("distill_weight", 1.0, 3.0, step=1.0)
    temperature = float(choose.suggest_categorical("distill_temperature", ("2", "4")))
    after = float(choose.suggest_categorical("distill_after", ("0", "0.25", "0.5")))
    return Distill(weight, temperature, kind="channel", after=after)


def draw_shrink(choose: Draw, architecture: Architecture) -> tuple[Factorize | Prune, ...]:
    """Seldom: most networks with fewer channels or a lower rank come from a training that is done (`[search] tails`),
    and cost a part of one. A lower rank is drawn where convolutions are dense, and costs less there.
    """
    if not seldom(choose, "prune_die"):
        return ()
    by = "channels"
    stages = (stage for path in architecture.paths for stage in path.stages)
    if any(stage.block in DENSE_BLOCKS and stage.channels >= DENSE_WIDTH for stage in stages):
        by = choose.suggest_categorical("shrunk_by", ("rank", "channels", "both"))
    low_rank = () if by == "channels" else (Factorize(0.5),)
    return low_rank if by == "rank" else (*low_rank, draw_prune(choose))


def draw_prune(choose: Draw) -> Prune:
    return Prune(choose.suggest_float("prune_ratio", 0.25, 0.5, step=0.25), round_to=16)


def draw_quantize(choose: Draw) -> tuple[Quantize, ...]:
    """Floats, int8, mixed: int8 but for the first three convolutions, where rounding costs most and saves least; or
    mixed and trained on for a while as it is rounded, which is worth more than it costs.
    """
    bits = choose.suggest_categorical("bits", ("32", "8", "mixed", "trained"))
    if bits == "32":
        return ()
    return (Quantize(float_convolutions=0 if bits == "8" else 3, tail=0.07 if bits == "trained" else 0.0),)


def seldom(choose: Draw, name: str) -> bool:
    """One time in eight: a die's highest number. A sampler learns to throw it more often where it pays."""
    return choose.suggest_int(name, 1, 8) == 8


def _numbers(text: str) -> tuple[int, ...]:
    """`1-2-4` as (1, 2, 4). Choices are strings: a stored study can then be resumed with the same choices."""
    return tuple(int(part) for part in text.split("-"))
