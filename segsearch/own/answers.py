"""What somebody's module answers to an image: which entry holds the scores, and whether they are of the classes."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from segsearch.errors import StudyError
from segsearch.networks.own import NAMES, Reading, entry_of, maps_in

# Sizes that networks ask for: multiples of what they halve.
_GRIDS = (8, 16, 32, 64)


def noise(size: tuple[int, int], *, images: int = 1) -> Tensor:
    """Images (n, 3, height, width) of about the range that most networks take."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(images, 3, *size, generator=generator) * 4 - 2


def looked_at(
    module: nn.Module, shown: str, *, size: tuple[int, int], classes: int, entry: str | int | None
) -> tuple[Reading, list[str]]:
    """How its answer is read, and what to say of it."""
    _demand_one_input(module, shown)
    answer, seconds = _asked(module, shown, size)
    found, notes = _entry(answer, shown, entry)
    scores = entry_of(answer, found)
    binary = demand_scores(scores, shown, size=size, classes=classes, first=lambda: _first_not_finite(module, size))
    if binary:
        notes.append("its one channel is read as the logit of class 1 of 2 (above 0 is class 1)")
    height, width = scores.shape[-2:]
    if (height, width) != size:
        notes.append(f"its scores are {height}x{width} for {size[0]}x{size[1]}: they are resized, bilinearly")
    with torch.no_grad():
        again = entry_of(module(noise(size)), found)
    if not torch.equal(again, scores):
        raise StudyError(
            f"{shown} must answer alike each time in evaluation, and two answers to one image differ by up to "
            f"{float((again - scores).abs().max()):.3g}; look for a dropout that is always on."
        )
    if seconds > 3:
        notes.append(f"one image took {seconds:.1f} s: each trial scores all validation images; --size makes it less")
    return Reading(found, binary), notes


def _demand_one_input(module: nn.Module, shown: str) -> None:
    try:
        places = list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        return
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    asked = [one.name for one in places if one.default is one.empty and one.kind in plain]
    asked += [one.name for one in places if one.default is one.empty and one.kind is one.KEYWORD_ONLY]
    if len(asked) > 1:
        raise StudyError(
            f"{shown} must return a network of one input, an image, and its forward takes {len(asked)}: "
            f"{', '.join(asked)}; return a module that makes the others itself."
        )


