"""What a network is, as data: paths of stages, contexts, joins of a decoder, a head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer

from segsearch.space.keys import later

Activation = Literal["relu", "relu6", "hardswish"]
# `none` is a convolution with a bias and no normalisation (VGG, arXiv:1409.1556).
Norm = Literal["batch", "none"]


@dataclass(frozen=True)
class Feature:
    """A map that an encoder leaves: the output of `stage` (0 is the stem) of `path`, after what is merged into it."""

    path: int
    stage: int


@dataclass(frozen=True)
class Joined:
    """The map that a join of the decoder leaves, by the join's index."""

    join: int


@dataclass(frozen=True)
class ContextMap:
    """The map that the context of a path leaves; the path's last map where it has none."""

    context: int


def _joined_of_old(value: Any) -> Any:
    """What a join leaves is stored as a stage of path -1."""
    if isinstance(value, Mapping) and value.get("path") == -1:
        return {"join": value["stage"]}
    return value


def _as_stored(value: Feature | Joined | ContextMap) -> dict[str, int]:
    if isinstance(value, ContextMap):
        return {"context": value.context}
    path, stage = (-1, value.join) if isinstance(value, Joined) else (value.path, value.stage)
    return {"path": path, "stage": stage}


# What a join or an auxiliary loss may read. Databases keep one form for all, and content keys are made of it.
Map = Annotated[Feature | Joined | ContextMap, BeforeValidator(_joined_of_old), PlainSerializer(_as_stored)]


@dataclass(frozen=True)
class Stem:
    """The first convolutions of a path: `depth` of them, the first ones with stride 2 until `stride` is reached.

    `pool` makes the last halving by a padded 3x3 max pool after them (ResNet, arXiv:1512.03385); `stride` counts it.
    """

    channels: int
    stride: int = 2
    kernel: int = 3
    depth: int = 1
    pool: Annotated[bool, later(False)] = False
    activation: Annotated[Activation, later("relu")] = "relu"


@dataclass(frozen=True)
class Stage:
    """`depth` blocks of one type; the first one carries the stride.

    `atrous` holds one rate for each block, cycled (multi-grid, DeepLab v3); blocks with parallel branches (ESPNetv2's
    EESP, RegSeg's D block) read it as the rates of these instead. `expansion` is inner over outer width. `groups` is
    what the block's grouped convolutions divide their channels into. `downsample` says how the stride is made: by the
    block, or by pooling before it (VGG). `reinforce` adds the resized input image to the output of the first block
    (ESPNetv2's long-range shortcut). `squeeze` is the width of squeeze-and-excitation over the inner one
    (arXiv:1709.01507), 0 for none. A stage of blocks that grow (DenseNet) ends with `channels`: each adds an equal
    share of what is new.
    """

    block: str
    channels: int
    depth: int
    stride: int = 1
    kernel: int = 3
    atrous: tuple[int, ...] = (1,)
    expansion: float = 1.0
    groups: int = 1
    downsample: Literal["stride", "max_pool", "mean_pool"] = "stride"
    reinforce: bool = False
    activation: Annotated[Activation, later("relu")] = "relu"
    squeeze: Annotated[float, later(0.0)] = 0.0
    norm: Annotated[Norm, later("batch")] = "batch"


@dataclass(frozen=True)
class Context:
    """What gathers context at the end of a path.

    kinds: `pyramid_pooling` (PSPNet) and `cascaded_pooling` (DDRNet) with bins, `aspp` with atrous rates (DeepLab v3),
    `large_field` with one (DeepLab v1), `aspp_scores`, whose rates score the classes (DeepLab v2: `channels` is 0, as
    many as there are classes), `global_pooling` (ParseNet) and `attention` (BiSeNet). `block` is what its 3x3
    convolutions are: whole or depthwise separable; `kernel` that of the convolution that mixes its branches (3 in
    PSPNet).
    """

    kind: str = "none"
    channels: int = 0
    bins: tuple[int, ...] = ()
    rates: tuple[int, ...] = ()
    image_pool: bool = False
    block: Annotated[Literal["conv", "separable"], later("conv")] = "conv"
    kernel: Annotated[int, later(1)] = 1


