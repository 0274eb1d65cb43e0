"""Which known network a state dict is of, by its keys and their shapes; or why it is none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from segsearch.errors import StudyError
from segsearch.networks import Assembled
from segsearch.pretrained.families import LAYOUTS
from segsearch.pretrained.layouts import Key, Layout

State = Mapping[str, Tensor]
Shape = tuple[int, ...]

# A parent has a head like every network, and nobody reads it.
CLASSES = 2
# What torch counts beside a batch norm's statistics: old files lack it, and nothing needs it.
_COUNTER = ".num_batches_tracked"
_NORM = ("weight", "bias", "running_mean", "running_var")
# A file that shares less than this of its keys with the nearest network is of none of them.
_NEAR = 0.5


def recognise(state: State, *, where: str) -> Layout:
    """The layout that has the keys and shapes of a state dict; layers that classify may be there or not.

    Raises `StudyError` with the first difference from the nearest one.
    """
    own = {key: tuple(value.shape) for key, value in state.items() if not key.endswith(_COUNTER)}
    shares = [_share(layout, own) for layout in LAYOUTS]
    # Several networks have the same keys: their shapes tell them apart.
    fits = [_fit(layout, own, share) for layout, share in zip(LAYOUTS, shares, strict=True) if share == max(shares)]
    nearest = min(fits, key=lambda fit: len(fit.wrong))
    if not (nearest.missing or nearest.foreign or nearest.wrong):
        return nearest.layout
    name = nearest.layout.name
    if nearest.foreign and nearest.share < _NEAR:
        known = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
        raise StudyError(
            f"{where}: train.pretrained must hold the weights of a known network, got keys of another, such as "
            f"{min(set(nearest.foreign))!r}; take a file of one of these: {known}."
        )
    if nearest.foreign or nearest.wrong:
        first = min(nearest.foreign or nearest.wrong)
        found = f"{first!r}, which that has not"
        if first in nearest.wrong:
            got, expected = nearest.wrong[first]
            found = f"{first!r} of shape {got} in place of {expected}"
        raise StudyError(
            f"{where}: the nearest known network is {name}, and this is another one: got {found}; take a file of "
            f"{name} itself."
        )
    more = f" and {len(nearest.missing) - 1} more of its keys" if len(nearest.missing) > 1 else ""
    raise StudyError(
        f"{where}: a file of {name} must hold its whole encoder, and it lacks {min(nearest.missing)!r}{more}; take a "
        "file that is whole."
    )


@dataclass(frozen=True)
class _Fit:
    """How a state dict differs from a layout: keys it lacks, keys of its own, shapes (its, the layout's).

    `share` is that of the keys they have in common, of all that either has.
    """

    layout: Layout
    missing: Collection[str]
    foreign: Collection[str]
    wrong: Mapping[str, tuple[Shape, Shape]]
    share: float


def _share(layout: Layout, own: Mapping[str, Shape]) -> float:
    expected = {name for key in layout.convolutions() for name in names_of(key, layout)}
    return len(expected & own.keys()) / len(expected | _foreign(layout, own, expected))


def _foreign(layout: Layout, own: Mapping[str, Shape], expected: Collection[str]) -> set[str]:
    return {key for key in own if key not in expected and not key.startswith(layout.unused)}


def _fit(layout: Layout, own: Mapping[str, Shape], share: float) -> _Fit:
    expected = expected_shapes(layout)
    wrong = {key: (own[key], shape) for key, shape in expected.items() if key in own and own[key] != shape}
    return _Fit(layout, expected.keys() - own.keys(), _foreign(layout, own, expected), wrong, share)


def expected_shapes(layout: Layout) -> dict[str, Shape]:
    """Every key that a file of a layout must have for our network, and its tensor's shape."""
    with torch.device("meta"):
        network = Assembled(layout.architecture, CLASSES)
    shapes: dict[str, Shape] = {}
    for key in layout.convolutions():
        if key.layer.conv is not None:
            weight = network.get_parameter(f"{key.layer.conv}.weight")
            shapes |= {f"{key.conv}.weight": tuple(weight.shape), f"{key.conv}.bias": tuple(weight.shape[:1])}
        if key.norm is not None:
            size = tuple(network.get_parameter(f"{key.layer.norm}.weight").shape)
            shapes |= {f"{key.norm}.{kind}": size for kind in _NORM}
    return {name: shapes[name] for key in layout.convolutions() for name in names_of(key, layout)}


def names_of(key: Key, layout: Layout) -> tuple[str, ...]:
    """What a file calls the tensors of a convolution and of its norm."""
    names: list[str] = []
    if key.layer.conv is not None:
        names.append(f"{key.conv}.weight")
        if key.layer.biased or layout.biased:
            names.append(f"{key.conv}.bias")
    if key.norm is not None:
        names += [f"{key.norm}.{kind}" for kind in _NORM]
    return tuple(names)