def _asked(module: nn.Module, shown: str, size: tuple[int, int]) -> tuple[Any, float]:
    """Its answer to an image, and the seconds that it took."""
    convolutions: list[tuple[nn.Conv2d, Tensor]] = []

    def see(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(layer, nn.Conv2d) and inputs and isinstance(inputs[0], Tensor):
            convolutions.append((layer, inputs[0]))

    hooks = [part.register_forward_pre_hook(see) for part in module.modules()]
    try:
        began = time.perf_counter()
        with torch.no_grad():
            return module(noise(size)), time.perf_counter() - began
    except Exception as error:
        if len(convolutions) == 1 and convolutions[0][0].in_channels != 3:
            raise StudyError(
                f"{shown} must take images of 3 channels, RGB, and its first convolution takes "
                f"{convolutions[0][0].in_channels}; return a module that makes these of the three."
            ) from None
        other = _size_that_works(module, size)
        height, width = size
        if other is not None:
            raise StudyError(
                f"{shown} takes no image of {height}x{width} ({_short(error)}), and it takes {other[0]}x{other[1]}: "
                f"add --size {other[0]}x{other[1]}."
            ) from None
        raise
    finally:
        for hook in hooks:
            hook.remove()


def _size_that_works(module: nn.Module, size: tuple[int, int]) -> tuple[int, int] | None:
    """The nearest multiples that it takes in place of a size."""
    tried = {size}
    for grid in _GRIDS:
        height, width = (max(grid, round(side / grid) * grid) for side in size)
        if (height, width) in tried:
            continue
        tried.add((height, width))
        try:
            with torch.no_grad():
                module(noise((height, width)))
        except Exception:
            continue
        return height, width
    return None


def _entry(answer: Any, shown: str, wanted: str | int | None) -> tuple[str | int | None, list[str]]:
    """Which entry of an answer holds the scores, and what to say of it."""
    if isinstance(answer, Tensor):
        if wanted is not None:
            raise StudyError(f"{shown} returns a tensor, and --answer {wanted} is for one that returns several.")
        return None, []
    if not isinstance(answer, (Mapping, list, tuple)):
        raise StudyError(
            f"{shown} must answer with a tensor, or with a dict, list or tuple of them, got {type(answer).__name__}."
        )
    maps = maps_in(answer)
    kind = "dict" if isinstance(answer, Mapping) else type(answer).__name__
    if not maps:
        raise StudyError(f"{shown} must answer with scores (n, classes, height, width); its {kind} holds none.")
    named = ", ".join(f"{key} {'x'.join(map(str, value.shape[1:]))}" for key, value in maps.items())
    if wanted is not None:
        keys = {str(key): key for key in maps}
        if str(wanted) not in keys:
            raise StudyError(f"{shown}: --answer must name a map of what it returns ({named}), got {wanted}.")
        return keys[str(wanted)], []
    chosen = next((name for name in NAMES if name in maps), next(iter(maps)))
    if len(maps) == 1:
        return chosen, [f"it returns a {kind}, of which {chosen!r} is the only map"]
    return chosen, [f"it returns a {kind} of {len(maps)} maps ({named}): {chosen!r} is taken; --answer takes another"]


def demand_scores(
    scores: Tensor, shown: str, *, size: tuple[int, int], classes: int, first: Callable[[], str], learns: bool = True
) -> bool:
    """Whether these are one logit for two classes. Raises `StudyError` where they are no scores of the data's classes.

    `first` tells where numbers that are not finite begin; what `learns` must answer with logits.
    """
    rule = f"{shown} must answer with float scores (n, {classes}, height, width)"
    if scores.ndim != 4 or not scores.is_floating_point():
        what = f"{'x'.join(map(str, scores.shape))} of {str(scores.dtype).removeprefix('torch.')}"
        cure = "return the scores before the argmax" if not scores.is_floating_point() else "return the map of scores"
        raise StudyError(f"{rule}, got {what}; {cure}.")
    if not bool(torch.isfinite(scores).all()):
        raise StudyError(f"{rule} that are finite, got NaN or infinity, {first()}.")
    found = scores.shape[1]
    binary = found == 1 and classes == 2
    if found != classes and not binary:
        last = ", its channels must come second" if scores.shape[-1] == classes else ""
        raise StudyError(
            f"{shown} tells {found} classes apart, and the data set has {classes}{last}; they must be one."
        )
    low, high = float(scores.min()), float(scores.max())
    if low >= 0 and high <= 1 and (binary or learns):
        sums = scores.sum(dim=1)
        last = "softmax" if not binary and bool((sums - 1).abs().max() < 1e-3) else "sigmoid"
        raise StudyError(
            f"{shown} must answer with logits, got what a {last} made of them (0 to 1); leave the {last} out: the mask "
            "is the same, sooner."
        )
    if not _fits(scores.shape[-2:], size):
        height, width = scores.shape[-2:]
        raise StudyError(
            f"{shown} must answer for the whole image, at its size or a whole fraction of it; it answers "
            f"{height}x{width} for {size[0]}x{size[1]}. Pad its convolutions, or resize inside."
        )
    return binary


def _fits(found: Iterable[int], size: tuple[int, int]) -> bool:
    """Whether a map covers an image: each side divided by the same whole number, rounded either way."""
    pairs = list(zip(found, size, strict=True))
    return any(all(side // step <= one <= -(-side // step) for one, side in pairs) for step in range(1, 129))


def _first_not_finite(module: nn.Module, size: tuple[int, int]) -> str:
    """Where it begins, in words."""
    found: list[str] = []

    def look(name: str) -> Any:
        def see(part: nn.Module, inputs: Any, answer: Any) -> None:
            if isinstance(answer, Tensor) and not found and not bool(torch.isfinite(answer).all()):
                found.append(name)

        return see

    hooks = [part.register_forward_hook(look(name)) for name, part in module.named_modules() if name]
    with torch.no_grad():
        module(noise(size))
    for hook in hooks:
        hook.remove()
    return f"first from the layer {found[0]}" if found else "on an image of noise"


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120].rstrip('.')}"
