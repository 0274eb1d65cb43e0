"""The small files that a study names, lists of splits and of classes: read once, and kept with the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from segsearch.errors import DataError
from segsearch.settings.data import DataSettings

# From the words in a study that name a file (`lists/train.txt`) to what the file holds.
Texts = Mapping[str, str]


def is_list(split: str) -> bool:
    """Whether a split's name means a list file, not a folder."""
    return split.endswith(".txt")


def texts_of(settings: DataSettings) -> dict[str, str]:
    """All small files that the settings name, by their words. Raises `DataError` where one cannot be read."""
    if settings.kind != "folders":
        return {}
    root = root_of(settings)
    splits = [split for split in (settings.train, settings.validation, settings.test) if split and is_list(split)]
    texts = {split: read_list(root / split) for split in splits}
    return {**texts, settings.classes: read_names(root / settings.classes)}


def root_of(settings: DataSettings) -> Path:
    """The folder of the data. Raises `DataError` where there is none."""
    root = Path(settings.root or "")
    if not root.is_dir():
        raise DataError(f"{root}: data.root must be a folder with images and masks, got none there; correct the path.")
    return root


def read_list(path: Path) -> str:
    """A split's list. Raises `DataError`."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: the list of a split must be there, got no such file; add it.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the list of a split must be UTF-8 text, got: {error}; rewrite it.") from None


def read_names(path: Path) -> str:
    """The classes' names. Raises `DataError`."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(
            f"{path}: the classes' names must be listed, one a line in the order of the mask values, got no such file; "
            "write it, or name another in data.classes."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the classes' names must be UTF-8 text, got: {error}; rewrite it.") from None
