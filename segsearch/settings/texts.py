"""The small files that a study names, lists of splits and of classes: read once, and kept with the run."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

from segsearch.errors import DataError, StudyError
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
    return {words: _read(root, key, words) for key, words in _named(settings).items()}


def carried_on(settings: DataSettings, begun: DataSettings, kept: Texts) -> tuple[DataSettings, dict[str, str]]:
    """The settings of a study under way with its words for its lists, and these lists.

    A list that lies elsewhere now is the same one where it says the same, and one that is gone is the kept one: the
    study's own folder may have moved. Raises `StudyError` where a list that lies elsewhere says something else.
    """
    if settings.kind != "folders":
        return settings, {}
    root, before = root_of(settings), _named(begun)
    changes, texts = dict[str, str](), dict[str, str]()
    for key, words in _named(settings).items():
        was = before.get(key)
        if was is None or was not in kept:
            texts[words] = _read(root, key, words)
        elif words == was:
            texts[words] = _read(root, key, words) if (root / words).exists() else kept[was]
        else:
            _demand_same_lines(_read(root, key, words), kept[was], key=key, path=root / words, was=was)
            changes[key], texts[was] = was, kept[was]
    return settings.model_copy(update=changes), texts


def _demand_same_lines(text: str, kept: str, *, key: str, path: Path, was: str) -> None:
    now, then = ([line.strip() for line in one.rstrip().splitlines()] for one in (text, kept))
    for number, (line, other) in enumerate(zip_longest(now, then), start=1):
        if line != other:
            found, known = ("nothing" if one is None else repr(one) for one in (line, other))
            raise StudyError(
                f"{path}: a study is carried on as it began; line {number} of data.{key} is {found}, and {known} in "
                f"{was}, which was kept. Name a list that says the same, or give the study another name or --out."
            )


def _named(settings: DataSettings) -> dict[str, str]:
    """The words of the settings that name files, by their keys."""
    splits = {"train": settings.train, "validation": settings.validation, "test": settings.test}
    return {**{key: words for key, words in splits.items() if words and is_list(words)}, "classes": settings.classes}


def _read(root: Path, key: str, words: str) -> str:
    return read_names(root / words) if key == "classes" else read_list(root / words)


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
