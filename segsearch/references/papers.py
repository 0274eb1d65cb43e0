"""Each network as its paper gives it: paths, context, joins and losses; classes come from the study."""

from __future__ import annotations

from dataclasses import replace

from segsearch.references.encoders import (
    POOLED_STEM,
    densenet121,
    espnet_v2,
    mobilenet_v2,
    mobilenet_v3,
    resnet,
    vgg16,
)
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

RESNET50, RESNET101, RESNET18 = (3, 4, 6, 3), (3, 4, 23, 3), (2, 2, 2, 2)
# A head that only scores: the decoder's last map is what it reads.
SCORES = Head(1, depth=0)


def fcn_8s() -> Architecture:
    """FCN-8s on VGG-16 (arXiv:1411.4038): three maps are scored, added and upsampled by learned convolutions."""
    fully = (
        Stage("conv", 4096, 1, 2, 7, downsample="max_pool", norm="none"),
        Stage("conv", 4096, 1, kernel=1, norm="none"),
    )
    path = EncoderPath(None, (*vgg16(), *fully))
    joins = tuple(Join("score", Feature(0, stage), 0, upsample="transposed") for stage in (5, 4))
    # Maps before the pools: stage 5 is at 1/16 and stage 4 at 1/8, as pool4 and pool3 are.
    return Architecture((path,), joins, SCORES)


def unet() -> Architecture:
    """U-Net (arXiv:1505.04597), with padded convolutions so that it answers at the size of its input."""
    widths = (64, 128, 256, 512, 1024)
    stages = tuple(
        Stage("conv", width, 2, 1 if index == 0 else 2, downsample="stride" if index == 0 else "max_pool", norm="none")
        for index, width in enumerate(widths)
    )
    joins = tuple(
        Join("concat", Feature(0, stage), widths[stage - 1], block="conv", depth=2, upsample="transposed")
        for stage in (4, 3, 2, 1)
    )
    return Architecture((EncoderPath(None, stages),), joins, SCORES)


def pspnet() -> Architecture:
    """PSPNet on ResNet-50 at output stride 8 (arXiv:1612.01105), its auxiliary loss on the fourth stage's map."""
    context = Context("pyramid_pooling", 512, bins=(1, 2, 3, 6), kernel=3)
    path = EncoderPath(POOLED_STEM, resnet(RESNET50, output_stride=8), context)
    return Architecture((path,), (), replace(SCORES, dropout=0.1), auxiliary=(Auxiliary(Feature(0, 3), 0.4, 256),))


def deeplab_v1() -> Architecture:
    """DeepLab-LargeFOV on VGG-16 (arXiv:1412.7062), without the random field after it."""
    context = Context("large_field", 1024, rates=(12,))
    return Architecture((EncoderPath(None, vgg16(output_stride=8), context),), (), replace(SCORES, dropout=0.5))


def deeplab_v2() -> Architecture:
    """DeepLab v2 on ResNet-101 at output stride 8 (arXiv:1606.00915): four atrous classifiers, summed."""
    context = Context("aspp_scores", 0, rates=(6, 12, 18, 24))
    return Architecture((EncoderPath(POOLED_STEM, resnet(RESNET101, output_stride=8), context),), (), SCORES)


def deeplab_v3() -> Architecture:
    """DeepLab v3 on ResNet-50 at output stride 8 (arXiv:1706.05587), its head as torchvision has it."""
    context = Context("aspp", 256, rates=(12, 24, 36), image_pool=True)
    path = EncoderPath(POOLED_STEM, resnet(RESNET50, output_stride=8), context)
    return Architecture((path,), (), Head(256), auxiliary=(Auxiliary(Feature(0, 3), 0.4, 256),))


def deeplab_v3_mobilenet_v2() -> Architecture:
    """DeepLab v3 on MobileNetV2 at output stride 16, with image pooling and no atrous branch (arXiv:1801.04381)."""
    stem, stages = mobilenet_v2(output_stride=16)
    context = Context("aspp", 256, rates=(), image_pool=True)
    return Architecture((EncoderPath(stem, stages, context),), (), SCORES)


