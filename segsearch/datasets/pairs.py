"""Which image goes with which mask: by split directory or by list file, paired by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from segsearch.datasets.decode import SUFFIXES, Fault, first_of
from segsearch.datasets.tree import pictures_below
from segsearch.errors import DataError
from segsearch.settings.data import DataSettings
from segsearch.settings.texts import Texts, is_list, root_of

Names = Mapping[str, list[Path]]
# Files of these suffixes give way to others of the same name: once they were not read at all.
RARE = (".tif", ".tiff", ".gif")
Tree = Callable[[], Names]


@dataclass(frozen=True)
class Pair:
    """`name` is the image's path in its split without the suffix."""

    name: str
    image: Path
    mask: Path


def find_pairs(settings: DataSettings, split: str, texts: Texts) -> tuple[Pair, ...]:
    """The pairs of one split (a directory's name, or a list file ending in .txt that `texts` holds), one or more.

    Directories give them in the order of their names, list files in their own. Raises `DataError`.
    """
    root = root_of(settings)
    if is_list(split):
        return _from_list(root, settings, split, texts[split])
    images, masks = _split_folders(root, settings, split)
    return _from_folders(images, masks)


def _split_folders(root: Path, settings: DataSettings, split: str) -> tuple[Path, Path]:
    kinds_first = root / settings.images / split, root / settings.masks / split
    split_first = root / split / settings.images, root / split / settings.masks
    for images, masks in (kinds_first, split_first):
        if images.is_dir():
            if not masks.is_dir():
                raise DataError(f"{masks}: the masks of {images} must lie in this folder, got none; add it.")
            return images, masks
    raise DataError(
        f"{root}: the images of split {split!r} must lie in {kinds_first[0].relative_to(root)} or "
        f"{split_first[0].relative_to(root)}, got neither folder; add it, or correct data.images and the split's name."
    )


def _from_folders(images: Path, masks: Path) -> tuple[Pair, ...]:
    by_name, masks_by_name = _by_name(images), _by_name(masks)
    if not by_name:
        raise DataError(f"{images}: a split must hold images ({', '.join(SUFFIXES)}), got {_others(images)}.")
    pairs, faults = [], []
    for name in sorted(by_name):
        try:
            image = _only(by_name[name])
            pairs.append(Pair(name, image, _mask_of(image, masks_by_name.get(name), masks / name)))
        except Fault as fault:
            faults.append(fault)
    for name in sorted(masks_by_name.keys() - by_name.keys()):
        message = f"{masks_by_name[name][0]}: every mask must have an image, got none named {name!r} in {images}; "
        faults.append(Fault("mask without image", message + "add the image or remove the mask."))
    if faults:
        raise first_of(faults)
    return tuple(pairs)


def _from_list(root: Path, settings: DataSettings, split: str, text: str) -> tuple[Pair, ...]:
    path = root / split
    # Looked through only where a line does not say the path itself.
    trees = cache(partial(_by_name, root / settings.images)), cache(partial(_by_name, root / settings.masks))
    pairs, faults, first_line = list[Pair](), list[Fault](), dict[Path, int]()
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            columns = [column.strip() for column in (line.split("\t") if "\t" in line else line.split())]
            if not columns:
                continue
            pair = _listed_pair(root, settings, columns, trees, where=f"{path}, line {number}")
            if pair.image in first_line:
                earlier = f"line {first_line[pair.image]} too"
                raise Fault(
                    "listed twice",
                    f"{path}, line {number}: an image must be listed once, got {pair.image} on {earlier}; remove one.",
                )
            first_line[pair.image] = number
            pairs.append(pair)
        except Fault as fault:
            faults.append(fault)
    if faults:
        raise first_of(faults)
    if not pairs:
        raise DataError(f"{path}: a split must list images, got an empty list; add lines `image mask` or `image`.")
    return tuple(pairs)


def _listed_pair(
    root: Path, settings: DataSettings, columns: list[str], trees: tuple[Tree, Tree], *, where: str
) -> Pair:
    if len(columns) > 2:
        rule = "a line must be `image mask` or `image`"
        raise Fault(
            "columns", f"{where}: {rule}, got {len(columns)} columns; put a tab between paths that hold spaces."
        )
    image = _listed_file(columns[0], root, root / settings.images, trees[0])
    if image is None:
        raise Fault(
            "no image",
            f"{where}: a listed image must be there, got no file {root / columns[0]}; correct the line or add it.",
        )
    name = _inside(image, root)
    if len(columns) == 2:
        mask = _listed_file(columns[1], root, root / settings.masks, trees[1])
        if mask is None:
            raise Fault(
                "no mask",
                f"{where}: a listed mask must be there, got no file {root / columns[1]}; correct the line or add it.",
            )
        return Pair(name, image, mask)
    inner = _inside(image, root / settings.images)
    found = trees[1]().get(inner) or trees[1]().get(Path(inner).name)
    return Pair(name, image, _mask_of(image, found, root / settings.masks / inner))


def _listed_file(text: str, root: Path, folder: Path, tree: Tree) -> Path | None:
    """A path from the root, from the folder of its kind, or a bare name in that folder, as Pascal VOC lists them.

    Where no file is called so, backslashes part folders: the list was written on Windows.
    """
    for spelt in dict.fromkeys((text, text.replace("\\", "/"))):
        for candidate in (root / spelt, folder / spelt):
            if candidate.is_file():
                return candidate
        if found := tree().get(spelt):
            return _only(found)
    return None


def _mask_of(image: Path, found: list[Path] | None, place: Path) -> Path:
    if not found:
        raise Fault(
            "no mask",
            f"{image}: every image must have a mask, got no {place}.png; add it or remove the image.",
        )
    return _only(found)


def _only(paths: list[Path]) -> Path:
    if len(paths) > 1:
        first, second = sorted(paths)[:2]
        rule = "a name must belong to one file"
        raise Fault("ambiguous", f"{first}: {rule}, got {second.name} beside it; remove or rename one.")
    return paths[0]


def _by_name(folder: Path) -> Names:
    """Image files below a folder by their path in it without the suffix; what programs leave there is no data."""
    names: defaultdict[str, list[Path]] = defaultdict(list)
    for path in pictures_below(folder):
        names[_inside(path, folder)].append(path)
    for name, paths in names.items():
        if len(paths) > 1 and (common := [path for path in paths if path.suffix.lower() not in RARE]):
            names[name] = common
    return names


def _inside(path: Path, folder: Path) -> str:
    inner = path.relative_to(folder) if path.is_relative_to(folder) else path
    return inner.with_suffix("").as_posix()


def _others(folder: Path) -> str:
    others = sorted(path.name for path in folder.rglob("*") if path.is_file())
    return f"{len(others)} other files such as {others[0]}; convert them" if others else "an empty folder; add some"
