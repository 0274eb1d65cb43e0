"""Files of known networks, made up: each is written down once more by hand, as names, shapes and a forward pass.

A pass asks for its tensors by name. What a state dict lacks is drawn, so that a pass over an empty one makes a file;
over a file that somebody else wrote it computes what its network does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from segsearch.networks import Network

# Our networks pad a normalised image with zeros, which are this grey.
GREY = 112.0

Activation = Callable[[Tensor], Tensor]


@dataclass
class File:
    """A state dict that is read, and drawn where it lacks something."""

    state: dict[str, Tensor] = field(default_factory=dict)
    epsilon: float = 1e-5
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(3))

    def precise(self) -> File:
        """The same in float64: what is rounded grows from layer to layer, a hundred of them."""
        state = {name: value.double() if value.is_floating_point() else value for name, value in self.state.items()}
        return File(state, self.epsilon)

    def tensor(self, name: str, shape: Sequence[int], low: float, high: float) -> Tensor:
        if name not in self.state:
            self.state[name] = torch.rand(*shape, generator=self.generator) * (high - low) + low
        found = self.state[name]
        assert tuple(found.shape) == tuple(shape), name
        return found

    def conv(
        self,
        x: Tensor,
        name: str,
        outputs: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
        bias: bool = False,
        padded: bool = True,
    ) -> Tensor:
        inputs = 1 if depthwise else x.shape[1]
        bound = (6 / (inputs * kernel * kernel)) ** 0.5
        weight = self.tensor(f"{name}.weight", (outputs, inputs, kernel, kernel), -bound, bound)
        added = self.tensor(f"{name}.bias", (outputs,), -0.5, 0.5) if bias else None
        groups = x.shape[1] if depthwise else 1
        return F.conv2d(x, weight, added, stride, kernel // 2 if padded else 0, groups=groups)

    def norm(self, x: Tensor, name: str) -> Tensor:
        size = (x.shape[1],)
        scale = self.tensor(f"{name}.weight", size, 0.5, 1.5)
        shift = self.tensor(f"{name}.bias", size, -0.5, 0.5)
        if f"{name}.running_mean" not in self.state:
            # About what is there, as in a network that learned: a hundred layers would make noise of rounding.
            self.state[f"{name}.running_mean"] = x.mean(dim=(0, 2, 3))
            self.state[f"{name}.running_var"] = x.var(dim=(0, 2, 3), correction=0) + x.var()
        mean, variance = (self.tensor(f"{name}.running_{kind}", size, 0.0, 0.0) for kind in ("mean", "var"))
        self.state.setdefault(f"{name}.num_batches_tracked", torch.tensor(7))
        return F.batch_norm(x, mean, variance, scale, shift, eps=self.epsilon)

    def add(self, **shapes: Sequence[int]) -> None:
        """Layers that classify: in the file, and of no encoder."""
        for name, shape in shapes.items():
            self.state.setdefault(name.replace("__", "."), torch.zeros(*shape))


def pixels(image: Tensor, mean: Sequence[float], std: Sequence[float], border: int) -> Tensor:
    """An image as a parent reads it, with a border in place of padding."""
    wide = F.pad(image, (border,) * 4, value=GREY)
    return (wide - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

LITE0 = ((16, 1, 3), (24, 2, 3), (40, 2, 5), (80, 3, 3), (112, 3, 5), (192, 4, 5), (320, 1, 3))
LITE1 = ((16, 1, 3), (24, 3, 3), (40, 3, 5), (80, 4, 3), (112, 4, 5), (192, 5, 5), (320, 1, 3))
LITE2 = ((16, 1, 3), (24, 3, 3), (48, 3, 5), (88, 4, 3), (120, 4, 5), (208, 5, 5), (352, 1, 3))


def lite(stages: Sequence[tuple[int, int, int]], file: File, image: Tensor) -> list[Tensor]:
    """The maps of an EfficientNet-Lite: stem and seven stages."""
    file.epsilon = 1e-3
    x = pixels(image, (127.0,) * 3, (128.0,) * 3, 1)
    x = F.relu6(file.norm(file.conv(x, "_conv_stem", 32, kernel=3, stride=2, padded=False), "_bn0"))
    maps, block = [x], 0
    for (width, depth, kernel), stride in zip(stages, (1, 2, 2, 2, 1, 2, 1), strict=True):
        for index in range(depth):
            name, before = f"_blocks.{block}", x
            if block:
                x = F.relu6(file.norm(file.conv(x, f"{name}._expand_conv", 6 * x.shape[1]), f"{name}._bn0"))
            step = stride if index == 0 else 1
            x = file.conv(x, f"{name}._depthwise_conv", x.shape[1], kernel=kernel, stride=step, depthwise=True)
            x = F.relu6(file.norm(x, f"{name}._bn1"))
            x = file.norm(file.conv(x, f"{name}._project_conv", width), f"{name}._bn2")
            if index:
                x = x + before
            block += 1
        maps.append(x)
    file.add(_conv_head__weight=(1280, stages[-1][0], 1, 1), _bn1__weight=(1280,), _fc__bias=(10,))
    return maps


def resnet(depths: Sequence[int], file: File, image: Tensor, *, bottleneck: bool = False) -> list[Tensor]:
    """The maps of a ResNet: stem with its pool, and four stages."""
    x = pixels(image, MEAN, STD, 3)
    x = F.relu(file.norm(file.conv(x, "conv1", 64, kernel=7, stride=2, padded=False), "bn1"))
    x = F.max_pool2d(x, 3, 2, 1)
    maps = [x]
    for stage, depth in enumerate(depths, start=1):
        inner = 32 * 2**stage
        width = 4 * inner if bottleneck else inner
        for index in range(depth):
            name, step = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            kernels = ((1, 1), (3, step), (1, 1)) if bottleneck else ((3, step), (3, 1))
            y = x
            for at, (kernel, stride) in enumerate(kernels, start=1):
                last = at == len(kernels)
                y = file.conv(y, f"{name}.conv{at}", width if last else inner, kernel=kernel, stride=stride)
                y = file.norm(y, f"{name}.bn{at}")
                y = y if last else F.relu(y)
            if x.shape != y.shape:
                x = file.norm(file.conv(x, f"{name}.downsample.0", width, stride=step), f"{name}.downsample.1")
            x = F.relu(x + y)
        maps.append(x)
    file.add(fc__weight=(10, 512), fc__bias=(10,))
    return maps


def vgg(normed: bool, file: File, image: Tensor) -> list[Tensor]:
    """The maps of a VGG-16: five stages, each but the first behind a pool."""
    x, maps, number, first = image, [], 0, True
    for stage, (width, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        if stage:
            x = F.max_pool2d(x, 2)
            number += 1
        for _ in range(depth):
            x = pixels(x, MEAN, STD, 1) if first else x
            x = file.conv(x, f"features.{number}", width, kernel=3, bias=True, padded=not first)
            first, number = False, number + 1
            if normed:
                x = file.norm(x, f"features.{number}")
                number += 1
            x = F.relu(x)
            number += 1
        maps.append(x)
    file.add(classifier__0__weight=(16, 512), classifier__0__bias=(16,))
    return maps


def densenet(first: bool, file: File, image: Tensor) -> list[Tensor]:
    """The maps of a DenseNet-121: stem with its pool; each dense block normed, each transition pooled."""
    x = pixels(image, MEAN, STD, 3)
    x = F.relu(file.norm(file.conv(x, "features.conv0", 64, kernel=7, stride=2, padded=False), "features.norm0"))
    x = F.max_pool2d(x, 3, 2, 1)
    maps, dot = [x], "." if first else ""
    for block, depth in enumerate((6, 12, 24, 16), start=1):
        for layer in range(1, depth + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            y = F.relu(file.norm(x, f"{name}.norm{dot}1"))
            y = F.relu(file.norm(file.conv(y, f"{name}.conv{dot}1", 128), f"{name}.norm{dot}2"))
            x = torch.cat([x, file.conv(y, f"{name}.conv{dot}2", 32, kernel=3)], dim=1)
        x = F.relu(file.norm(x, "features.norm5" if block == 4 else f"features.transition{block}.norm"))
        maps.append(x)
        if block < 4:
            x = F.avg_pool2d(file.conv(x, f"features.transition{block}.conv", x.shape[1] // 2), 2)
            maps.append(x)
    file.add(classifier__weight=(10, 1024), classifier__bias=(10,))
    return maps


# ---- MobileNets: of each block the kernel, the inner width, the outer one, squeezed or not, hard swish or not, stride

V2 = tuple(
    (3, 6 * before if number else before, after, 0, False, stride)
    for number, (before, after, stride) in enumerate(
        (
            *((32, 16, 1), (16, 24, 2), (24, 24, 1), (24, 32, 2), (32, 32, 1), (32, 32, 1), (32, 64, 2)),
            *((64, 64, 1), (64, 64, 1), (64, 64, 1), (64, 96, 1), (96, 96, 1), (96, 96, 1), (96, 160, 2)),
            *((160, 160, 1), (160, 160, 1), (160, 320, 1)),
        )
    )
)
# The squeezed widths are those of torchvision's files.
LARGE = (
    (3, 16, 16, 0, False, 1),
    (3, 64, 24, 0, False, 2),
    (3, 72, 24, 0, False, 1),
    (5, 72, 40, 24, False, 2),
    (5, 120, 40, 32, False, 1),
    (5, 120, 40, 32, False, 1),
    (3, 240, 80, 0, True, 2),
    (3, 200, 80, 0, True, 1),
    (3, 184, 80, 0, True, 1),
    (3, 184, 80, 0, True, 1),
    (3, 480, 112, 120, True, 1),
    (3, 672, 112, 168, True, 1),
    (5, 672, 160, 168, True, 2),
    (5, 960, 160, 240, True, 1),
    (5, 960, 160, 240, True, 1),
)
SMALL = (
    (3, 16, 16, 8, False, 2),
    (3, 72, 24, 0, False, 2),
    (3, 88, 24, 0, False, 1),
    (5, 96, 40, 24, True, 2),
    (5, 240, 40, 64, True, 1),
    (5, 240, 40, 64, True, 1),
    (5, 120, 48, 32, True, 1),
    (5, 144, 48, 40, True, 1),
    (5, 288, 96, 72, True, 2),
    (5, 576, 96, 144, True, 1),
    (5, 576, 96, 144, True, 1),
)
Blocks = Sequence[tuple[int, int, int, int, bool, int]]


def torchvision_mobilenet(blocks: Blocks, file: File, image: Tensor) -> list[Tensor]:
    """The map after each block of a MobileNetV2 or V3 as torchvision calls its layers; the stem's is the first."""
    v3 = blocks is not V2
    file.epsilon = 1e-3 if v3 else 1e-5
    x = pixels(image, MEAN, STD, 1)
    x = file.norm(file.conv(x, "features.0.0", 16 if v3 else 32, kernel=3, stride=2, padded=False), "features.0.1")
    x = F.hardswish(x) if v3 else F.relu6(x)
    maps = [x]
    for number, (kernel, inner, width, squeezed, hard, stride) in enumerate(blocks, start=1):
        inside = f"features.{number}.{'block' if v3 else 'conv'}"
        act: Activation = F.hardswish if hard else F.relu if v3 else F.relu6
        before, at = x, 0
        if inner != x.shape[1]:
            x = act(file.norm(file.conv(x, f"{inside}.0.0", inner), f"{inside}.0.1"))
            at = 1
        x = file.conv(x, f"{inside}.{at}.0", inner, kernel=kernel, stride=stride, depthwise=True)
        x = act(file.norm(x, f"{inside}.{at}.1"))
        if squeezed:
            at += 1
            x = _squeezed(file, x, f"{inside}.{at}.fc1", f"{inside}.{at}.fc2", squeezed)
        at += 1
        names = (f"{inside}.{at}.0", f"{inside}.{at}.1") if v3 else (f"{inside}.{at}", f"{inside}.{at + 1}")
        x = file.norm(file.conv(x, names[0], width), names[1])
        x = x + before if stride == 1 and before.shape[1] == width else x
        maps.append(x)
    last = len(blocks) + 1
    file.tensor(f"features.{last}.0.weight", (8, x.shape[1], 1, 1), -1.0, 1.0)
    file.add(classifier__1__weight=(10, 8))
    return maps


