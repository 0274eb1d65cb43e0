"""The same networks at a size that a phone runs: their contexts, joins and losses, on encoders of few weights.

Widths and depths are ours, with batch norm everywhere, so that a short schedule from nothing can train them.
"""

from __future__ import annotations

from segsearch.references.encoders import mobilenet_v2
from segsearch.references.papers import SCORES
from segsearch.space.architecture import (
    Architecture,
    Auxiliary,
    Context,
    ContextMap,
    EncoderPath,
    Feature,
    Head,
    Join,
    Joined,
    Stage,
    Stem,
)

# Where nothing else is said: half of each side of the image, and a mask whose classes are chosen at half its size.
HALF, ANSWER = 0.5, 0.5
STEM = Stem(16)


def _small(paths: tuple[EncoderPath, ...], joins: tuple[Join, ...], head: Head, **rest: object) -> Architecture:
    return Architecture(paths, joins, head, input_scale=HALF, answer_scale=ANSWER, **rest)  # type: ignore[arg-type]


def _residual(*, output_stride: int) -> tuple[Stage, ...]:
    """Stages at 1/4, 1/8 and beyond, atrous in place of stride from the output stride on (arXiv:1706.05587)."""
    strides = (2, 2, 2 if output_stride > 8 else 1, 2 if output_stride > 16 else 1)
    rates = (1, 1, 1 if output_stride > 8 else 2, 32 // output_stride)
    return tuple(
        Stage("residual", width, 1, stride, atrous=(rate,))
        for width, stride, rate in zip((32, 64, 96, 128), strides, rates, strict=True)
    )


def _vgg(*, output_stride: int) -> tuple[Stage, ...]:
    """VGG's plain convolutions between max pools."""
    strides = (1, 2, 2, *((2, 2) if output_stride == 16 else (2, 1)))
    rates = (1, 1, 1, 1, 1 if output_stride == 16 else 2)
    return tuple(
        Stage("conv", width, depth, stride, atrous=(rate,), downsample="max_pool" if stride > 1 else "stride")
        for width, depth, stride, rate in zip((16, 32, 64, 96, 128), (1, 1, 2, 2, 2), strides, rates, strict=True)
    )


def fcn_8s() -> Architecture:
    """FCN-8s: class scores of three maps, added."""
    fully = (Stage("conv", 256, 1, 2, 5, downsample="max_pool"), Stage("conv", 256, 1, kernel=1))
    path = EncoderPath(None, (*_vgg(output_stride=16), *fully))
    return _small(
        (path,), tuple(Join("score", Feature(0, stage), 0, upsample="transposed") for stage in (5, 4)), SCORES
    )


def unet() -> Architecture:
    """U-Net: four levels of plain convolutions, every level's map beside the one from below."""
    widths = (16, 32, 48, 64, 96)
    stages = tuple(
        Stage(
            "conv", width, 1 if index < 2 else 2, 1 if index == 0 else 2, downsample="max_pool" if index else "stride"
        )
        for index, width in enumerate(widths)
    )
    joins = tuple(
        Join("concat", Feature(0, stage), widths[stage - 1], block="conv", depth=1, upsample="transposed")
        for stage in (4, 3, 2, 1)
    )
    return _small((EncoderPath(None, stages),), joins, SCORES)


def pspnet() -> Architecture:
    """PSPNet: pyramid pooling at output stride 8 and its auxiliary loss."""
    context = Context("pyramid_pooling", 96, bins=(1, 2, 3, 6), kernel=3)
    path = EncoderPath(STEM, _residual(output_stride=8), context)
    return _small((path,), (), SCORES, auxiliary=(Auxiliary(Feature(0, 3), 0.4, 64),))


def deeplab_v1() -> Architecture:
    """DeepLab-LargeFOV: one convolution of rate 12 at output stride 8."""
    context = Context("large_field", 128, rates=(12,))
    return _small((EncoderPath(None, _vgg(output_stride=8), context),), (), SCORES)


def deeplab_v2() -> Architecture:
    """DeepLab v2: four atrous classifiers, summed, at output stride 8."""
    context = Context("aspp_scores", 0, rates=(3, 6, 9, 12))
    return _small((EncoderPath(STEM, _residual(output_stride=8), context),), (), SCORES)


def deeplab_v3() -> Architecture:
    """DeepLab v3: atrous branches and the image's mean at output stride 8."""
    context = Context("aspp", 64, rates=(3, 6, 9), image_pool=True)
    return _small((EncoderPath(STEM, _residual(output_stride=8), context),), (), Head(64, block="separable"))


def deeplab_v3_densenet() -> Architecture:
    """DeepLab v3's context on dense blocks of growth 16 at output stride 16."""
    stages = (
        Stage("dense", 80, 3),
        Stage("transition", 40, 1, 2),
        Stage("dense", 104, 4),
        Stage("transition", 56, 1, 2),
        Stage("dense", 152, 6),
    )
    context = Context("aspp", 64, rates=(2, 4), image_pool=True)
    return _small((EncoderPath(Stem(32, stride=4, pool=True), stages, context),), (), Head(64, block="separable"))


def deeplab_v3_mobilenet_v2() -> Architecture:
    """DeepLab v3 on half of MobileNetV2's widths at output stride 16, with image pooling alone."""
    stem, stages = mobilenet_v2(output_stride=16, stages=6, width=0.5)
    context = Context("aspp", 96, rates=(), image_pool=True)
    return _small((EncoderPath(stem, stages, context),), (), SCORES)


def deeplab_v3_plus() -> Architecture:
    """DeepLab v3+: ASPP at output stride 16 and the map at 1/4 beside it."""
    context = Context("aspp", 64, rates=(2, 4, 6), image_pool=True)
    join = Join("concat", Feature(0, 1), 64, reduce=24)
    return _small((EncoderPath(STEM, _residual(output_stride=16), context),), (join,), SCORES)


def deeplab_v3_plus_mobilenet_v2() -> Architecture:
    """DeepLab v3+ on half of MobileNetV2's widths at output stride 16, all of its 3x3 depthwise separable."""
    stem, stages = mobilenet_v2(output_stride=16, stages=6, width=0.5)
    context = Context("aspp", 64, rates=(2, 4, 6), image_pool=True, block="separable")
    join = Join("concat", Feature(0, 2), 64, reduce=24)
    return _small((EncoderPath(stem, stages, context),), (join,), SCORES)


def icnet() -> Architecture:
    """ICNet: a cascade over the whole image, half and a quarter of it."""
    middle = EncoderPath(Stem(16), (Stage("residual", 32, 1, 2), Stage("residual", 64, 1, 2)), scale=0.5)
    context = Context("pyramid_pooling", 96, bins=(1, 2, 3, 6))
    deep = (Stage("residual", 96, 2, atrous=(2,)), Stage("residual", 160, 2, atrous=(4,)))
    low = EncoderPath(None, deep, context, source=Feature(0, 2), scale=0.5)
    high = EncoderPath(Stem(16), (Stage("conv", 16, 1, 2), Stage("conv", 32, 1, 2)))
    joins = (Join("cascade", Feature(0, 2), 64), Join("cascade", Feature(2, 2), 64))
    losses = (Auxiliary(ContextMap(1), 0.4, 64), Auxiliary(Joined(0), 0.4, 64))
    return Architecture((middle, low, high), joins, SCORES, auxiliary=losses, trunk=1, answer_scale=ANSWER)


def bisenet() -> Architecture:
    """BiSeNet: a spatial path at 1/8, a context path with attention, their fusion."""
    context = EncoderPath(STEM, _residual(output_stride=32), Context("attention", 64))
    spatial = EncoderPath(Stem(16), (Stage("conv", 32, 1, 2), Stage("conv", 64, 1, 2)))
    joins = (Join("attention", Feature(0, 3), 64), Join("fuse", Feature(1, 2), 96))
    losses = (Auxiliary(ContextMap(0), 1.0, 64), Auxiliary(Joined(0), 1.0, 64))
    return _small((context, spatial), joins, SCORES, auxiliary=losses)


def espnet_v2() -> Architecture:
    """ESPNetv2 at half width."""
    stages = (
        Stage("eesp", 32, 1, 2, atrous=(1, 2, 3, 4), groups=4, reinforce=True),
        Stage("eesp", 64, 4, 2, atrous=(1, 1, 2, 3), groups=4, reinforce=True),
        Stage("eesp", 128, 8, 2, atrous=(1, 1, 1, 2), groups=4, reinforce=True),
    )
    path = EncoderPath(Stem(16), stages, Context("pyramid_pooling", 64, bins=(1, 2, 4, 8)))
    joins = (Join("concat", Feature(0, 2), 64), Join("concat", Feature(0, 1), 32), Join("concat", Feature(0, 0), 16))
    return _small((path,), joins, SCORES)