@dataclass(frozen=True)
class Merge:
    """A map of another path, added to what stage `after` made (DDRNet, arXiv:2101.06085; HRNet, arXiv:1908.07919).

    It reads that map as its own stage left it, before anything is merged there: paths can exchange maps both ways.
    """

    after: int
    feature: Feature


@dataclass(frozen=True)
class EncoderPath:
    """One chain of stages. It reads the image resized by `scale`, or another path's map resized by it."""

    stem: Stem | None
    stages: tuple[Stage, ...]
    context: Context = Context()
    source: Feature | None = None
    scale: float = 1.0
    merges: Annotated[tuple[Merge, ...], later(())] = ()


@dataclass(frozen=True)
class Join:
    """One step of the decoder: bring the running map to the size of `feature` and merge the two.

    kinds: `add` and `concat` (skips of U-Net and DeepLab v3+), `score` (FCN: class scores are added; `channels` is 0,
    as many as there are classes), `attention` and `fuse` (BiSeNet), `cascade` (ICNet). `reduce` is the width the
    feature is brought to first. `others` are further maps that are merged likewise (semantic FPN, HRNet). `depth`
    blocks of type `block` refine the result; None is the kind's own number. `upsample` is how the running map grows.
    """

    kind: str
    feature: Map
    channels: int
    reduce: int = 0
    others: Annotated[tuple[Map, ...], later(())] = ()
    block: Annotated[Literal["separable", "conv"], later("separable")] = "separable"
    depth: Annotated[int | None, later(None)] = None
    upsample: Annotated[Literal["bilinear", "nearest", "transposed"], later("bilinear")] = "bilinear"

    @property
    def features(self) -> tuple[Feature | Joined | ContextMap, ...]:
        """All maps that it merges into the running one."""
        return (self.feature, *self.others)


@dataclass(frozen=True)
class Head:
    """The classifier: `depth` convolutions of `channels`, then a 1x1 convolution to the classes.

    `upsample` is how its scores grow: by the bilinear resize to the answer's size alone, or twofold before it by a
    depthwise 3x3 and a pixel shuffle (arXiv:1609.05158), which learns to sharpen. Where the decoder ends with class
    scores already (FCN, DeepLab v2), `depth` is 0 and nothing is convolved again.
    """

    channels: int
    depth: int = 1
    block: str = "conv"
    dropout: float = 0.0
    upsample: Annotated[Literal["bilinear", "pixel_shuffle"], later("bilinear")] = "bilinear"


@dataclass(frozen=True)
class Auxiliary:
    """A second loss on the map `feature`, in training only (PSPNet, BiSeNet, ICNet)."""

    feature: Map
    weight: float
    channels: int


@dataclass(frozen=True)
class Architecture:
    """Everything needed to build a network. The decoder starts from the context of `paths[trunk]`.

    The network reads the image resized by `input_scale` and answers at the image's own size. Where it answers a mask,
    the classes are taken from scores at `answer_scale` of that size and repeated up to it.
    """

    paths: tuple[EncoderPath, ...]
    joins: tuple[Join, ...]
    head: Head
    auxiliary: tuple[Auxiliary, ...] = ()
    input_scale: float = 1.0
    trunk: int = 0
    answer_scale: Annotated[float, later(1.0)] = 1.0

    @property
    def learnt(self) -> Architecture:
        """What learns of it: where a file takes its classes is no matter of learning."""
        return replace(self, answer_scale=1.0)

    @property
    def output_stride(self) -> int:
        """Input size over the size of the trunk's last map, counted from what the trunk reads."""
        chain = self.paths[self.trunk]
        stride = chain.stem.stride if chain.stem else 1
        for stage in chain.stages:
            stride *= stage.stride
        return stride

    @property
    def ends_with_scores(self) -> bool:
        """Whether the last join, or the trunk's context where there is none, leaves class scores."""
        return self.scores(Joined(len(self.joins) - 1) if self.joins else ContextMap(self.trunk))

    def scores(self, feature: Feature | Joined | ContextMap) -> bool:
        """Whether a map holds class scores: what makes it has `channels` 0."""
        if isinstance(feature, Joined):
            return self.joins[feature.join].channels == 0
        if isinstance(feature, ContextMap):
            context = self.paths[feature.context].context
            return context.kind != "none" and context.channels == 0
        return False
