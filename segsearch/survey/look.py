"""From a folder to what a study of it says: pairs, splits, how masks are read, sizes; and what a person should know."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsearch.errors import DataError
from segsearch.pairing.matching import match
from segsearch.pairing.types import Place, SplitName, Walked
from segsearch.pairing.walk import walk
from segsearch.readings.choose import the_reading
from segsearch.readings.known import known_reading
from segsearch.readings.names import find_class_lists
from segsearch.readings.types import ClassList, Reading, Seen, Wanted
from segsearch.settings.data import Rule
from segsearch.survey.chosen import Pair, pairs_of
from segsearch.survey.formats import demand_alike
from segsearch.survey.listed import listed_in
from segsearch.survey.pixels import Pixels, pixels_of, with_levels
from segsearch.survey.splits import SPLITS, Splits, split_up
from segsearch.survey.tally import MaskRecord, read_images, read_masks, seen_in
from segsearch.workshop import Progress, silent

LONGEST_SIDE = 512
GRID = 32


@dataclass(frozen=True)
class Share:
    """Of one split: the share of its pixels and of its images that hold a class."""

    pixels: float
    images: float


@dataclass(frozen=True)
class ClassRow:
    """One class as masks store it (`7`, `128-255`, `#ff0000`); `name` is None for void. Shares by split."""

    stored: str
    name: str | None
    shares: Mapping[SplitName, Share]


@dataclass(frozen=True)
class Found:
    """What a folder holds. `notes` are worth knowing, `warnings` worth a look before a night is spent.

    `image_height` and `image_width` are of most images, in pixels. `class_list` is the file that gave the names.
    """

    root: Path
    splits: Splits
    reading: Reading
    class_list: Path | None
    rows: tuple[ClassRow, ...]
    image_height: int
    image_width: int
    pixels: Pixels
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width for the model: the images' shape on a grid of 32, at most 512 long, never enlarged."""
        shrink = min(1.0, LONGEST_SIDE / max(self.image_height, self.image_width))
        height, width = (_on_grid(side * shrink, side) for side in (self.image_height, self.image_width))
        return height, width


def look(root: Path, wanted: Wanted = Wanted(), *, progress: Progress = silent) -> Found:
    """Find out what a folder holds, without changing it.

    Raises `DataError` where it holds no images with masks, or where what it holds can be read in more than one way.
    """
    if not root.is_dir():
        raise DataError(f"{root}: DATA must be a folder with images and masks, got none there; correct the path.")
    with warnings.catch_warnings():
        # Pillow warns of large images and odd metadata; what matters of it is an error of ours.
        warnings.simplefilter("ignore")
        return _look(root.resolve(), wanted, progress)


def _look(root: Path, wanted: Wanted, progress: Progress) -> Found:
    walked = walk(root, progress=progress)
    matched = match(walked.places)
    listed, passed_over = listed_in(walked, matched, wanted)
    demand_alike(matched)
    chosen = pairs_of(walked, matched, listed, wanted)
    records = dict(zip(chosen.pairs, read_masks([pair.mask.path for pair in chosen.pairs], progress), strict=True))
    seen = seen_in(list(records.values()))
    class_lists = find_class_lists(_lists_to_read(walked, wanted))
    reading = _known(walked, seen, class_lists, wanted) or the_reading(seen, class_lists, wanted)
    image_records = dict(
        zip(chosen.pairs, read_images([pair.image.path for pair in chosen.pairs], progress), strict=True)
    )
    exif = pixels_of([(image_records[pair], records[pair]) for pair in chosen.pairs], wanted)
    index = index_of(reading)
    held = {pair: _classes_in(record, reading, index) for pair, record in records.items()}
    splits = split_up(chosen.pairs, listed, image_records, held, wanted)
    pixels = with_levels(exif, *([image_records[pair] for pair in splits.of(split)] for split in SPLITS))
    rows = _rows(splits, records, reading, index)
    _demand_labels(splits, rows)
    (height, width), _ = Counter(pixels.shown(image_records[pair]) for pair in splits.train).most_common(1)[0]
    return Found(
        root=root,
        splits=splits,
        reading=reading,
        class_list=_file_of(class_lists, reading),
        rows=rows,
        image_height=height,
        image_width=width,
        pixels=pixels,
        notes=(*_walk_notes(walked.hidden, walked.linked, matched.twins), *passed_over, *chosen.notes, *pixels.notes),
        warnings=(*pixels.warnings, *_absent(rows)),
    )


