"""What is searched: an architecture, how it is trained, and the compression before and after export."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, Protocol

from pydantic import BeforeValidator, PlainSerializer
from pydantic import Field as Stored

from segsearch.space.keys import content_key
from segsearch.space.rules import demand, demand_step


class Draw(Protocol):
    """A source of choices. `optuna.Trial`, `optuna.trial.FixedTrial` and `Named` all are one."""

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int: ...

    def suggest_float(self, name: str, low: float, high: float, /, *, step: float | None = None) -> float: ...

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> Any: ...


@dataclass(frozen=True)
class Feature:
    """A map that an encoder leaves: the output of `stage` (0 is the stem) of `path`."""

    path: int
    stage: int


@dataclass(frozen=True)
class Joined:
    """The map that a join of the decoder leaves, by the join's index."""

    join: int


def _joined_of_old(value: Any) -> Any:
    """What a join leaves is stored as a stage of path -1."""
    if isinstance(value, Mapping) and value.get("path") == -1:
        return {"join": value["stage"]}
    return value


def _as_stored(value: Feature | Joined) -> dict[str, int]:
    path, stage = (-1, value.join) if isinstance(value, Joined) else (value.path, value.stage)
    return {"path": path, "stage": stage}


# What a join or an auxiliary loss may read. Databases keep one form for both, and content keys are made of it.
Map = Annotated[Feature | Joined, BeforeValidator(_joined_of_old), PlainSerializer(_as_stored)]


def later(default: Any) -> Any:
    """Mark of a field that came later: its default is not written, so that what was stored before keeps its keys."""
    return Stored(exclude_if=lambda value: value == default)


# What an exported file says of an image: the class of each pixel, or the scores of all classes.
Output = Literal["mask", "scores"]


@dataclass(frozen=True)
class Stem:
    """The first convolutions of a path: `depth` of them, the first ones with stride 2 until `stride` is reached."""

    channels: int
    stride: int = 2
    kernel: int = 3
    depth: int = 1


@dataclass(frozen=True)
class Stage:
    """`depth` blocks of one type; the first one carries the stride.

    `atrous` holds one rate for each block, cycled (multi-grid, DeepLab v3); a block with parallel
    branches (ESPNetv2's EESP) reads it as the rates of its branches instead. `expansion` is inner over
    outer width. `downsample` says how the stride is made: by the convolution, or by pooling (VGG, DenseNet).
    `reinforce` adds the resized input image to the output (ESPNetv2's long-range shortcut).
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


@dataclass(frozen=True)
class Context:
    """What gathers context at the end of a path: pyramid pooling with bins, or ASPP with atrous rates."""

    kind: str = "none"
    channels: int = 0
    bins: tuple[int, ...] = ()
    rates: tuple[int, ...] = ()
    image_pool: bool = False


@dataclass(frozen=True)
class EncoderPath:
    """One chain of stages. It reads the image resized by `scale`, or another path's map resized by it."""

    stem: Stem | None
    stages: tuple[Stage, ...]
    context: Context = Context()
    source: Feature | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Join:
    """One step of the decoder: bring the running map to the size of `feature` and merge the two.

    kinds: `add` and `concat` (skips of U-Net and DeepLab v3+), `score` (FCN: class scores are added),
    `attention` and `fuse` (BiSeNet), `cascade` (ICNet). `reduce` is the width the feature is brought to first.
    """

    kind: str
    feature: Map
    channels: int
    reduce: int = 0


@dataclass(frozen=True)
class Head:
    """The classifier: `depth` convolutions of `channels`, then a 1x1 convolution to the classes.

    `upsample` is how its scores grow: by the bilinear resize to the answer's size alone, or twofold before it by a
    depthwise 3x3 and a pixel shuffle (arXiv:1609.05158), which learns to sharpen.
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
    def output_stride(self) -> int:
        """Input size over the size of the trunk's last map, counted from what the trunk reads."""
        chain = self.paths[self.trunk]
        stride = chain.stem.stride if chain.stem else 1
        for stage in chain.stages:
            stride *= stage.stride
        return stride


