"""A training between two of its steps, as one file: what a killed one goes on from, bit by bit."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from segsearch.workshop import raise_if_full

# A training is kept so often, and no more often than costs this share of its time: a kill loses little, a save less.
CHECKPOINT_SECONDS = 15.0
CHECKPOINT_SHARE = 0.01


@dataclass(frozen=True)
class Look:
    """What a training was found to be at a step: the mean loss since the last look, and the mIoU of its weights."""

    step: int
    loss: float
    miou: float


@dataclass(frozen=True)
class Keep:
    """Where a training is kept between its steps: `path`, by the `key` of everything that settles it."""

    path: Path
    key: str
    seconds: float = CHECKPOINT_SECONDS

    def due(self, passed: float, took: float) -> bool:
        """Whether to save, so many seconds after the last save, which `took` seconds; after each step where it is 0."""
        return self.seconds == 0 or passed >= max(self.seconds, took / CHECKPOINT_SHARE)


@dataclass(frozen=True)
class Stand:
    """How far a training is: steps done, the loss of each, what the looks found, and the seconds that it took."""

    step: int
    losses: list[float]
    looks: list[Look]
    seconds: float


def save(
    keep: Keep,
    stand: Stand,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: Mapping[str, Tensor] | None,
) -> None:
    """Write all of it, whole or not at all; `averaged` are the weights' means. Raises `StorageFull` without room."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for index, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{index}.{name}"] = value
    for name, value in (averaged or {}).items():
        tensors[f"averaged.{name}"] = value
    for name, value in _random_states().items():
        tensors[f"random.{name}"] = value
    tensors["losses"] = torch.tensor(stand.losses, dtype=torch.float64)
    looks = json.dumps([asdict(look) for look in stand.looks])
    about = {"key": keep.key, "step": str(stand.step), "seconds": repr(stand.seconds), "looks": looks}
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    content = safetensors.torch.save(plain, about)
    handle, temporary = -1, ""
    try:
        # Named as what killed processes leave, which the artifacts sweep.
        handle, temporary = tempfile.mkstemp(prefix=".tmp-", suffix=".safetensors", dir=keep.path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, keep.path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise_if_full(error, keep.path.parent)
        raise


def restore(
    keep: Keep,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: dict[str, Tensor] | None,
) -> Stand | None:
    """Put a kept training back in place; None, and nothing touched, where there is none of that key."""
    found = _read(keep)
    if found is None:
        return None
    tensors, about = found
    parameters = _parameters(optimizer)
    wanted = {f"network.{name}" for name in network.state_dict()} | {f"averaged.{name}" for name in averaged or {}}
    if not wanted <= tensors.keys():
        return None
    network.load_state_dict(_part(tensors, "network."), strict=True)
    for index, parameter in enumerate(parameters):
        for name, value in _part(tensors, f"optimizer.{index}.").items():
            # In the memory order that the optimizer would have chosen: another takes other instructions.
            alike = value.shape == parameter.shape
            own = torch.empty_like(parameter, dtype=value.dtype) if alike else torch.empty_like(value)
            optimizer.state[parameter][name] = own.detach().copy_(value)
    if averaged is not None:
        for name, value in averaged.items():
            value.copy_(tensors[f"averaged.{name}"])
    torch.set_rng_state(tensors["random.cpu"])
    if "random.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random.cuda"])
    looks = [Look(**look) for look in json.loads(about["looks"])]
    return Stand(int(about["step"]), tensors["losses"].tolist(), looks, float(about["seconds"]))


def _read(keep: Keep) -> tuple[dict[str, Tensor], Mapping[str, str]] | None:
    """The file's tensors and words; None where it is not there, damaged, or another training's."""
    try:
        with safetensors.safe_open(keep.path, framework="pt") as opened:
            about: Mapping[str, str] = opened.metadata() or {}
            if about.get("key") != keep.key:
                return None
            return {name: opened.get_tensor(name) for name in opened.keys()}, about  # noqa: SIM118 (no mapping)
    except (OSError, safetensors.SafetensorError):
        return None


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _parameters(optimizer: torch.optim.Optimizer) -> list[Any]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _random_states() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["cuda"] = torch.cuda.get_rng_state()
    return states
