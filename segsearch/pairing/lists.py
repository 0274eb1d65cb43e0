"""Lists of splits that people have beside their pictures: which pictures each line names."""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import commonpath

from segsearch.datasets.decode import SUFFIXES
from segsearch.errors import DataError
from segsearch.pairing.places import SPLIT_WORDS, Folders, read_folders
from segsearch.pairing.types import Matched, Place, Role, SplitName, Walked

FOLDERS = ("imagesets/segmentation", "imagesets", "lists", "list", "splits", "split", "annotations")
# Of a list's lines so many must name pictures: `train.txt` may also hold the names of classes.
LEAST_NAMED = 1 / 2

# `train_list`, `val_images`: what people add to the name of a split. `trainaug` is a split of its own kind.
_ADDED = re.compile(r"[\s_.\-]*(lists?|split|set|files|images|pairs|ids)$")
_UNSPLIT = ("trainval", "default", "all")
_TRAIN_AND_MORE = ("trainaug",)
_MORE_THAN_ONE = re.compile(rf"({'|'.join(map(re.escape, SUFFIXES))})[\s,;]", re.IGNORECASE)
# What other tasks need of an image: Oxford pets have `Abyssinian_1 1 1 1`.
_NUMBERS = re.compile(r"(\s+-?\d+(\.\d+)?)+$")  # with commas they are runs of a mask
_COLUMNS = (re.compile(r"\s*\t\s*"), re.compile(r"\s*[,;]\s*"), re.compile(r"\s+"))


@dataclass(frozen=True)
class Listed:
    """A line that names an image, and its mask where it names one; lines count from 1."""

    image: Place
    mask: Place | None
    line: int


@dataclass(frozen=True)
class Stray:
    """A line that names no picture, or not exactly one."""

    file: Path
    line: int
    text: str


@dataclass(frozen=True)
class SplitList:
    """One list: `name` is its file's name without suffix and case, `split` None for `trainval` and `default`."""

    file: Path
    name: str
    split: SplitName | None
    listed: tuple[Listed, ...]
    strays: tuple[Stray, ...]


@dataclass(frozen=True)
class Lists:
    """The lists of one folder, by their names; `folder` is its path below the root, "" for the root itself."""

    folder: str
    lists: tuple[SplitList, ...]

    @property
    def depth(self) -> int:
        return self.folder.count("/") + 1 if self.folder else 0


def find_lists(walked: Walked, *, matched: Matched | None = None) -> tuple[Lists, ...]:
    """The lists of splits among the texts, folder by folder, the shallow ones first.

    A list is called as splits are (`train.txt`, `val_list.txt`, `trainval.txt`), lies in the root or in a folder of
    lists, and at least half of its lines name pictures. `matched` tells images from masks where folders do not;
    where it has no pairs, a line's first column is the image and its second the mask. Lines name pictures of the data
    set that the list lies in (`VOC2007/ImageSets/Segmentation`) where it has any. Raises `DataError` where such a file
    cannot be read.
    """
    roots = {"", _common_folder(walked.places)}
    inner = {path: _inner_folder(path, walked) for path in walked.texts}
    files = [(path, *called) for path in walked.texts if (called := _called(path, inner[path], roots))]
    if not files:
        return ()
    paired = matched is not None and any(family.masks for family in matched.families)
    indices = dict[str, _Index]()
    by_folder = defaultdict[str, list[SplitList]](list)
    for path, name, split in files:
        within = _data_set_of(inner[path])
        if within not in indices:
            indices[within] = _Index.of(walked.places, matched if paired else None, within)
        found = _read(path, name, split, indices[within])
        if found.listed and len(found.listed) >= LEAST_NAMED * (len(found.listed) + len(found.strays)):
            by_folder[inner[path]].append(found)
    found_lists = (Lists(folder, tuple(lists)) for folder, lists in by_folder.items())
    return tuple(sorted(found_lists, key=lambda lists: (lists.depth, lists.folder)))


def _inner_folder(path: Path, walked: Walked) -> str:
    inner = path.parent.relative_to(walked.root).as_posix()
    return "" if inner == "." else inner


def _data_set_of(folder: str) -> str:
    """The folder of the data set that a folder of lists belongs to: `VOC2007` of `VOC2007/ImageSets/Segmentation`."""
    name = next((name for name in FOLDERS if f"/{folder}".casefold().endswith(f"/{name}")), "")
    return folder[: len(folder) - len(name)].rstrip("/")


def _called(path: Path, folder: str, roots: Collection[str]) -> tuple[str, SplitName | None] | None:
    """A list's name and split by where it lies and what it is called, None where it is no list."""
    in_place = folder in roots or any(f"/{folder}".casefold().endswith(f"/{name}") for name in FOLDERS)
    name = path.stem.casefold()
    if not in_place or path.suffix.lower() not in (".txt", ".csv"):
        return None
    plain = re.sub(r"[\s_.\-]", "", _ADDED.sub("", name))
    if plain in SPLIT_WORDS:
        return name, SPLIT_WORDS[plain]
    if plain in _TRAIN_AND_MORE:
        return name, "train"
    return (name, None) if plain in _UNSPLIT else None


