"""Around U-Net (arXiv:1505.04597): every map of the way down beside the one that comes up."""

from segsearch.space import Architecture, Candidate, Draw, EncoderPath, Facts, Feature, Head, Join, Stage
from spaces._parts import candidate, draw_answer_scale, draw_input_scale, draw_width, sixteenths

# The choices of `unet-mobile`.
REFERENCE = {
    "width": 1.0,
    "unet_levels": 4,
    "unet_block": "conv",
    "unet_depth": 2,
    "unet_join_block": "conv",
    "unet_join_depth": 1,
    "upsample": "transposed",
    "input_scale": "0.5",
}
WIDTHS = (16, 32, 48, 64, 96)


def draw(choose: Draw, facts: Facts) -> Candidate:
    return candidate(choose, facts, draw_architecture(choose, facts))


def draw_architecture(choose: Draw, facts: Facts) -> Architecture:
    width = draw_width(choose)
    levels = choose.suggest_int("unet_levels", 3, 4)
    block = choose.suggest_categorical("unet_block", ("conv", "separable", "residual"))
    depth = choose.suggest_int("unet_depth", 1, 2)
    widths = [sixteenths(channels * width) for channels in WIDTHS[: levels + 1]]
    stages = tuple(
        Stage(
            block if index else "conv",
            channels,
            depth if index > 1 else 1,
            2 if index else 1,
            downsample="max_pool" if index else "stride",
        )
        for index, channels in enumerate(widths)
    )
    join_block = choose.suggest_categorical("unet_join_block", ("conv", "separable"))
    join_depth = choose.suggest_int("unet_join_depth", 1, 2)
    upsample = choose.suggest_categorical("upsample", ("bilinear", "transposed"))
    joins = tuple(
        Join("concat", Feature(0, stage), widths[stage - 1], block=join_block, depth=join_depth, upsample=upsample)
        for stage in range(levels, 0, -1)
    )
    return Architecture(
        (EncoderPath(None, stages),),
        joins,
        Head(1, depth=0),
        input_scale=draw_input_scale(choose),
        answer_scale=draw_answer_scale(choose, facts),
    )