def timm_mobilenet(blocks: Blocks, file: File, image: Tensor) -> list[Tensor]:
    """The same as timm calls them."""
    v3 = blocks is not V2
    x = pixels(image, MEAN, STD, 1)
    x = file.norm(file.conv(x, "conv_stem", 16 if v3 else 32, kernel=3, stride=2, padded=False), "bn1")
    x = F.hardswish(x) if v3 else F.relu6(x)
    maps = [x]
    for name, (kernel, inner, width, squeezed, hard, stride) in zip(_timm_names(blocks), blocks, strict=True):
        act: Activation = F.hardswish if hard else F.relu if v3 else F.relu6
        before, expands = x, inner != x.shape[1]
        norms = iter((f"{name}.bn1", f"{name}.bn2", f"{name}.bn3"))
        if expands:
            x = act(file.norm(file.conv(x, f"{name}.conv_pw", inner), next(norms)))
        x = file.conv(x, f"{name}.conv_dw", inner, kernel=kernel, stride=stride, depthwise=True)
        x = act(file.norm(x, next(norms)))
        if squeezed:
            x = _squeezed(file, x, f"{name}.se.conv_reduce", f"{name}.se.conv_expand", squeezed)
        x = file.norm(file.conv(x, f"{name}.{'conv_pwl' if expands else 'conv_pw'}", width), next(norms))
        x = x + before if stride == 1 and before.shape[1] == width else x
        maps.append(x)
    if v3:
        file.tensor(f"blocks.{6 if blocks is LARGE else 5}.0.conv.weight", (8, x.shape[1], 1, 1), -1.0, 1.0)
    file.add(conv_head__weight=(8, 8, 1, 1), classifier__weight=(10, 8))
    return maps


