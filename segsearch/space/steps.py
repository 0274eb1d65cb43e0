"""How a candidate is taught and compressed: distillation, and the steps before and after the export."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from segsearch.space.keys import later
from segsearch.space.rules import demand

# What of a teacher's scores is learned: the classes of each pixel, the places of each class, or how places pair.
Teaches = Literal["pixel", "channel", "pairs"]
# The literature adds losses that are said on top of the labels with weights up to 10 or so.
MOST_WEIGHT = 100


@dataclass(frozen=True)
class Distill:
    """Learning from a teacher: `weight` of the soft loss; `temperature` > 0.

    `pixel` compares the classes of each pixel (Hinton's, arXiv:1503.02531) in place of a share of the labels: its
    weight lies in [0, 1]. `channel` compares where each class is thought to be (channel-wise, arXiv:2011.13256) and
    `pairs` which places are alike (pair-wise, arXiv:1903.04197), both on top of the labels: weights up to 100.

    The teacher speaks once the share `after` of the training's steps is done, in [0, 1); before that the labels are
    alone. What is trained after a pruning hears it from the beginning.
    """

    weight: float
    temperature: float = 1.0
    kind: Annotated[Teaches, later("pixel")] = "pixel"
    after: Annotated[float, later(0.0)] = 0.0

    def __post_init__(self) -> None:
        most = 1 if self.kind == "pixel" else MOST_WEIGHT
        demand(
            0 <= self.weight <= most,
            f"Distill.weight must lie in [0, {most}]",
            self.weight,
            "use 0 for no distillation",
        )
        demand(0 < self.temperature < 1e3, "Distill.temperature must lie in (0, 1000)", self.temperature, "1 is plain")
        demand(0 <= self.after < 1, "Distill.after must lie in [0, 1)", self.after, "0 teaches from the first step")

    @property
    def words(self) -> str:
        how = {"pixel": "", "channel": " by channel", "pairs": " by pairs"}[self.kind]
        begins = f" after {self.after:.0%}" if self.after else ""
        return f"taught {self.weight:.2g} at T {self.temperature:.2g}{how}{begins}"


Criterion = Literal["l1", "l2", "batch_norm", "taylor", "activation", "zeros", "random"]


@dataclass(frozen=True)
class Prune:
    """Structured pruning of the channel groups that count least; `ratio` of each group goes.

    `criterion` is the magnitude of weights (`l1`, `l2`), the scale of the batch norm that follows, what the loss would
    change by to first order (`taylor`), the mean absolute value after the activation, the share of it that is not zero
    (`zeros`), or chance.
    """

    ratio: float
    criterion: Criterion = "l1"
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
        return f"pruned {self.ratio:.0%} by {self.criterion.replace('_', ' ')}"

    @property
    def looks(self) -> bool:
        """Whether the choice depends on what training images do in the network."""
        return self.criterion in ("taylor", "activation", "zeros")

    def left(self, channels: int, *, multiple: int) -> int:
        """Channels left of a layer: the multiple nearest to its share, at least one; all where it is smaller."""
        share = channels * (1 - self.ratio) / multiple
        return min(channels, max(1, math.floor(share + 0.5)) * multiple)


@dataclass(frozen=True)
class Factorize:
    """Low-rank factorization: a convolution becomes two or three with fewer channels between them.

    `ratio` of its channels is the rank. A layer is factorised that has `least_macs` multiply-accumulates for each pixel
    that it makes (a 1x1 of 64 channels, a 3x3 of 24) and of which `least_saving` fall: less than that saves no time.
    """

    ratio: float
    least_macs: int = 4096
    least_saving: float = 0.3
    round_to: int = 8
    kind: Literal["factorize"] = "factorize"

    def __post_init__(self) -> None:
        demand(0 < self.ratio <= 1, "Factorize.ratio must lie in (0, 1]", self.ratio, "use 1 for no factorization")
        demand(self.least_macs >= 0, "Factorize.least_macs must be at least 0", self.least_macs)
        saving = self.least_saving
        demand(0 <= saving < 1, "Factorize.least_saving must lie in [0, 1)", saving, "0 takes whatever saves at all")
        demand(self.round_to >= 1, "Factorize.round_to must be at least 1", self.round_to, "8 keeps runtimes fast")

    @property
    def idle(self) -> bool:
        """Whether the step changes nothing."""
        return self.ratio == 1

    @property
    def looks(self) -> bool:
        return False

    @property
    def words(self) -> str:
        return f"factorized to rank {self.ratio:.0%}"

    def rank(self, full: int) -> int:
        """Rank left of a full one: the multiple nearest to its share, at least one; all where it is smaller."""
        return min(full, max(1, math.floor(full * self.ratio / self.round_to + 0.5)) * self.round_to)


@dataclass(frozen=True)
class Quantize:
    """Static QDQ quantization to int8, weights per channel and symmetric.

    Symmetric activations are unsigned about 128; `signed` ones, as studies of recipe 1 have them, leave many of ONNX
    Runtime's convolutions in float.

    `reduced_range` keeps the weights within 7 of the 8 bits. Processors with AVX2 or AVX-512 but without VNNI add two
    products in 16 bits, which saturate with full-range weights: the file would be right on one machine and wrong on
    another.

    What lies within the first `float_convolutions` of a path from the image stays in float. The first maps have few
    channels of very different ranges and many pixels: their rounding is amplified by what follows, and their time is
    mostly memory's.

    With a `tolerance`, in (0, 1), layers are given back to float by measurement: those that gain most mIoU for a
    millisecond of the study's machine, until no more than that is expected to be lost. They are chosen on training
    images.

    `tail` is the share of the trial's optimizer steps that the weights learn on inside the quantized graph, in [0, 1)
    and on top of them: a float twin still shares the training. 0 is none.

    `correct_bias` moves each bias by how far rounding moves the mean of its channel on the calibration images. It takes
    some seconds, and gives back most of what a network loses that is int8 from its first convolution on.
    """

    bits: Literal[8] = 8
    symmetric_activations: bool = False
    reduced_range: bool = True
    kind: Literal["quantize"] = "quantize"
    signed: Annotated[bool, later(False)] = False
    float_convolutions: Annotated[int, later(0)] = 0
    tail: Annotated[float, later(0.0)] = 0.0
    tolerance: Annotated[float | None, later(None)] = None
    correct_bias: Annotated[bool, later(False)] = False

    def __post_init__(self) -> None:
        found, most = self.float_convolutions, self.tolerance
        demand(found >= 0, "Quantize.float_convolutions must be at least 0", found, "0 quantizes all of them")
        demand(most is None or 0 < most < 1, "Quantize.tolerance must lie in (0, 1)", most, "leave it out for none")
        both = most is not None and found > 0
        demand(not both, "Quantize.tolerance chooses what stays in float, float_convolutions must be 0", found)
        demand(0 <= self.tail < 1, "Quantize.tail must lie in [0, 1)", self.tail, "use 0 for no training in int8")

    @property
    def words(self) -> str:
        symmetric = " symmetric" if self.symmetric_activations else ""
        begun = f" after {self.float_convolutions} convolutions" if self.float_convolutions else ""
        if self.tolerance is not None:
            begun = f" but for layers in float, to lose {self.tolerance:.2g} at most"
        tail = f" with a trained tail of {self.tail:.0%}" if self.tail else ""
        return f"int{self.bits}{symmetric}{begun}{', biases corrected' if self.correct_bias else ''}{tail}"


@dataclass(frozen=True)
class StoreWeights:
    """Weights stored in fewer bits and computed with as 32-bit floats: for the size of the file alone.

    16 bits are floats: half the size, and as quick, for the runtime expands them once when it opens the file. In 4 bits
    are weights of many inputs by blocks of 16, with a scale for each block, and in 8 bits those of few inputs, as of
    depthwise convolutions, or of others than whole blocks: a quarter of the size or less. To ONNX Runtime they are no
    constants: it expands them in every run and keeps their convolutions out of its fast layout, so that the file is
    about half as quick. int8 (`Quantize`) is smaller than the former and quicker than both.
    """

    bits: Literal[16, 4] = 16
    kind: Literal["store_weights"] = "store_weights"

    def __post_init__(self) -> None:
        demand(self.bits in (16, 4), "StoreWeights.bits must be 16 or 4", self.bits, "Quantize makes int8 files")

    @property
    def words(self) -> str:
        return "weights stored as 16-bit floats" if self.bits == 16 else "weights stored in 4 and 8 bits"


# A compression step stands before the export or after it by its type: the wrong order does not type-check.
BeforeExport = Prune | Factorize
AfterExport = Quantize | StoreWeights
