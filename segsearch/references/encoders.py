"""Encoders of the literature as stems and stages: what several references share."""

from __future__ import annotations

from segsearch.space.architecture import Stage, Stem

# The stem of ResNet and DenseNet: a 7x7 with stride 2 and a padded 3x3 max pool.
POOLED_STEM = Stem(64, stride=4, kernel=7, pool=True)


def vgg16(*, output_stride: int = 32) -> tuple[Stage, ...]:
    """VGG-16 without its fully connected layers (arXiv:1409.1556); the path has no stem.

    Each stage begins with the pool that ends the one before it in the paper; at output stride 8 the last two pools are
    left out and the last stage is atrous (DeepLab v1).
    """
    widths, depths = (64, 128, 256, 512, 512), (2, 2, 3, 3, 3)
    strides = (1, 2, 2, *((2, 2) if output_stride == 32 else (2, 1)))
    rates = (1, 1, 1, 1, 1 if output_stride == 32 else 2)
    return tuple(
        Stage(
            "conv", width, depth, stride, atrous=(rate,), downsample="max_pool" if stride > 1 else "stride", norm="none"
        )
        for width, depth, stride, rate in zip(widths, depths, strides, rates, strict=True)
    )


def resnet(depths: tuple[int, int, int, int], *, basic: bool = False, output_stride: int = 32) -> tuple[Stage, ...]:
    """ResNet's four stages after `POOLED_STEM` (arXiv:1512.03385), the stride of a bottleneck in its 3x3.

    `basic` are those of ResNet-18 and -34. At output stride 16 or 8 the last stage or two are atrous in its place
    (arXiv:1706.05587).
    """
    widths = (64, 128, 256, 512) if basic else (256, 512, 1024, 2048)
    block, expansion = ("residual", 1.0) if basic else ("bottleneck", 0.25)
    strides = (1, 2, 2 if output_stride > 8 else 1, 2 if output_stride > 16 else 1)
    rates = (1, 1, 1 if output_stride > 8 else 2, 32 // output_stride)
    return tuple(
        Stage(block, width, depth, stride, atrous=(rate,), expansion=expansion)
        for width, depth, stride, rate in zip(widths, depths, strides, rates, strict=True)
    )


def densenet121(*, output_stride: int = 32) -> tuple[Stage, ...]:
    """DenseNet-121 after `POOLED_STEM` (arXiv:1608.06993): four dense stages of growth 32, transitions between."""
    stages: list[Stage] = []
    channels, stride = 64, 4
    for number, depth in enumerate((6, 12, 24, 16)):
        if number:
            channels //= 2
            step = 2 if stride < output_stride else 1
            stride *= step
            stages.append(Stage("transition", channels, 1, step))
        channels += 32 * depth
        rate = max(1, 4 * 2**number // stride)
        stages.append(Stage("dense", channels, depth, atrous=(rate,)))
    return tuple(stages)


# (expansion, channels, depth, stride) of MobileNetV2's stages, Table 2 of arXiv:1801.04381.
_MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(*, output_stride: int = 32, stages: int = 7, width: float = 1.0) -> tuple[Stem, tuple[Stage, ...]]:
    """MobileNetV2's stem and its first `stages` stages, all widths times `width`, without the last 1x1 convolution."""
    made: list[Stage] = []
    stride, rate = 2, 1
    for expansion, channels, depth, step in _MOBILENET_V2[:stages]:
        if stride * step > output_stride:
            rate, step = rate * step, 1
        stride *= step
        made.append(
            Stage(
                "mbconv",
                _eighths(channels * width),
                depth,
                step,
                atrous=(rate,),
                expansion=float(expansion),
                activation="relu6",
            )
        )
    return Stem(_eighths(32 * width), activation="relu6"), tuple(made)


def _eighths(channels: float) -> int:
    return max(8, round(channels / 8) * 8)


# (channels, depth, stride, kernel, expansion, squeeze, hard swish) of MobileNetV3's stages, Tables 1 and 2 of
# arXiv:1905.02244: a stage of ours has one expansion and one activation, so that blocks which differ are stages.
_MOBILENET_V3_LARGE = (
    (16, 1, 1, 3, 1.0, 0.0, False),
    (24, 1, 2, 3, 4.0, 0.0, False),
    (24, 1, 1, 3, 3.0, 0.0, False),
    (40, 3, 2, 5, 3.0, 0.25, False),
    (80, 1, 2, 3, 6.0, 0.0, True),
    (80, 1, 1, 3, 2.5, 0.0, True),
    (80, 2, 1, 3, 2.3, 0.0, True),
    (112, 2, 1, 3, 6.0, 0.25, True),
    (160, 3, 2, 5, 6.0, 0.25, True),
)
_MOBILENET_V3_SMALL = (
    (16, 1, 2, 3, 1.0, 0.25, False),
    (24, 1, 2, 3, 4.5, 0.0, False),
    (24, 1, 1, 3, 3.67, 0.0, False),
    (40, 1, 2, 5, 4.0, 0.25, True),
    (40, 2, 1, 5, 6.0, 0.25, True),
    (48, 2, 1, 5, 3.0, 0.25, True),
    (96, 3, 2, 5, 6.0, 0.25, True),
)


def mobilenet_v3(*, small: bool = False, output_stride: int = 32) -> tuple[Stem, tuple[Stage, ...]]:
    """MobileNetV3's stem and stages, Large or Small, without the last 1x1 convolution."""
    made: list[Stage] = []
    stride, rate = 2, 1
    table = _MOBILENET_V3_SMALL if small else _MOBILENET_V3_LARGE
    for channels, depth, wanted, kernel, expansion, squeeze, hard in table:
        step = wanted
        if stride * step > output_stride:
            rate, step = rate * step, 1
        stride *= step
        made.append(
            Stage(
                "mbconv",
                channels,
                depth,
                step,
                kernel,
                atrous=(rate,),
                expansion=expansion,
                activation="hardswish" if hard else "relu",
                squeeze=squeeze,
            )
        )
    return Stem(16, activation="hardswish"), tuple(made)


def espnet_v2() -> tuple[Stem, tuple[Stage, ...]]:
    """ESPNetv2's encoder at width 1 up to 1/16 (arXiv:1811.11431), every strided unit reinforced by the image."""
    return Stem(32), (
        Stage("eesp", 64, 1, 2, atrous=(1, 2, 3, 4), groups=4, reinforce=True),
        Stage("eesp", 128, 4, 2, atrous=(1, 1, 2, 3), groups=4, reinforce=True),
        Stage("eesp", 256, 8, 2, atrous=(1, 1, 1, 2), groups=4, reinforce=True),
    )