def deeplab_v3_mobilenet_v3() -> Architecture:
    """DeepLab v3 on MobileNetV3-Large at output stride 16 (arXiv:1905.02244)."""
    stem, stages = mobilenet_v3(output_stride=16)
    last = Stage("conv", 960, 1, kernel=1, activation="hardswish")
    context = Context("aspp", 256, rates=(12, 24, 36), image_pool=True)
    path = EncoderPath(stem, (*stages, last), context)
    return Architecture((path,), (), Head(256))


def deeplab_v3_densenet() -> Architecture:
    """DeepLab v3's context on DenseNet-121 (arXiv:1608.06993) at output stride 16."""
    context = Context("aspp", 256, rates=(6, 12, 18), image_pool=True)
    path = EncoderPath(POOLED_STEM, densenet121(output_stride=16), context)
    return Architecture((path,), (), Head(256))


def deeplab_v3_plus(*, mobilenet: bool = False) -> Architecture:
    """DeepLab v3+ (arXiv:1802.02611) on ResNet-50 or MobileNetV2 at output stride 16."""
    context = Context("aspp", 256, rates=(6, 12, 18), image_pool=True)
    stem, stages = mobilenet_v2(output_stride=16) if mobilenet else (POOLED_STEM, resnet(RESNET50, output_stride=16))
    finest = Feature(0, 2 if mobilenet else 1)  # the map at 1/4
    join = Join("concat", finest, 256, reduce=48, block="conv", depth=1)
    return Architecture((EncoderPath(stem, stages, context),), (join,), SCORES)


def icnet() -> Architecture:
    """ICNet on ResNet-50 (arXiv:1704.08545): a cascade over three input resolutions, a loss at each join.

    The images at 1/2 and 1/4 share the layers up to 1/8 of what they read, so that the second path starts there.
    """
    stem, second, third, fourth = (POOLED_STEM, *resnet(RESNET50)[:1], *resnet(RESNET50, output_stride=8)[2:])
    middle = EncoderPath(stem, (second, Stage("bottleneck", 512, 1, 2, expansion=0.25)), scale=0.5)
    context = Context("pyramid_pooling", 256, bins=(1, 2, 3, 6))
    low = EncoderPath(
        None, (Stage("bottleneck", 512, 3, expansion=0.25), third, fourth), context, source=Feature(0, 2), scale=0.5
    )
    high = EncoderPath(Stem(32), (Stage("conv", 32, 1, 2), Stage("conv", 64, 1, 2)))
    joins = (Join("cascade", Feature(0, 2), 128), Join("cascade", Feature(2, 2), 128))
    losses = (Auxiliary(ContextMap(1), 0.4, 128), Auxiliary(Joined(0), 0.4, 128))
    return Architecture((middle, low, high), joins, SCORES, auxiliary=losses, trunk=1)


def bisenet() -> Architecture:
    """BiSeNet on ResNet-18 (arXiv:1808.00897): a spatial path at 1/8, a context path with attention, their fusion."""
    context = EncoderPath(POOLED_STEM, resnet(RESNET18, basic=True), Context("attention", 128))
    spatial = EncoderPath(Stem(64, kernel=7), (Stage("conv", 64, 2, 2), Stage("conv", 128, 1, 2, kernel=3)))
    joins = (Join("attention", Feature(0, 3), 128), Join("fuse", Feature(1, 2), 256))
    losses = (Auxiliary(ContextMap(0), 1.0, 256), Auxiliary(Joined(0), 1.0, 256))
    return Architecture((context, spatial), joins, Head(256), auxiliary=losses)


def espnet_v2_network() -> Architecture:
    """ESPNetv2 at width 1 (arXiv:1811.11431): maps at 1/16, 1/8, 1/4 and 1/2 are brought together step by step."""
    stem, stages = espnet_v2()
    path = EncoderPath(stem, stages, Context("pyramid_pooling", 128, bins=(1, 2, 4, 8)))
    joins = (
        Join("concat", Feature(0, 2), 128, block="separable", depth=1),
        Join("concat", Feature(0, 1), 32, block="separable", depth=1),
        Join("concat", Feature(0, 0), 32, block="separable", depth=1),
    )
    return Architecture((path,), joins, SCORES)
