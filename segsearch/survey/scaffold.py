"""`segsearch new`: write a study that runs as it is on the folder that was looked at."""

from __future__ import annotations

import json
import math
import re
import textwrap
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from segsearch.datasets.folders import classes_in
from segsearch.datasets.labels import Labelling, labelling
from segsearch.datasets.pairs import Pair as RunPair
from segsearch.datasets.pairs import find_pairs
from segsearch.errors import DataError
from segsearch.pairing.types import SplitName
from segsearch.settings.data import DataSettings
from segsearch.settings.texts import read_names
from segsearch.study import parse_study
from segsearch.survey.beginnings import FROM_NOTHING, Beginning
from segsearch.survey.chosen import Pair
from segsearch.survey.look import Found
from segsearch.survey.splits import SPLITS
from segsearch.survey.template import LEAST_STEPS, TEACHER, TEMPLATE, budget_for
from segsearch.survey.written import write_files

VOID = 255


def write_study(
    found: Found,
    out: Path,
    *,
    beginning: Beginning = FROM_NOTHING,
    force: bool = False,
    page: Callable[[DataSettings, Labelling], str] | None = None,
) -> tuple[Path, ...]:
    """Write the study, the lists that the folder does not have itself, and the page that `page` makes of it.

    Before anything is written the study is opened as a run opens it. Raises `DataError` where that finds other pairs
    than were found, `StudyError` where a file is in the way or cannot be written; nothing is left half.
    """
    files = _files(found, out, beginning)
    settings, how = _opened(found, files, out)
    if page is not None:
        files[page_of(out)] = page(settings, how)
    write_files(files, force=force, study=out)
    return tuple(files)


def _opened(found: Found, files: Mapping[Path, str], out: Path) -> tuple[DataSettings, Labelling]:
    """The settings of the study to write, and how its masks are read: opened by the code that a run opens it by."""
    settings = parse_study(tomllib.loads(files[out]), where=str(out)).data
    splits: dict[SplitName, str | None] = {
        "train": settings.train,
        "validation": settings.validation,
        "test": settings.test,
    }
    texts = {str(path): text for path, text in files.items()}
    if settings.classes not in texts:
        texts[settings.classes] = read_names(found.root / settings.classes)
    classes = classes_in(settings, texts)
    for split, words in splits.items():
        pairs = found.splits.of(split)
        if words is not None and not _same(find_pairs(settings, words, texts), pairs):
            raise DataError(f"{found.root}: the files of split {split} changed while they were read; run this again.")
    if classes != found.reading.classes:
        raise DataError(f"{settings.classes}: the names of the classes changed while they were read; run this again.")
    return settings, labelling(settings, len(classes))


def page_of(out: Path) -> Path:
    """Where the page of a study lies that was written to `out`."""
    return out.with_suffix(".html")


def _files(found: Found, out: Path, beginning: Beginning) -> dict[Path, str]:
    """Every file to write and its text, the study first."""
    beside = {name: out.with_name(f"{out.stem}.{name}.txt").absolute() for name in ("train", "val", "test", "classes")}
    splits, lists = found.splits, dict[Path, str]()
    named = _named(found)
    if named is None:
        words: dict[str, str] = {}
        for key in SPLITS:
            if pairs := splits.of(key):
                path = beside["val" if key == "validation" else key]
                words[key], lists[path] = str(path), _list(pairs)
    else:
        words = named
    classes = _class_list(found)
    if classes is None:
        classes = str(beside["classes"])
        lists[beside["classes"]] = "\n".join(found.reading.classes) + "\n"
    name = _name(out)
    return {out: _study(found, name, beginning, words=words, classes=classes), **lists}


def _class_list(found: Found) -> str | None:
    """The list in the folder itself, where it holds the classes and nothing else, one a line in their order."""
    if found.class_list is None or not found.class_list.is_relative_to(found.root):
        return None
    try:
        lines = found.class_list.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    same = tuple(line.strip() for line in lines) == found.reading.classes
    return found.class_list.relative_to(found.root).as_posix() if same else None


def _named(found: Found) -> dict[str, str] | None:
    """The folders' names, where a run finds the same pairs by them; None: lists must say them."""
    first = found.splits.train[0]
    image, mask = Path(first.image.inner).parts[:-1], Path(first.mask.inner).parts[:-1]
    if len(image) < 2 or len(mask) < 2 or found.splits.held_out:
        return None
    kinds_first = image[1] == mask[1]
    at = 1 if kinds_first else 0
    words = {"images": image[1 - at], "masks": mask[1 - at]}
    for key in SPLITS:
        pairs = found.splits.of(key)
        parts = {Path(pair.image.inner).parts[:-1][at : at + 1] for pair in pairs}
        if len(parts) > 1 or () in parts:
            return None
        if parts:
            words[key] = parts.pop()[0]
            settings = DataSettings(kind="folders", root=str(found.root), height=32, width=32, **words)  # type: ignore[arg-type]
            try:
                run = find_pairs(settings, words[key], {})
            except DataError:
                return None
            if words[key].endswith(".txt") or not _same(run, pairs):
                return None
    return words


