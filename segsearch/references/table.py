"""All references by name, with what their papers say of their size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from segsearch.errors import StudyError
from segsearch.references import mobile, papers
from segsearch.space.architecture import Architecture


@dataclass(frozen=True)
class Published:
    """What was published of a network: millions of parameters, by whom, for how many classes.

    `giga_macs` are thousand millions of multiply-accumulates for images of `size`, (height, width).

    `deviates` says why ours has another number, where that is more than 3 %.
    """

    million_params: float
    source: str
    classes: int
    giga_macs: float | None = None
    size: tuple[int, int] | None = None
    deviates: str = ""


@dataclass(frozen=True)
class Reference:
    """One network of the field: its paper, its architecture, and the published size where there is one."""

    title: str
    paper: str
    make: Callable[[], Architecture]
    published: Published | None = None


def reference(name: str) -> Architecture:
    """A reference's architecture by its name. Raises `StudyError` for one that is not there."""
    if name not in REFERENCES:
        raise StudyError(f"A reference must be one of {', '.join(REFERENCES)}; got {name!r}.")
    return REFERENCES[name].make()


REFERENCES: Mapping[str, Reference] = {
    "fcn-8s": Reference("FCN-8s, VGG-16", "arXiv:1411.4038", papers.fcn_8s, Published(134.0, "the paper, Table 1", 21)),
    "unet": Reference("U-Net", "arXiv:1505.04597", papers.unet, Published(31.04, "its open implementations", 2)),
    "pspnet": Reference(
        "PSPNet, ResNet-50", "arXiv:1612.01105", papers.pspnet, Published(46.72, "PMC12440891, Table 2", 21)
    ),
    "deeplab-v1": Reference(
        "DeepLab-LargeFOV, VGG-16", "arXiv:1412.7062", papers.deeplab_v1, Published(20.5, "the paper, Table 2", 21)
    ),
    "deeplab-v2": Reference(
        "DeepLab v2, ResNet-101",
        "arXiv:1606.00915",
        papers.deeplab_v2,
        Published(44.04, "arXiv:1803.06815, Table 1", 21),
    ),
    "deeplab-v3": Reference(
        "DeepLab v3, ResNet-50",
        "arXiv:1706.05587",
        papers.deeplab_v3,
        Published(39.64, "torchvision, less its auxiliary head of 2.37", 21, 168.74, (520, 520)),
    ),
    "deeplab-v3-mobilenet-v2": Reference(
        "DeepLab v3, MobileNetV2",
        "arXiv:1801.04381",
        papers.deeplab_v3_mobilenet_v2,
        Published(2.11, "the paper, Table 7", 21, 2.75, (513, 513)),
    ),
    "deeplab-v3-mobilenet-v3": Reference(
        "DeepLab v3, MobileNetV3-Large",
        "arXiv:1905.02244",
        papers.deeplab_v3_mobilenet_v3,
        Published(11.02, "torchvision, less its auxiliary head of 0.01", 21, 10.45, (520, 520)),
    ),
    "deeplab-v3-densenet": Reference("DeepLab v3, DenseNet-121", "arXiv:1608.06993", papers.deeplab_v3_densenet),
    "deeplab-v3-plus": Reference("DeepLab v3+, ResNet-50", "arXiv:1802.02611", papers.deeplab_v3_plus),
    "deeplab-v3-plus-mobilenet-v2": Reference(
        "DeepLab v3+, MobileNetV2", "arXiv:1802.02611", lambda: papers.deeplab_v3_plus(mobilenet=True)
    ),
    "icnet": Reference(
        "ICNet, ResNet-50",
        "arXiv:1704.08545",
        papers.icnet,
        Published(
            26.5,
            "arXiv:2004.02147, Table 11",
            19,
            deviates="its pyramid pooling sums pooled maps without convolutions, ours mixes them as PSPNet does",
        ),
    ),
    "bisenet": Reference(
        "BiSeNet, ResNet-18",
        "arXiv:1808.00897",
        papers.bisenet,
        Published(
            13.27, "mmsegmentation's of the same layers; the paper's own 49.0 is not their sum", 19, 14.82, (512, 512)
        ),
    ),
    "espnet-v2": Reference("ESPNetv2", "arXiv:1811.11431", papers.espnet_v2_network),
    "fcn-8s-mobile": Reference("FCN-8s, small", "arXiv:1411.4038", mobile.fcn_8s),
    "unet-mobile": Reference("U-Net, small", "arXiv:1505.04597", mobile.unet),
    "pspnet-mobile": Reference("PSPNet, small", "arXiv:1612.01105", mobile.pspnet),
    "deeplab-v1-mobile": Reference("DeepLab-LargeFOV, small", "arXiv:1412.7062", mobile.deeplab_v1),
    "deeplab-v2-mobile": Reference("DeepLab v2, small", "arXiv:1606.00915", mobile.deeplab_v2),
    "deeplab-v3-mobile": Reference("DeepLab v3, small", "arXiv:1706.05587", mobile.deeplab_v3),
    "deeplab-v3-densenet-mobile": Reference(
        "DeepLab v3, dense blocks, small", "arXiv:1608.06993", mobile.deeplab_v3_densenet
    ),
    "deeplab-v3-mobilenet-v2-mobile": Reference(
        "DeepLab v3, MobileNetV2 of half width", "arXiv:1801.04381", mobile.deeplab_v3_mobilenet_v2
    ),
    "deeplab-v3-plus-mobile": Reference("DeepLab v3+, small", "arXiv:1802.02611", mobile.deeplab_v3_plus),
    "deeplab-v3-plus-mobilenet-v2-mobile": Reference(
        "DeepLab v3+, MobileNetV2 of half width", "arXiv:1802.02611", mobile.deeplab_v3_plus_mobilenet_v2
    ),
    "icnet-mobile": Reference("ICNet, small", "arXiv:1704.08545", mobile.icnet),
    "bisenet-mobile": Reference("BiSeNet, small", "arXiv:1808.00897", mobile.bisenet),
    "espnet-v2-mobile": Reference("ESPNetv2 of half width", "arXiv:1811.11431", mobile.espnet_v2),
}
