"""What a folder of images and masks holds: its layout, splits, classes, void value and sizes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segsearch.datasets.decode import FORMATS, SUFFIXES, read_mask
from segsearch.errors import DataError
from segsearch.workshop import Progress, silent

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "leftimg8bit", "frames", "rgb")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "annotation", "segmentationclass", "gtfine", "gt")
TRAIN_FOLDERS = ("train", "training")
VALIDATION_FOLDERS = ("val", "validation", "valid", "dev")
MASK_ENDINGS = ("", "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_L", "-mask", "_labelIds")
CLASS_LISTS = ("classes.txt", "class_names.txt", "labels.txt")
HELD_OUT = 0.2
LONGEST_SIDE = 512
GRID = 32
VOID = 255

Pairs = tuple[tuple[Path, Path], ...]


@dataclass(frozen=True)
class Arrangement:
    """Where images and masks lie. `named` says that the folders' own names tell the splits; else lists must."""

    images: str
    masks: str
    train_name: str
    validation_name: str
    train: Pairs
    validation: Pairs
    named: bool


@dataclass(frozen=True)
class Found:
    """What a folder holds. `class_list` is the list in the folder, None where the names were made from the masks.

    `absent` are the classes, by their mask value, that no mask holds.
    """

    root: Path
    layout: Arrangement
    classes: tuple[str, ...]
    class_list: str | None
    void: int
    image_height: int
    image_width: int
    absent: tuple[int, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width for the model: the images' shape on a grid of 32, at most 512 long, never enlarged."""
        shrink = min(1.0, LONGEST_SIDE / max(self.image_height, self.image_width))
        height, width = (_on_grid(side * shrink, side) for side in (self.image_height, self.image_width))
        return height, width


def look(root: Path, *, progress: Progress = silent) -> Found:
    """Find out what a folder holds, without changing it. Raises `DataError` with the layout that is understood."""
    if not root.is_dir():
        raise DataError(f"{root}: DATA must be a folder with images and masks, got none there; correct the path.")
    root = root.resolve()
    layout = _layout(root)
    pairs = (*layout.train, *layout.validation)
    listed = next((name for name in CLASS_LISTS if (root / name).is_file()), None)
    values = _mask_values(pairs, progress)
    classes, void = _numbered(values) if listed is None else _listed(root / listed, values)
    absent = tuple(value for value in range(len(classes)) if value not in values)
    (height, width), _ = Counter(_image_size(image) for image, _ in pairs[:200]).most_common(1)[0]
    return Found(root, layout, classes, listed, void, height, width, absent)


def _layout(root: Path) -> Arrangement:
    images, masks = _child(root, IMAGE_FOLDERS), _child(root, MASK_FOLDERS)
    if images and masks:
        train, validation = _child(images, TRAIN_FOLDERS), _child(images, VALIDATION_FOLDERS)
        if train and validation:
            splits = [(split, masks / split.name) for split in (train, validation)]
            return _by_folders(images.name, masks.name, splits)
        return _held_out(images.name, masks.name, _pair(images, masks), root)
    train, validation = _child(root, TRAIN_FOLDERS), _child(root, VALIDATION_FOLDERS)
    inner = train and (_child(train, IMAGE_FOLDERS), _child(train, MASK_FOLDERS))
    if train and inner and inner[0] and inner[1]:
        if validation:
            splits = [(split / inner[0].name, split / inner[1].name) for split in (train, validation)]
            return _by_folders(inner[0].name, inner[1].name, splits, names=(train.name, validation.name))
        return _held_out(inner[0].name, inner[1].name, _pair(*inner), root)  # type: ignore[arg-type]
    if any(path.suffix.lower() in SUFFIXES for path in root.iterdir() if path.is_file()):
        return _held_out(".", ".", _pair(root, root), root)
    raise DataError(
        f"{root}: DATA must hold images/ and masks/ (each flat, or with train/ and val/ inside), or train/images, "
        f"train/masks and so on; got {_contents(root)}. Rename the folders, or write the study by hand with list files."
    )


def _by_folders(
    images: str, masks: str, splits: Sequence[tuple[Path, Path]], *, names: tuple[str, str] | None = None
) -> Arrangement:
    for image_folder, mask_folder in splits:
        if not mask_folder.is_dir() or not image_folder.is_dir():
            gone = image_folder if mask_folder.is_dir() else mask_folder
            raise DataError(f"{gone}: each split must have its images and its masks, got no such folder; add it.")
    train, validation = (_pair(*split) for split in splits)
    same_names = all(image.stem == mask.stem for image, mask in (*train, *validation))
    train_name, validation_name = names or (splits[0][0].name, splits[1][0].name)
    return Arrangement(images, masks, train_name, validation_name, train, validation, named=same_names)


def _held_out(images: str, masks: str, pairs: Pairs, root: Path) -> Arrangement:
    """A fifth of the pairs, chosen by the hash of the image's path: the same on every machine and in every order."""
    if len(pairs) < 4:
        raise DataError(
            f"{root}: at least 4 images with masks are needed to hold some out for validation, got {len(pairs)}."
        )

    def order(pair: tuple[Path, Path]) -> str:
        return hashlib.sha256(pair[0].relative_to(root).as_posix().encode()).hexdigest()

    chosen = set(sorted(pairs, key=order)[: max(1, round(HELD_OUT * len(pairs)))])
    train = tuple(pair for pair in pairs if pair not in chosen)
    return Arrangement(images, masks, "", "", train, tuple(sorted(chosen)), named=False)


def _pair(images: Path, masks: Path) -> Pairs:
    """Each image with the mask of its name, or of its name and one ending that all of them share (`a_mask.png`)."""
    for ending in MASK_ENDINGS:
        found = {_stem(path, masks): path for path in _pictures(masks) if path.stem.endswith(ending)}
        if images == masks:
            found = {stem: path for stem, path in found.items() if path.suffix.lower() not in (".jpg", ".jpeg")}
        left = [path for path in _pictures(images) if path not in found.values() or images != masks]
        if left and all(_stem(path, images) + ending in found for path in left):
            return tuple((path, found[_stem(path, images) + ending]) for path in left)
    pictures = _pictures(images)
    if not pictures:
        raise DataError(f"{images}: there must be images ({', '.join(SUFFIXES)}), got {_contents(images)}.")
    named = {_stem(path, masks) for path in _pictures(masks)}
    alone = next((path for path in pictures if images == masks or _stem(path, images) not in named), pictures[0])
    raise DataError(
        f"{alone}: every image must have a mask of the same name, got none in {masks}; add it or remove the image."
    )


def _pictures(folder: Path) -> list[Path]:
    paths = folder.rglob("*") if folder.is_dir() else []
    return sorted(p for p in paths if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _child(folder: Path, names: Sequence[str]) -> Path | None:
    """The sub-folder with one of the names, in the order of the names, whatever its case."""
    folders = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    return next((folders[name] for name in names if name in folders), None)


def _contents(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return f"{', '.join(names[:4])}{' and more' if len(names) > 4 else ''}" if names else "an empty folder"


def _image_size(path: Path) -> tuple[int, int]:
    """Height and width as shown: an EXIF orientation of 5 to 8 lies on its side."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            turned = image.getexif().get(0x0112, 1) >= 5
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise DataError(f"{path}: an image must be readable, got: {error}; replace it or remove the pair.") from None


def _mask_values(pairs: Pairs, progress: Progress) -> Mapping[int, Path]:
    """Every value in the masks, with the first mask that holds it."""
    values: dict[int, Path] = {}
    for done, (_, mask) in enumerate(pairs, start=1):
        counts = np.bincount(read_mask(mask).ravel(), minlength=256)
        for value in np.flatnonzero(counts):
            values.setdefault(int(value), mask)
        progress("reading masks", done, len(pairs))
    return values


def _numbered(values: Mapping[int, Path]) -> tuple[tuple[str, ...], int]:
    """Without a list every value up to the largest is a class, and 255 is void. Grey levels are no such numbers."""
    present = sorted(value for value in values if value != VOID)
    _demand_two(present, values)
    count = present[-1] + 1
    empty = count - len(present)
    if empty > len(present):
        raise DataError(
            f"{values[present[-1]]}: without a list of classes masks must hold the numbers 0, 1, ... (255 is void), "
            f"got {_some(values)}: {empty} of {count} classes would be empty. Renumber them to 0..{len(present) - 1}, "
            f"or name the classes from 0 on in DATA/{CLASS_LISTS[0]}, one a line (one value beyond the list is void)."
        )
    return tuple(f"class_{value}" for value in range(count)), VOID


def _listed(path: Path, values: Mapping[int, Path]) -> tuple[tuple[str, ...], int]:
    """The listed names; the one value beyond them is void."""
    lines = path.read_text(encoding="utf-8-sig", errors="replace").rstrip().splitlines()
    classes = tuple(line.strip() for line in lines)
    outside = [value for value in sorted(values) if value >= len(classes)]
    if len(outside) > 1:
        raise DataError(
            f"{values[outside[0]]}: with {len(classes)} names in {path} masks may hold 0..{len(classes) - 1} "
            f"and one void value; got {_some(outside)} beside them. Correct the masks or the list."
        )
    _demand_two([value for value in values if value < len(classes)], values)
    return classes, outside[0] if outside else VOID


def _demand_two(present: Sequence[int], values: Mapping[int, Path]) -> None:
    """Raise `DataError` where no two classes are in the masks: most often the second one was taken for void."""
    if len(present) < 2:
        void = [value for value in values if value not in present]
        cure = f"Where {void[-1]} is a class, write" if void else "Write"
        raise DataError(
            f"{next(iter(values.values())).parent}: masks must hold at least two classes, numbered from 0, got "
            f"{_some(present) or 'none'}{f' beside the void value {_some(void)}' if void else ''}. "
            f"{cure} the classes' numbers 0, 1, ... into the masks."
        )


def _some(values: Iterable[int]) -> str:
    ordered = sorted(values)
    return ", ".join(map(str, ordered[:6])) + (", ..." if len(ordered) > 6 else "")


def _on_grid(side: float, original: int) -> int:
    rounded = max(GRID, round(side / GRID) * GRID)
    return rounded if rounded <= max(original, GRID) else rounded - GRID