def _known(walked: Walked, seen: Seen, lists: Sequence[ClassList], wanted: Wanted) -> Reading | None:
    """The reading of a published data set, where the user said nothing of how masks are read."""
    said = (wanted.void, wanted.background, wanted.by, wanted.names, wanted.classes)
    return known_reading(walked, seen, lists) if wanted.known and all(one is None for one in said) else None


def _lists_to_read(walked: Walked, wanted: Wanted) -> Sequence[Path]:
    """The files that may name classes; none where the user named them."""
    if wanted.names is not None:
        return ()
    return walked.texts if wanted.classes is None else (wanted.classes,)


def index_of(reading: Reading) -> Callable[[int], int | None]:
    """The class index of a stored value or colour, None for void."""
    lookup: dict[int, int | None] = {}

    def index(value: int) -> int | None:
        if value not in lookup:
            rule = next((rule for rule in reading.rules if rule.low <= value <= rule.high), None)
            lookup[value] = None if rule is None else rule.index
        return lookup[value]

    return index


def _counts(record: MaskRecord, reading: Reading) -> Mapping[int, int]:
    return record.values if reading.by == "value" else record.colours or {}


def _classes_in(record: MaskRecord, reading: Reading, index: Callable[[int], int | None]) -> frozenset[int]:
    found = (index(value) for value in _counts(record, reading))
    return frozenset(each for each in found if each is not None)


def _rows(
    splits: Splits,
    records: Mapping[Pair, MaskRecord],
    reading: Reading,
    index: Callable[[int], int | None],
) -> tuple[ClassRow, ...]:
    """The table: each class with what is stored for it, then void, with its shares of each split."""
    pixels = {split: Counter[int | None]() for split in SPLITS}
    images = {split: Counter[int | None]() for split in SPLITS}
    for split in SPLITS:
        for pair in splits.of(split):
            here = Counter[int | None]()
            for value, count in _counts(records[pair], reading).items():
                here[index(value)] += count
            pixels[split] += here
            images[split].update(here.keys())
    return tuple(
        ClassRow(
            stored=_stored([rule for rule in reading.rules if rule.index == each], reading),
            name=None if each is None else reading.classes[each],
            shares={
                split: Share(pixels[split][each] / max(1, pixels[split].total()), images[split][each] / len(there))
                for split in SPLITS
                if (there := splits.of(split))
            },
        )
        for each in (*range(len(reading.classes)), None)
        if each is not None or any(rule.index is None for rule in reading.rules)
    )


def _demand_labels(splits: Splits, rows: Sequence[ClassRow]) -> None:
    """Raise `DataError` where the masks of a split hold nothing but void."""
    for split in ("train", "validation"):
        if not any(row.shares[split].pixels for row in rows if row.name is not None):
            raise DataError(
                f"{splits.of(split)[0].mask.path.parent}: a split must have labelled pixels, got only void in "
                f"{split}; say with --void what is void, or correct the masks."
            )


def _stored(rules: Sequence[Rule], reading: Reading) -> str:
    if reading.by == "colour":
        return ", ".join(f"#{rule.low:06x}" for rule in rules)
    return ", ".join(f"{rule.low}" if rule.low == rule.high else f"{rule.low}-{rule.high}" for rule in rules)


def _file_of(lists: Sequence[ClassList], reading: Reading) -> Path | None:
    """The list that gave the names, the one whose names they are."""
    exact = next((found.file for found in lists if found.names == reading.classes), None)
    return exact or next((found.file for found in lists if set(reading.classes) & set(found.names)), None)


def _walk_notes(hidden: int, linked: int, twins: Sequence[Place]) -> list[str]:
    notes = []
    if hidden:
        notes.append(f"{hidden} pictures in hidden folders and left by other programs are not read.")
    if linked:
        notes.append(f"{linked} linked {'folder was' if linked == 1 else 'folders were'} followed.")
    if twins:
        notes.append(
            f"{len(twins)} pictures lie there in two formats; the one without loss is read, {twins[0].inner} and "
            "others are not."
        )
    return notes


def _absent(rows: Sequence[ClassRow]) -> list[str]:
    """Warnings of classes that no mask holds, or only one of two splits."""
    found = []
    for split, words in (("train", "cannot be learnt"), ("validation", "are not scored")):
        names = [
            f"{row.name} ({row.stored})"
            for row in rows
            if row.name is not None and not row.shares[split].pixels  # type: ignore[index]
        ]
        if names:
            some = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
            which = "training" if split == "train" else "validation"
            found.append(f"No {which} mask holds {some}: they {words}.")
    return found


def _on_grid(side: float, original: int) -> int:
    rounded = max(GRID, round(side / GRID) * GRID)
    return rounded if rounded <= max(original, GRID) else rounded - GRID
