"""What the spaces of several families share: scales, answers, the compression and the distillation of a candidate."""

from segsearch.space import Architecture, Candidate, Distill, Draw, Factorize, Facts, Prune, Quantize, Stage

# What has 3x3 convolutions over all channels; of this width and more a lower rank saves time.
DENSE_BLOCKS, DENSE_WIDTH = ("conv", "residual"), 32


def candidate(choose: Draw, facts: Facts, architecture: Architecture, *, multiple: int = 16) -> Candidate:
    """The architecture with what is drawn around it. What a pruning leaves are multiples of `multiple` channels."""
    return Candidate(
        architecture,
        distill=draw_distill(choose) if facts.has_teacher else None,
        before_export=draw_shrink(choose, architecture, multiple),
        after_export=draw_quantize(choose),
    )


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


def draw_shrink(choose: Draw, architecture: Architecture, multiple: int) -> tuple[Factorize | Prune, ...]:
    """Seldom: most networks with fewer channels or a lower rank come from a training that is done (`[search] tails`),
    and cost a part of one. A lower rank is drawn where convolutions are dense, and costs less there.
    """
    if not seldom(choose, "prune_die"):
        return ()
    by = choose.suggest_categorical("shrunk_by", ("rank", "channels", "both")) if dense(architecture) else "channels"
    low_rank = () if by == "channels" else (Factorize(0.5),)
    return low_rank if by == "rank" else (*low_rank, draw_prune(choose, multiple))


def dense(architecture: Architecture) -> bool:
    """Whether a lower rank saves time in some stage, but for one that is a single convolution of the image."""
    return any(
        stage.block in DENSE_BLOCKS and stage.channels >= DENSE_WIDTH
        for path in architecture.paths
        for place, stage in enumerate(path.stages)
        if place or path.stem is not None or stage.depth > 1
    )


def draw_prune(choose: Draw, multiple: int) -> Prune:
    return Prune(choose.suggest_float("prune_ratio", 0.25, 0.5, step=0.25), round_to=multiple)


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


def draw_input_scale(choose: Draw) -> float:
    return float(choose.suggest_categorical("input_scale", ("0.5", "0.75", "1")))


def draw_answer_scale(choose: Draw, facts: Facts) -> float:
    """Where a mask's classes are chosen; scores are always those of the full size."""
    return 1.0 if facts.output == "scores" else float(choose.suggest_categorical("answer_scale", ("0.25", "0.5", "1")))


def draw_width(choose: Draw) -> float:
    """What all of a family's widths are multiplied by."""
    return choose.suggest_float("width", 0.5, 2.0, step=0.25)


def eighths(channels: float) -> int:
    """The multiple of 8 nearest to a width, at least one: of the maps between inverted bottlenecks, which are wider."""
    return max(8, round(channels / 8) * 8)


def sixteenths(channels: float) -> int:
    """The multiple of 16 nearest to a width, or 8 for the narrowest.

    Runtimes compute 16 channels at a time: on AVX-512 floats of 24 take as long as those of 32, and depthwise layers in
    int8 of 24 longer (`benchmarks/widths.py`).
    """
    return max(8, round(channels / 16) * 16)


def numbers(text: str) -> tuple[int, ...]:
    """`1-2-4` as (1, 2, 4). Choices are strings: a stored study can then be resumed with the same choices."""
    return tuple(int(part) for part in text.split("-"))


def residual_stages(choose: Draw, width: float, output_stride: int) -> tuple[Stage, ...]:
    """Four residual stages from 1/4 on, atrous in place of stride from the output stride on."""
    depth = choose.suggest_int("depth", 1, 3)
    strides = (2, 2, 2 if output_stride > 8 else 1, 2 if output_stride > 16 else 1)
    rates = (1, 1, 1 if output_stride > 8 else 2, 32 // output_stride)
    return tuple(
        Stage("residual", sixteenths(channels * width), depth, stride, atrous=(rate,))
        for channels, stride, rate in zip((32, 64, 96, 128), strides, rates, strict=True)
    )


def vgg_stages(width: float, depth: int, output_stride: int) -> tuple[Stage, ...]:
    """VGG's plain convolutions between max pools, from the image's own size on."""
    strides = (1, 2, 2, *((2, 2) if output_stride == 16 else (2, 1)))
    rates = (1, 1, 1, 1, 1 if output_stride == 16 else 2)
    return tuple(
        Stage(
            "conv",
            sixteenths(channels * width),
            depth if index > 1 else 1,
            stride,
            atrous=(rate,),
            downsample="max_pool" if stride > 1 else "stride",
        )
        for index, (channels, stride, rate) in enumerate(zip((16, 32, 64, 96, 128), strides, rates, strict=True))
    )
