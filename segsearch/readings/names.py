"""Lists of classes as tools write them: names, often with the classes' values or colours."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsearch.datasets.decode import SUFFIXES
from segsearch.errors import DataError
from segsearch.readings.types import ClassList

VOID = 255
# A list of classes is small; annotations of images may bear the same name (`labels.json`) and be of any size.
MOST_BYTES = 1 << 20

FILES = frozenset({
    "classes.txt", "class_names.txt", "labels.txt", "codes.txt", "obj.names", "label_names.txt", "labelmap.txt",
    "label_colors.txt", "label_colours.txt", "objectinfo150.txt", "object150_info.csv", "_classes.csv",
    "class_dict.csv", "class_dict_seg.csv", "dataset.json", "classes.json", "labels.json", "id2label.json",
})  # fmt: skip
_NOT_LABELLED = frozenset({"ignore", "ignored", "ignoreindex", "void", "unlabelled", "unlabeled", "dontcare"})
_BACKGROUND = frozenset({"background", "bg"})

# `0: background`, `1,wall`, `wall=1`; then the same with a blank, which names may hold too. True: the number is first.
_MARKED = (re.compile(r"(-?\d+)\s*[:,;=\t]\s*(\S.*)"), True), (re.compile(r"(\S.*?)\s*[:,;=\t]\s*(-?\d+)"), False)
_BLANK = (re.compile(r"(-?\d+)\s+(\S.*)"), True), (re.compile(r"(\S.*?)\s+(-?\d+)"), False)
_COLOUR_FIRST = re.compile(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\S.*)")
_COLOUR_LAST = re.compile(r"(\S.*?)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\d+)")
_CVAT = re.compile(r"(.*):(\d+\s*,\s*\d+\s*,\s*\d+)?:[^:]*:[^:]*")
# `road  # asphalt` and lines of nothing else; but `#ff0000` is a colour, and `lane #2` a name.
_REMARK = re.compile(r"\s+#(?!\d|[0-9a-fA-F]{6}\b).*")
_ALL_REMARK = re.compile(r"#(?![0-9a-fA-F]{6}\b)")

_NAME_COLUMNS = ("name", "class", "classname", "label", "labelname")
_VALUE_COLUMNS = ("pixelvalue", "value", "id", "index", "idx")
_COLOUR_COLUMNS = (("r", "red"), ("g", "green"), ("b", "blue"))


@dataclass(frozen=True)
class _Entry:
    """One class. `where` is its place in the file (`line 3`), for messages."""

    where: str
    name: str
    value: int | None = None
    colour: tuple[int, int, int] | None = None


def find_class_lists(texts: Sequence[Path]) -> tuple[ClassList, ...]:
    """The lists of classes among small files, known by their names. Raises `DataError` where one of them is broken."""
    lists = (_read(path, strict=False) for path in texts if path.name.lower() in FILES and not _large(path))
    return tuple(found for found in lists if found is not None)


def read_class_list(path: Path) -> ClassList:
    """A list of classes in any of the known forms, whatever its name. Raises `DataError` with the line at fault."""
    found = _read(path, strict=True)
    assert found is not None
    return found


def plain_list(names: Sequence[str], file: Path) -> ClassList:
    """Names in the order of their values, that come from no file. Raises `DataError`."""
    return _listed(file, [_Entry(f"name {number}", name.strip()) for number, name in enumerate(names, start=1)])


def means_void(name: str) -> bool:
    """Whether a name means "not labelled" (`__ignore__`, `Void`, `don't care`)."""
    return bare(name) in _NOT_LABELLED


def means_background(name: str) -> bool:
    """Whether a name means what lies around all things (`background`, `_background_`)."""
    return bare(name) in _BACKGROUND


def bare(name: str) -> str:
    """A name without case, blanks and marks, as it is compared."""
    return re.sub(r"[\W_]", "", name.casefold())


def _read(path: Path, *, strict: bool) -> ClassList | None:
    """The list; None where the file is of another kind and need not be a list."""
    text = _text(path)
    if path.suffix.lower() == ".json":
        entries = _json_entries(path, text)
    else:
        entries = _line_entries(path, text)
    if entries is None:
        if not strict:
            return None
        raise DataError(
            f"{path}: classes must be listed as names, one a line, as `name,r,g,b` or as JSON (names, or names with "
            "their values), got something else; name another file or write such a list."
        )
    return _listed(path, entries)


def _large(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > MOST_BYTES


def _text(path: Path) -> str:
    try:
        if _large(path):
            raise DataError(f"{path}: a list of classes may hold at most 1 MiB, got more; name another file.")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: the classes' names must be listed, got no such file; correct the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the classes' names must be UTF-8 text, got: {error}; rewrite it.") from None
    if "\0" in text:
        raise DataError(f"{path}: the classes' names must be UTF-8 text, got zero bytes in it; rewrite it.")
    return text


def _listed(path: Path, entries: Sequence[_Entry]) -> ClassList:
    if not entries:
        raise DataError(f"{path}: classes must be listed, one a line, got an empty file; fill or remove it.")
    numbered = any(entry.value is not None for entry in entries)
    values = tuple(_stored(path, entry) for entry in entries) if numbered else None
    colours = tuple(_number(path, entry) for entry in entries) if any(entry.colour for entry in entries) else None
    shown = [f"value {value}" for value in values or ()]
    painted = ["colour {}, {}, {}".format(*(entry.colour or ())) for entry in entries] if colours else []
    for what in ([entry.name for entry in entries], shown, painted):
        _demand_different(path, entries, what)
    return ClassList(
        file=path,
        names=tuple(entry.name for entry in entries),
        values=values,
        colours=colours,
        void=frozenset(index for index, entry in enumerate(entries) if means_void(entry.name)),
    )


def _demand_different(path: Path, entries: Sequence[_Entry], what: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for entry, item in zip(entries, what, strict=False):
        if not item:
            raise DataError(f"{path}, {entry.where}: a class must have a name, got an empty one; fill or remove it.")
        if item in first:
            raise DataError(
                f"{path}, {entry.where}: classes must differ, got {item!r} on {first[item]} too; correct one."
            )
        first[item] = entry.where


def _stored(path: Path, entry: _Entry) -> int:
    """The value as a mask stores it: -1 is 255 there."""
    if entry.value is None or not -1 <= entry.value <= 65535:
        raise DataError(
            f"{path}, {entry.where}: a class must have a value of 0 to 65535 (or -1, which masks store as 255), "
            f"got {entry.name if entry.value is None else entry.value}; correct it."
        )
    return VOID if entry.value == -1 else entry.value


def _number(path: Path, entry: _Entry) -> int:
    if entry.colour is None or max(entry.colour) > 255:
        raise DataError(
            f"{path}, {entry.where}: a class must have a colour of three numbers, 0 to 255, got "
            f"{entry.name if entry.colour is None else entry.colour}; correct it."
        )
    red, green, blue = entry.colour
    return red << 16 | green << 8 | blue


def _line_entries(path: Path, text: str) -> list[_Entry] | None:
    """The entries of a text file; None where it lists pictures."""
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text.rstrip())] if text.strip() else []
    numbered = [(number, _REMARK.sub("", line)) for number, line in enumerate(lines, 1) if not _ALL_REMARK.match(line)]
    if sum(any(part.endswith(SUFFIXES) for part in line.lower().split()) for line in lines) * 2 > len(lines):
        return None
    for number, line in numbered:
        if not line:
            raise DataError(f"{path}, line {number}: a class must have a name, got an empty line; fill or remove it.")
    for form in (_cvat, _table, _coloured, _valued, _labelme):
        entries = form(path, numbered)
        if entries is not None:
            return entries
    return [_Entry(f"line {number}", line) for number, line in numbered]


_Lines = Sequence[tuple[int, str]]


def _cvat(path: Path, lines: _Lines) -> list[_Entry] | None:
    """`cat:48,112,32::`; the colours may be left out, all of them."""
    matches = [(number, _CVAT.fullmatch(line)) for number, line in lines]
    if not lines or not all(match for _, match in matches):
        return None
    colours = [match[2] and _triple(*match[2].split(",")) for _, match in matches if match]
    return [
        _Entry(f"line {number}", match[1].strip(), colour=colour or None)
        for (number, match), colour in zip(matches, colours, strict=True)
        if match
    ]


def _table(path: Path, lines: _Lines) -> list[_Entry] | None:
    """A table whose first line names its columns: `name,r,g,b`, `Pixel Value, Class`, `Idx Ratio Train Val Name`."""
    if not lines:
        return None
    head = lines[0][1]
    mark = next((mark for mark in ("\t", ",", ";") if mark in head), ",")
    columns = [bare(column) for column in head.split(mark)]
    name = _column(columns, _NAME_COLUMNS)
    value = _column(columns, _VALUE_COLUMNS)
    colour = [_column(columns, names) for names in _COLOUR_COLUMNS]
    if name is None or (value is None and None in colour):
        return None
    needed = max(column for column in (name, value, *colour) if column is not None)
    entries = []
    for number, line in lines[1:]:
        try:
            row = [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
            entry_value = None if value is None else int(row[value])
            triple = None if None in colour else _triple(*(row[column] for column in colour if column is not None))
            entries.append(_Entry(f"line {number}", row[name], entry_value, triple))
        except (ValueError, IndexError, csv.Error):
            raise DataError(
                f"{path}, line {number}: a class must have {needed + 1} columns as in {head!r}, got {line!r}; correct "
                "it."
            ) from None
    return _shortened(entries) if "ratio" in columns else entries


def _column(columns: Sequence[str], names: Sequence[str]) -> int | None:
    return next((columns.index(name) for name in names if name in columns), None)


def _shortened(entries: Sequence[_Entry]) -> list[_Entry]:
    """Names up to the first comma or semicolon, but whole where another class was called so before."""
    taken: set[str] = set()
    short = []
    for entry in entries:
        name = re.split(r"[,;]", entry.name)[0].strip()
        name = entry.name if name in taken else name
        taken.add(name)
        short.append(_Entry(entry.where, name, entry.value, entry.colour))
    return short


def _coloured(path: Path, lines: _Lines) -> list[_Entry] | None:
    """`64 128 64 Animal` or `Animal 64 128 64` on every line."""
    for form, order in ((_COLOUR_FIRST, (4, 1, 2, 3)), (_COLOUR_LAST, (1, 2, 3, 4))):
        matches = [(number, form.fullmatch(line)) for number, line in lines]
        if lines and all(match for _, match in matches):
            parts = [(number, [match[group] for group in order]) for number, match in matches if match]
            return [_Entry(f"line {number}", name, colour=_triple(*rgb)) for number, (name, *rgb) in parts]
    return None


def _triple(red: str, green: str, blue: str) -> tuple[int, int, int]:
    return int(red), int(green), int(blue)


def _valued(path: Path, lines: _Lines) -> list[_Entry] | None:
    """Names with numbers. Where only a blank parts them, the numbers must count from 0 or 1: `2 euro` is a name."""
    for form, first in _MARKED:
        entries = _matched(form, lines, first=first)
        if len({entry.value for entry in entries}) == len(lines) > 0:
            return entries
        if first and len(lines) > len(entries) > len(lines) / 2:
            known = {entry.where for entry in entries}
            where, line = next((f"line {n}", line) for n, line in lines if f"line {n}" not in known)
            raise DataError(
                f"{path}, {where}: a class must have its number as those of the other lines, got {line!r}; write it."
            )
    for form, first in _BLANK:
        entries = _matched(form, lines, first=first)
        counted = [entry.value for entry in entries]
        different = len({entry.name for entry in entries}) == len(lines) > 1
        if different and counted in ([*range(len(lines))], [*range(1, len(lines) + 1)]):
            return entries
    return None


def _matched(form: re.Pattern[str], lines: _Lines, *, first: bool) -> list[_Entry]:
    name, value = (2, 1) if first else (1, 2)
    matches = ((number, form.fullmatch(line)) for number, line in lines)
    return [_Entry(f"line {number}", match[name], int(match[value])) for number, match in matches if match]


def _labelme(path: Path, lines: _Lines) -> list[_Entry] | None:
    """Where the first line is `__ignore__`, values count from -1."""
    if not lines or lines[0][1] != "__ignore__":
        return None
    return [_Entry(f"line {number}", name, value) for value, (number, name) in enumerate(lines, start=-1)]


def _json_entries(path: Path, text: str) -> list[_Entry] | None:
    """A list of names, or names with their values in either direction; `labels` of nnU-Net's dataset.json."""
    try:
        content = json.loads(text, object_pairs_hook=_unique(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: the classes' names must be valid JSON, got: {error}; correct it.") from None
    if isinstance(content, Mapping) and isinstance(content.get("labels"), Mapping | list):
        content = content["labels"]
    elif path.name.lower() == "dataset.json":
        return None
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return [_Entry(f"entry {number}", name.strip()) for number, name in enumerate(content, start=1)]
    if not isinstance(content, Mapping):
        return None
    pairs = [_pair(key, item) for key, item in content.items()]
    if not all(pairs):
        region = next((key for key, item in content.items() if isinstance(item, list)), None)
        if region is not None and path.name.lower() == "dataset.json":
            raise DataError(
                f"{path}: each class must have one value, got several for {region!r} (a region); list the classes in "
                "classes.txt, one a line in the order of the values."
            )
        return None
    found = sorted((pair for pair in pairs if pair), key=lambda pair: pair[1])
    return [_Entry(f"class {name!r}", name, value) for name, value in found]


def _pair(key: str, item: object) -> tuple[str, int] | None:
    """Name and value of `"cat": 1`, `"cat": "1"` or `"1": "cat"`."""
    for name, value in ((item, key), (key, item)):
        if isinstance(name, str) and re.fullmatch(r"-?\d{1,9}", str(value)):
            return name.strip(), int(str(value))
    return None


def _unique(path: Path) -> Callable[[list[tuple[str, object]]], dict[str, object]]:
    def hook(pairs: list[tuple[str, object]]) -> dict[str, object]:
        seen: dict[str, object] = {}
        for key, item in pairs:
            if key in seen:
                raise DataError(f"{path}: classes must differ, got {key!r} twice; correct one.")
            seen[key] = item
        return seen

    return hook
