"""Somebody's own module as a network of ours: it is fed what it takes, and what it returns is read as class scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from segsearch.networks.network import Network
from segsearch.space.own import OwnNetwork, Pixels

# Of a mapping, the entry that holds the scores where nobody says which one.
NAMES = ("out", "logits")


@dataclass(frozen=True)
class Reading:
    """How a module's answer is read: the entry of a mapping or a sequence that holds the scores, None for a tensor.

    `binary`: it has one channel, the logit of the second of two classes.
    """

    entry: str | int | None = None
    binary: bool = False


@dataclass(frozen=True)
class Facts:
    """What was found of a module: the image that it was tried with, how its answer is read, and what is left alone.

    `kept` are layers whose channels nothing may take, `idle` parameters that its answer does not need.
    """

    size: tuple[int, int]
    reading: Reading = Reading()
    kept: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()


class OwnModule(Network):
    """A module that somebody brought, `inner`, behind the pixels that it takes.

    While it learns its layers do, and what holds layers stays as in evaluation: a `forward` that branches on
    `self.training` runs as it ships.
    """

    shift: Tensor
    factor: Tensor

    def __init__(self, inner: nn.Module, own: OwnNetwork, facts: Facts) -> None:
        super().__init__()
        self.inner = inner
        self.input_scale, self.answer_scale = own.input_scale, own.answer_scale
        self.reading, self.kept, self.idle = facts.reading, facts.kept, frozenset(facts.idle)
        self.example = facts.size
        self.flips = own.pixels.channels == "bgr"
        self.plain = own.pixels == Pixels(channels=own.pixels.channels)
        for name, values in zip(("shift", "factor"), own.pixels.of_stored, strict=True):
            self.register_buffer(name, torch.tensor(values).reshape(1, 3, 1, 1), persistent=False)

    @property
    def brought(self) -> nn.Module:  # type: ignore[override]
        return self.inner

    @property
    def protected(self) -> tuple[nn.Module, ...]:
        return tuple(self.get_submodule(name) for name in self.kept)

    def ships(self, parameter: str) -> bool:
        return parameter not in self.idle

    def train(self, mode: bool = True) -> OwnModule:
        self.training = mode
        for part in self.inner.modules():
            part.training = mode and not any(part.children())
        return self

    def scores(self, image: Tensor) -> Tensor:
        return self.read(self.inner(self.taken(image)))

    def taken(self, image: Tensor) -> Tensor:
        """The image as the module takes it: a tensor of its own, which the module may change."""
        # Plain memory: what somebody wrote may `view` it.
        image = image.contiguous()
        if self.flips:
            image = torch.cat([image[:, 2:3], image[:, 1:2], image[:, 0:1]], dim=1)
        return image.clone() if self.plain else (image - self.shift) * self.factor

    def read(self, answer: Any) -> Tensor:
        """The scores (n, classes, h, w) in what the module returned."""
        scores = entry_of(answer, self.reading.entry)
        # A softmax of (0, x) is the sigmoid of x.
        return torch.cat([torch.zeros_like(scores), scores], dim=1) if self.reading.binary else scores


def entry_of(answer: Any, entry: str | int | None) -> Tensor:
    """The tensor of an answer that an entry names. Raises `LookupError` or `TypeError` where there is none."""
    found = answer if entry is None else answer[entry]
    if not isinstance(found, Tensor):
        raise TypeError(f"it returned {type(found).__name__} where a tensor was expected")
    return found


def maps_in(answer: Any) -> Mapping[str | int, Tensor]:
    """The tensors of an answer that may be scores, by the entry that names them, in their order."""
    entries = answer.items() if isinstance(answer, Mapping) else enumerate(answer)
    return {key: value for key, value in entries if isinstance(value, Tensor) and value.ndim == 4}