def _same(run: Sequence[RunPair], found: Sequence[Pair]) -> bool:
    return {(pair.image, pair.mask) for pair in run} == {(pair.image.path, pair.mask.path) for pair in found}


def _list(pairs: Sequence[Pair]) -> str:
    """`image<tab>mask`, both from the root, so that the list still holds where the whole folder moves."""
    lines = []
    for pair in pairs:
        for place in (pair.image, pair.mask):
            if not _can_be_listed(place.inner):
                raise DataError(
                    f"{str(place.path)!r}: a list holds names in UTF-8 without tabs, line breaks and blanks "
                    "at their ends; rename this one."
                )
        lines.append(f"{pair.image.inner}\t{pair.mask.inner}\n")
    return "".join(lines)


def _can_be_listed(inner: str) -> bool:
    try:
        inner.encode()
    except UnicodeEncodeError:
        return False
    return inner == inner.strip() and "\t" not in inner and len(inner.splitlines()) == 1


def _name(out: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", out.stem).strip("-._")[:64]
    return name or "study"


def _text(value: str) -> str:
    """A TOML basic string: JSON's, unescaped beyond ASCII."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _study(found: Found, name: str, beginning: Beginning, *, words: Mapping[str, str], classes: str) -> str:
    height, width = found.size
    count = len(found.splits.train)
    budget = budget_for(count)
    epochs = 2 * math.ceil(budget.steps / max(1, count // budget.batch_size))
    teacher = TEACHER.format(epochs=epochs, choices=beginning.teacher)
    more = "; each design then says distill_die" if beginning.designs else ""
    notes = [*found.splits.words, *found.notes, *(f"Look at this: {warning}" for warning in found.warnings)]
    folders = "".join(f"{key} = {_text(words[key])}\n" for key in ("images", "masks") if key in words)
    return TEMPLATE.format(
        name=_text(name),
        space=beginning.space,
        space_words=beginning.words,
        begin=beginning.train.format(rate=f"{budget.learning_rate:g}"),
        designs=beginning.designs,
        root=_text(str(found.root)),
        folders=folders or 'images = "."\nmasks = "."\n',
        train=_text(words["train"]),
        validation=_text(words["validation"]),
        test=f"test = {_text(words['test'])}  # kept aside: nothing is decided by it\n" if "test" in words else "",
        classes=_text(classes),
        void=found.reading.void if found.reading.plain else VOID,
        reading=_reading(found),
        height=height,
        width=width,
        notes="".join(f"# {line}\n" for note in notes for line in _wrapped(note)),
        train_count=count,
        validation_count=len(found.splits.validation),
        class_count=len(found.reading.classes),
        image_size=f"{found.image_width}x{found.image_height}",
        steps=budget.steps,
        least=LEAST_STEPS,
        batch_size=budget.batch_size,
        learning_rate=f"{beginning.rate or budget.learning_rate:g}",
        smallest_zoom=budget.zooms[0],
        largest_zoom=budget.zooms[1],
        without=f"Without the # this is one{more}:",
        teacher="".join(f"# {line}".rstrip() + "\n" for line in teacher.splitlines()),
    )


def _reading(found: Found) -> str:
    """What masks' values are, the levels of wide images and a word on EXIF: nothing where files say everything."""
    lines = []
    if found.pixels.levels is not None:
        black, white = found.pixels.levels
        lines.append(f"levels = [{black:.12g}, {white:.12g}]  # the stored values that are shown as black and as white")
    if found.pixels.exif == "ignore":
        lines.append('exif = "ignore"  # images are read as they are stored')
    reading = found.reading
    if not reading.plain:
        key = "map" if reading.by == "value" else "colours"
        lines += ["", f"[data.{key}]  # what is stored in a mask, and which class it is (its line in the list, from 0)"]
        for rule in reading.rules:
            stored = f"{rule.low}" if rule.low == rule.high else f"{rule.low}-{rule.high}"
            stored = f"#{rule.low:06x}" if reading.by == "colour" else stored
            meant = '"void"' if rule.index is None else f"{rule.index}  # {_plainly(reading.classes[rule.index])}"
            lines.append(f"{_text(stored)} = {meant}")
    return "".join(f"{line}\n" for line in lines)


def _plainly(words: str) -> str:
    """Words as a comment may hold them."""
    return "".join(letter if letter.isprintable() else "?" for letter in words)


def _wrapped(note: str) -> list[str]:
    words = _plainly(note.replace("\n", " "))
    return textwrap.wrap(words, 118, break_long_words=False, break_on_hyphens=False)
