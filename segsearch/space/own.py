"""A network that somebody brought, as data: which file of it is kept, and what pixels it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from segsearch.space.keys import later
from segsearch.space.rules import demand

# What may be searched of it: steps before the export, and what the weights that ship are.
Way = Literal["prune", "factorize", "int8", "mixed", "trained"]
Three = tuple[float, float, float]


@dataclass(frozen=True)
class Pixels:
    """What a network takes of an image: (value - mean) / std of each channel, in the order of `channels`.

    `top` is what white is before that: 255 for pixels as they are stored, 1 for those that are divided by 255.
    """

    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    top: float = 255.0
    channels: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        demand(0 < self.top < math.inf, "Pixels.top must be positive", self.top, "255 is as stored, 1 is divided by it")
        fine = all(math.isfinite(value) for value in self.mean) and all(0 < value < math.inf for value in self.std)
        demand(fine, "Pixels.mean must be finite and std positive", (self.mean, self.std))

    @property
    def of_stored(self) -> tuple[Three, Three]:
        """(shift, factor) of each channel of pixels 0..255: (value - shift) * factor."""
        scale = self.top / 255.0
        shift = (self.mean[0] / scale, self.mean[1] / scale, self.mean[2] / scale)
        return shift, (scale / self.std[0], scale / self.std[1], scale / self.std[2])

    @property
    def words(self) -> str:
        """`RGB of 0 to 1, minus 0.485 0.456 0.406, over 0.229 0.224 0.225`."""
        words = [f"{self.channels.upper()} of 0 to {self.top:g}"]
        words += [f"minus {_numbers(self.mean)}"] if any(self.mean) else []
        words += [f"over {_numbers(self.std)}"] if self.std != (1.0, 1.0, 1.0) else []
        return ", ".join(words)


@dataclass(frozen=True)
class OwnNetwork:
    """A network that somebody brought: a module with its weights and sources, or an ONNX file, by its artifact's name.

    It stands where an `Architecture` would: what is searched is its compression alone. It sees the image resized by
    `input_scale`; where the file answers a mask, its classes are taken at `answer_scale` of the image's size.
    """

    artifact: str
    pixels: Pixels = Pixels()
    input_scale: float = 1.0
    answer_scale: Annotated[float, later(1.0)] = 1.0
    kind: Literal["own"] = "own"

    def __post_init__(self) -> None:
        demand(0.1 <= self.input_scale <= 1, "OwnNetwork.input_scale must lie in [0.1, 1]", self.input_scale)
        answer = self.answer_scale
        demand(answer in (1.0, 0.5, 0.25), "OwnNetwork.answer_scale must be 1, 0.5 or 0.25", answer)

    @property
    def learnt(self) -> OwnNetwork:
        """What learns of it: where a file takes its classes is no matter of learning."""
        return replace(self, answer_scale=1.0)

    @property
    def is_graph(self) -> bool:
        """Whether it is an ONNX file, of which no module can be made."""
        return self.artifact.endswith(".onnx")


def _numbers(values: Three) -> str:
    alike = len(set(values)) == 1
    return " ".join(f"{value:g}" for value in values[: 1 if alike else 3])
