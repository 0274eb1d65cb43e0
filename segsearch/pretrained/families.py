"""The networks whose weights can be read: EfficientNet-Lite, ResNet, VGG, DenseNet, MobileNetV2, V3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from segsearch.pretrained.layouts import Called, Layout, Pixels
from segsearch.references.encoders import POOLED_STEM, densenet121, mobilenet_v2, mobilenet_v3, resnet, vgg16
from segsearch.space.architecture import EncoderPath, Stage, Stem

# What torchvision and timm train with: values of 0..1, minus the mean over ImageNet, over its standard deviation.
IMAGENET = Pixels((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


# ---- EfficientNet-Lite (github.com/tensorflow/tpu, EfficientNet: arXiv:1905.11946), by its first port to torch


def _lite(widths: Sequence[int], depths: Sequence[int]) -> EncoderPath:
    """32 channels at 1/2, then seven stages; its downsampling convolutions are padded at one end, ours at both.

    The same function of an image that is moved by a pixel or a few.
    """
    kernels, strides = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1)
    stages = tuple(
        Stage("mbconv", width, depth, stride, kernel, expansion=1.0 if at == 0 else 6.0, activation="relu6")
        for at, (width, depth, stride, kernel) in enumerate(zip(widths, depths, strides, kernels, strict=True))
    )
    return EncoderPath(Stem(32, activation="relu6"), stages)


_LITE0 = Layout(
    name="EfficientNet-Lite0",
    path=_lite((16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
    pixels=Pixels((127.0,) * 3, (128.0,) * 3),
    called={
        "stem": Called("_conv_stem", "_bn0"),
        "expand": Called("_blocks.{n}._expand_conv", "_blocks.{n}._bn0"),
        "depthwise": Called("_blocks.{n}._depthwise_conv", "_blocks.{n}._bn1"),
        "project": Called("_blocks.{n}._project_conv", "_blocks.{n}._bn2"),
    },
    unused=("_conv_head.", "_bn1.", "_fc."),
    epsilon=1e-3,
)
_LITE1 = replace(_LITE0, name="EfficientNet-Lite1", path=_lite((16, 24, 40, 80, 112, 192, 320), (1, 3, 3, 4, 4, 5, 1)))
_LITE2 = replace(_LITE0, name="EfficientNet-Lite2", path=_lite((16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1)))

# ---- ResNet (arXiv:1512.03385), as torchvision and timm call it


_RESNET18 = Layout(
    name="ResNet-18",
    path=EncoderPath(POOLED_STEM, resnet((2, 2, 2, 2), basic=True)),
    pixels=IMAGENET,
    called={
        "stem": Called("conv1", "bn1"),
        "first": Called("layer{stage}.{block}.conv1", "layer{stage}.{block}.bn1"),
        "second": Called("layer{stage}.{block}.conv2", "layer{stage}.{block}.bn2"),
        "third": Called("layer{stage}.{block}.conv3", "layer{stage}.{block}.bn3"),
        "shortcut": Called("layer{stage}.{block}.downsample.0", "layer{stage}.{block}.downsample.1"),
    },
    unused=("fc.",),
)
_RESNETS = (
    _RESNET18,
    replace(_RESNET18, name="ResNet-34", path=EncoderPath(POOLED_STEM, resnet((3, 4, 6, 3), basic=True))),
    replace(_RESNET18, name="ResNet-50", path=EncoderPath(POOLED_STEM, resnet((3, 4, 6, 3)))),
    replace(_RESNET18, name="ResNet-101", path=EncoderPath(POOLED_STEM, resnet((3, 4, 23, 3)))),
)

# ---- VGG-16 (arXiv:1409.1556), with and without batch norm, as torchvision and timm call it

_VGG16 = Layout(
    name="VGG-16",
    path=EncoderPath(None, vgg16()),
    pixels=IMAGENET,
    called={"conv": Called("features.{number}")},
    unused=("classifier.", "pre_logits.", "head."),
    numbers=(0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
)
_VGG16_BN = replace(
    _VGG16,
    name="VGG-16 with batch norm",
    path=replace(_VGG16.path, stages=tuple(replace(stage, norm="batch") for stage in _VGG16.path.stages)),
    called={"conv": Called("features.{number}", "features.{number1}")},
    numbers=(0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40),
    biased=True,
)

# ---- DenseNet-121 (arXiv:1608.06993), as torchvision and timm call it, and as torchvision's first files do

_DENSENET121 = Layout(
    name="DenseNet-121",
    path=EncoderPath(POOLED_STEM, densenet121()),
    pixels=IMAGENET,
    called={
        "stem": Called("features.conv0", "features.norm0"),
        "narrow": Called(
            "features.denseblock{pair}.denselayer{block1}.conv1", "features.denseblock{pair}.denselayer{block1}.norm1"
        ),
        "grow": Called(
            "features.denseblock{pair}.denselayer{block1}.conv2", "features.denseblock{pair}.denselayer{block1}.norm2"
        ),
        # The norm that DenseNet draws at a transition's start ends the stage before it.
        "finish": Called(norm="features.transition{pair}.norm"),
        "mix": Called("features.transition{pair}.conv"),
    },
    unused=("classifier.",),
    renamed={"features.transition4.norm": "features.norm5"},
)
_FIRST_FILES = {
    role: Called(
        f"features.denseblock{{pair}}.denselayer{{block1}}.conv.{number}",
        f"features.denseblock{{pair}}.denselayer{{block1}}.norm.{number}",
    )
    for role, number in (("narrow", 1), ("grow", 2))
}

# ---- MobileNetV2 (arXiv:1801.04381)

_MOBILENET2_TORCHVISION = Layout(
    name="MobileNetV2",
    path=EncoderPath(*mobilenet_v2()),
    pixels=IMAGENET,
    called={
        "stem": Called("features.0.0", "features.0.1"),
        "expand": Called("features.{n1}.conv.{at}.0", "features.{n1}.conv.{at}.1"),
        "depthwise": Called("features.{n1}.conv.{at}.0", "features.{n1}.conv.{at}.1"),
        "project": Called("features.{n1}.conv.{at}", "features.{n1}.conv.{at1}"),
    },
    unused=("features.18.", "classifier."),
)

# timm calls the blocks of all networks of this kind alike.
_TIMM: Mapping[str, Called] = {
    "stem": Called("conv_stem", "bn1"),
    "expand": Called("blocks.{run}.{member}.conv_pw", "blocks.{run}.{member}.bn1"),
    "depthwise": Called("blocks.{run}.{member}.conv_dw", "blocks.{run}.{member}.bn2"),
    "reduce": Called("blocks.{run}.{member}.se.conv_reduce"),
    "widen": Called("blocks.{run}.{member}.se.conv_expand"),
    "project": Called("blocks.{run}.{member}.conv_pwl", "blocks.{run}.{member}.bn3"),
}
_TIMM_BARE: Mapping[str, Called] = {
    "depthwise": Called("blocks.{run}.{member}.conv_dw", "blocks.{run}.{member}.bn1"),
    "project": Called("blocks.{run}.{member}.conv_pw", "blocks.{run}.{member}.bn2"),
}
_MOBILENET2_TIMM = replace(
    _MOBILENET2_TORCHVISION, called=_TIMM, bare=_TIMM_BARE, unused=("conv_head.", "bn2.", "classifier.")
)

# ---- MobileNetV3 (arXiv:1905.02244)

_SMALL = EncoderPath(*mobilenet_v3(small=True))
_MOBILENET3_TORCHVISION = Layout(
    name="MobileNetV3-Large",
    path=EncoderPath(*mobilenet_v3()),
    pixels=IMAGENET,
    called={
        "stem": Called("features.0.0", "features.0.1"),
        "expand": Called("features.{n1}.block.{at}.0", "features.{n1}.block.{at}.1"),
        "depthwise": Called("features.{n1}.block.{at}.0", "features.{n1}.block.{at}.1"),
        "reduce": Called("features.{n1}.block.{at}.fc1"),
        "widen": Called("features.{n1}.block.{at}.fc2"),
        "project": Called("features.{n1}.block.{at}.0", "features.{n1}.block.{at}.1"),
    },
    unused=("features.16.", "classifier."),
    epsilon=1e-3,
)
_MOBILENET3_TIMM = replace(
    _MOBILENET3_TORCHVISION,
    called=_TIMM,
    bare=_TIMM_BARE,
    unused=("blocks.6.", "conv_head.", "classifier."),
    epsilon=1e-5,
)

LAYOUTS: tuple[Layout, ...] = (
    _LITE0,
    _LITE1,
    _LITE2,
    *_RESNETS,
    _VGG16,
    _VGG16_BN,
    _DENSENET121,
    replace(_DENSENET121, called={**_DENSENET121.called, **_FIRST_FILES}),
    _MOBILENET2_TORCHVISION,
    _MOBILENET2_TIMM,
    _MOBILENET3_TORCHVISION,
    _MOBILENET3_TIMM,
    replace(_MOBILENET3_TORCHVISION, name="MobileNetV3-Small", path=_SMALL, unused=("features.12.", "classifier.")),
    replace(_MOBILENET3_TIMM, name="MobileNetV3-Small", path=_SMALL, unused=("blocks.5.", "conv_head.", "classifier.")),
)