@dataclass(frozen=True)
class Distill:
    """Learning from a teacher: `weight` of the soft loss, in [0, 1]; `temperature` > 0.

    `pixel` compares the classes of each pixel (Hinton's, arXiv:1503.02531), `channel` where each class is thought to be
    (channel-wise, arXiv:2011.13256).
    """

    weight: float
    temperature: float = 1.0
    kind: Annotated[Literal["pixel", "channel"], later("pixel")] = "pixel"

    def __post_init__(self) -> None:
        demand(0 <= self.weight <= 1, "Distill.weight must lie in [0, 1]", self.weight, "use 0 for no distillation")
        demand(0 < self.temperature < 1e3, "Distill.temperature must lie in (0, 1000)", self.temperature, "1 is plain")


@dataclass(frozen=True)
class Prune:
    """Structured pruning of the channel groups of least magnitude; `ratio` of each group goes."""

    ratio: float
    criterion: Literal["l1", "l2"] = "l1"
    round_to: int = 8
    kind: Literal["prune"] = "prune"

    def __post_init__(self) -> None:
        demand(0 <= self.ratio < 1, "Prune.ratio must lie in [0, 1)", self.ratio, "use 0 for no pruning")
        demand(self.round_to >= 1, "Prune.round_to must be at least 1", self.round_to, "8 keeps runtimes fast")

    @property
    def idle(self) -> bool:
        """Whether the step changes nothing."""
        return self.ratio == 0

    @property
    def words(self) -> str:
        return f"pruned {self.ratio:.0%} by {self.criterion}"

    def left(self, channels: int, *, multiple: int) -> int:
        """Channels left of a layer: the multiple nearest to its share, at least one; all where it is smaller."""
        share = channels * (1 - self.ratio) / multiple
        return min(channels, max(1, math.floor(share + 0.5)) * multiple)


@dataclass(frozen=True)
class Quantize:
    """Static QDQ quantization to int8, weights per channel and symmetric.

    Symmetric activations are unsigned about 128; `signed` ones, as studies of recipe 1 have them, leave many of ONNX
    Runtime's convolutions in float.

    `reduced_range` keeps the weights within 7 of the 8 bits. Processors with AVX2 or AVX-512 but without VNNI add two
    products in 16 bits, which saturate with full-range weights: the file would be right on one machine and wrong on
    another.
    """

    bits: Literal[8] = 8
    symmetric_activations: bool = False
    reduced_range: bool = True
    kind: Literal["quantize"] = "quantize"
    signed: Annotated[bool, later(False)] = False

    @property
    def words(self) -> str:
        return f"int{self.bits}{' symmetric' if self.symmetric_activations else ''}"


# A compression step stands before the export or after it by its type: the wrong order does not type-check.
BeforeExport = Prune
AfterExport = Quantize


@dataclass(frozen=True)
class Candidate:
    """One point of a search space."""

    architecture: Architecture
    distill: Distill | None = None
    before_export: tuple[BeforeExport, ...] = ()
    after_export: tuple[AfterExport, ...] = ()

    @property
    def key(self) -> str:
        """Content key: equal candidates have equal keys, on every machine."""
        return content_key(self)

    @cached_property
    def bits(self) -> int:
        """Bit width of the weights that ship."""
        return min((step.bits for step in self.after_export), default=32)


@dataclass(frozen=True)
class Named:
    """A `Draw` that answers from named values: a stored candidate's, or a teacher's in a study file.

    Raises `KeyError` for a parameter without a value and `ValueError` for one outside its range.
    """

    values: Mapping[str, Any] = field(default_factory=dict)

    def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{name} must be a whole number in [{low}, {high}], got {value!r}")
        demand_step(name, value, low, step)
        return value

    def suggest_float(self, name: str, low: float, high: float, /, *, step: float | None = None) -> float:
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ValueError(f"{name} must be a number in [{low}, {high}], got {value!r}")
        demand_step(name, value, low, step)
        return float(value)

    def suggest_categorical(self, name: str, choices: Sequence[str], /) -> Any:
        value = self.values[name]
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")
        return value
