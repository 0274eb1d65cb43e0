"""Read a file of weights: tensors by name and nothing else, whoever wrote it. Nothing is ever unpickled."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from segsearch.errors import StudyError

# Under these names training scripts keep the state dict beside their optimizer's.
_INSIDE = ("state_dict", "model")
# What data-parallel training puts before every name.
_WRAPPED = "module."


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors or torch file, by name. Raises `StudyError` for anything else."""
    try:
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise StudyError(
            f"{path}: train.pretrained must name a file of weights that can be read, got: {error.strerror}; "
            "correct the path."
        ) from None
    found = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for name in _INSIDE:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not found:
        raise _no_state_dict(path, f"a {type(found).__name__}" if not isinstance(found, Mapping) else "an empty one")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _no_state_dict(path, f"{name!r}, which is a {type(value).__name__}")
    if all(name.startswith(_WRAPPED) for name in found):
        found = {name.removeprefix(_WRAPPED): value for name, value in found.items()}
    return dict(found)


def _read_safetensors(path: Path) -> Any:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _no_state_dict(path, f"no safetensors file ({_line(error)})") from None


def _read_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old files' ways; what matters is an error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise _no_state_dict(path, "objects, which are never unpickled") from None
    except Exception as error:  # a file of any kind, read by a reader of archives
        raise _no_state_dict(path, f"no file of torch's ({_line(error)})") from None


def _no_state_dict(path: Path, found: str) -> StudyError:
    return StudyError(
        f"{path}: train.pretrained must hold a state dict (tensors by name), got {found}; "
        "write one with torch.save(network.state_dict(), FILE) or safetensors."
    )


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120].rstrip(".")