def _timm_names(blocks: Blocks) -> Iterator[str]:
    stage, index, width = -1, 0, 0
    for _, _, after, _, _, _ in blocks:
        stage, index = (stage, index + 1) if after == width else (stage + 1, 0)
        width = after
        yield f"blocks.{stage}.{index}"


def _squeezed(file: File, x: Tensor, reduce: str, widen: str, width: int) -> Tensor:
    mean = x.mean(dim=(2, 3), keepdim=True)
    inside = F.relu(file.conv(mean, reduce, width, bias=True))
    return x * F.hardsigmoid(file.conv(inside, widen, x.shape[1], bias=True))


# ---- one of each, and how our network's maps are seen

Pass = Callable[[File, Tensor], list[Tensor]]
KINDS: dict[str, tuple[str, Pass]] = {
    "lite0": ("EfficientNet-Lite0", lambda file, image: lite(LITE0, file, image)),
    "lite1": ("EfficientNet-Lite1", lambda file, image: lite(LITE1, file, image)),
    "lite2": ("EfficientNet-Lite2", lambda file, image: lite(LITE2, file, image)),
    "resnet18": ("ResNet-18", lambda file, image: resnet((2, 2, 2, 2), file, image)),
    "resnet34": ("ResNet-34", lambda file, image: resnet((3, 4, 6, 3), file, image)),
    "resnet50": ("ResNet-50", lambda file, image: resnet((3, 4, 6, 3), file, image, bottleneck=True)),
    "resnet101": ("ResNet-101", lambda file, image: resnet((3, 4, 23, 3), file, image, bottleneck=True)),
    "vgg16": ("VGG-16", lambda file, image: vgg(False, file, image)),
    "vgg16_bn": ("VGG-16 with batch norm", lambda file, image: vgg(True, file, image)),
    "densenet121": ("DenseNet-121", lambda file, image: densenet(False, file, image)),
    "densenet121, an early file": ("DenseNet-121", lambda file, image: densenet(True, file, image)),
    "mobilenet_v2": ("MobileNetV2", lambda file, image: torchvision_mobilenet(V2, file, image)),
    "mobilenetv2_100": ("MobileNetV2", lambda file, image: timm_mobilenet(V2, file, image)),
    "mobilenet_v3_large": ("MobileNetV3-Large", lambda file, image: torchvision_mobilenet(LARGE, file, image)),
    "mobilenetv3_large_100": ("MobileNetV3-Large", lambda file, image: timm_mobilenet(LARGE, file, image)),
    "mobilenet_v3_small": ("MobileNetV3-Small", lambda file, image: torchvision_mobilenet(SMALL, file, image)),
    "mobilenetv3_small_100": ("MobileNetV3-Small", lambda file, image: timm_mobilenet(SMALL, file, image)),
}


def picture(height: int = 37, width: int = 50) -> Tensor:
    """Noise of pixels, (1, 3, height, width) in 0..255; odd sides show how each layer rounds."""
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255


def state_of(kind: str) -> dict[str, Tensor]:
    """A made-up state dict of that kind."""
    file = File()
    KINDS[kind][1](file, picture(40, 40))
    return file.state


def write(state: dict[str, Tensor], folder: Path, name: str = "weights.pth") -> Path:
    torch.save(state, folder / name)
    return folder / name


def maps_of(network: Network, image: Tensor, path: int = 0) -> list[Tensor]:
    """The maps of one encoder of a network that reads the image, in eval: stem, and every block of every stage."""
    encoder = network.eval().encoders[path]
    with torch.no_grad():
        x = encoder.get_submodule("stem")((image - 112.0) / 64.0)
        maps = [x]
        for stage in encoder.get_submodule("stages").children():
            for block in stage.children():
                x = block(x)
                if not isinstance(block, torch.nn.MaxPool2d):
                    maps.append(x)
    return maps