# ---- lines


def _read(path: Path, name: str, split: SplitName | None, index: _Index) -> SplitList:
    listed, strays = list[Listed](), list[Stray]()
    for number, line in enumerate(_text(path).splitlines(), start=1):
        text = line.strip().strip("\0")
        if not text or text.startswith("#"):
            continue
        if found := _line(text, index):
            listed.append(Listed(*found, number))
        elif not (number == 1 and path.suffix.lower() == ".csv"):  # the columns' names
            strays.append(Stray(path, number, text))
    return SplitList(path, name, split, tuple(listed), tuple(strays))


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: a list of a split must be readable, got: {error.strerror}; correct that.") from None
    wide = content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig", errors="replace")


def _line(text: str, index: _Index) -> tuple[Place, Place | None] | None:
    """The image of a line and its mask; names may hold blanks and commas, so that every way to cut it is tried."""
    for image_text, mask_text in _halves(text):
        image = index.find(image_text, "image")
        if image and not mask_text:
            return image, None
        if image and (mask := index.find(mask_text, "mask")) and mask is not image:
            return image, mask
    image = None if _MORE_THAN_ONE.search(text) else index.find(text, "image")
    if not image and (bare := _NUMBERS.sub("", text)) != text:
        image = index.find(bare, "image")
    return (image, None) if image else None


def _halves(text: str) -> Iterator[tuple[str, str]]:
    for column in _COLUMNS:
        for cut in column.finditer(text):
            yield text[: cut.start()], text[cut.end() :]


# ---- what a line names


@dataclass(frozen=True)
class _Index:
    """Pictures by every end of their path, with and without the suffix; an end that two of them have is None.

    `told` is what folders say, those that all pictures lie in left out. Images and masks below a folder `within` come
    alone where it holds any.
    """

    by_end: Mapping[Role, Mapping[str, Place | None]]
    told: Mapping[str, Folders]

    @classmethod
    def of(cls, places: Sequence[Place], matched: Matched | None, within: str) -> _Index:
        pairable = [place for place in places if not place.left_out]
        if matched:
            images = list(matched.images)
            masks = [mask for family in matched.families for mask in family.masks.values()] + list(matched.lonely)
        else:
            images = [place for place in pairable if place.role != "mask"]
            masks = [place for place in pairable if place.role != "image"]
        common = _common_folder(places)
        above = {place.inner.rpartition("/")[0] for place in places}
        return cls(
            {"image": _by_end(_below(within, images)), "mask": _by_end(_below(within, masks))},
            {folder: read_folders(folder[len(common) :]) for folder in above},
        )

    def find(self, text: str, role: Role) -> Place | None:
        """The one picture that has the longest end of the path, if the folders before that do not speak against it.

        What is before may be the path on another machine: `/SegNet/CamVid/train/0001.png`.
        """
        parts = [part for part in text.strip("\"' ").replace("\\", "/").split("/") if part not in ("", ".", "..")]
        if not parts:
            return None
        name, dot, suffix = parts[-1].rpartition(".")
        names = [parts[-1], name] if name and f"{dot}{suffix}".lower() in SUFFIXES else [parts[-1]]
        for name in names:
            for start in range(len(parts)):
                end = "/".join([*parts[start:-1], name])
                if end in self.by_end[role]:
                    place = self.by_end[role][end]
                    return place if place and self._may_be(parts[:-1], place) else None
        return None

    def _may_be(self, above: list[str], place: Place) -> bool:
        """Whether the folders agree: a line's `val/1.png` is not the picture `train/1.png`, nor is `b/1` `a/1`."""
        listed, own = read_folders("/".join(above)), self.told[place.inner.rpartition("/")[0]]
        rests = zip(listed.rest.split("/")[::-1], own.rest.split("/")[::-1], strict=False)
        return (
            (listed.role or own.role) == (own.role or listed.role)
            and (listed.split or own.split) == (own.split or listed.split)
            and (not listed.rest or not own.rest or all(mine == other for mine, other in rests))
        )


def _below(folder: str, places: Sequence[Place]) -> Sequence[Place]:
    return [place for place in places if place.inner.startswith(f"{folder}/")] or places if folder else places


def _by_end(places: Iterable[Place]) -> dict[str, Place | None]:
    found = dict[str, Place | None]()
    for place in places:
        parts = place.inner.split("/")
        for name in {parts[-1], place.stem}:
            for start in range(len(parts)):
                end = "/".join([*parts[start:-1], name])
                found[end] = place if found.get(end, place) is place else None
    return found


def _common_folder(places: Iterable[Place]) -> str:
    folders = {place.inner.rpartition("/")[0] for place in places}
    return commonpath(folders) if folders else ""
