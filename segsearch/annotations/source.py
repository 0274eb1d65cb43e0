"""Opening what may be annotations: a folder walked, JSON parsed, XML looked at, all without trusting any of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

from segsearch.annotations.types import Source
from segsearch.errors import DataError
from segsearch.workshop import Progress, silent

_CHUNK_BYTES = 1 << 16


def open_source(path: Path, *, progress: Progress = silent) -> Source:
    """What lies at `path`. Raises `DataError` where nothing does, or where a JSON file cannot be read."""
    if path.is_dir():
        return _folder(path, progress)
    if not path.exists():
        raise DataError(f"{path}: annotations must be a file or a folder, got no such path; correct it.")
    suffix = path.suffix.lower()
    if suffix == ".zip":
        raise DataError(f"{path}: annotations must be unpacked, got a ZIP file; unpack it and name the folder.")
    if suffix in (".txt", ".yaml", ".yml"):
        raise DataError(
            f"{path}: a YOLO data set must be named by its folder, got one file of it; give {path.parent} instead."
        )
    if path.stat().st_size == 0:
        raise DataError(f"{path}: annotations must be a file with something in it, got an empty one; export it again.")
    jsons = {path: _read_json(path)} if suffix == ".json" else {}
    return Source(
        path=path,
        root=Path(os.path.abspath(path)).parent,
        jsons={file: content for file, content in jsons.items() if kind_of(content)},
        xmls=(path,) if suffix == ".xml" else (),
        texts=(),
        strange=tuple(file for file, content in jsons.items() if not kind_of(content)),
    )


def _folder(path: Path, progress: Progress) -> Source:
    files = sorted(_files(path))
    listed = [file for file in files if file.suffix.lower() == ".json"]
    jsons, strange = dict[Path, Any](), list[Path]()
    for done, file in enumerate(listed, start=1):
        content = _read_json(file)
        kind = kind_of(content)
        if kind is None:
            strange.append(file)
            continue
        if kind == "coco" and len(listed) > 1:
            # Such a file may be of gigabytes, and so may be the others.
            raise DataError(
                f"{path}: a folder must hold one COCO file, got {len(listed)} JSON files, {file.name} of COCO among "
                "them; name the file that is meant, or several files of the same classes."
            )
        jsons[file] = content
        progress("reading annotations", done, len(listed))
    return Source(
        path=path,
        root=Path(os.path.abspath(path)),
        jsons=jsons,
        xmls=tuple(file for file in files if file.suffix.lower() == ".xml"),
        texts=tuple(file for file in files if file.suffix.lower() == ".txt"),
        strange=tuple(strange),
    )


def _files(root: Path) -> Iterator[Path]:
    """Files below a folder, but for hidden ones."""
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from (Path(folder) / name for name in names if not name.startswith("."))


def kind_of(content: Any) -> str | None:
    """`coco` or `labelme`, by the keys that only they have; None for other JSON."""
    if not isinstance(content, dict):
        return None
    if "shapes" in content:
        return "labelme"
    return "coco" if {"images", "annotations"} <= content.keys() else None


def _read_json(path: Path) -> Any:
    """A parsed file, without the images that LabelMe may put inside."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        what = "an empty file" if path.stat().st_size == 0 else f"{error.msg} on line {error.lineno}"
        raise DataError(f"{path}: a JSON file must be whole, got {what}; export it again.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: a JSON file must be UTF-8 text, got {error}; export it again.") from None
    except RecursionError:
        raise DataError(f"{path}: annotations must not be nested so deep; export the file again.") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise DataError(f"{path}: a JSON file must be readable, got: {error}; export it again.") from None
    if isinstance(content, dict) and "shapes" in content:
        content.pop("imageData", None)
    return content


def root_tag(path: Path) -> str:
    """The name of an XML file's root. Raises `DataError` where it declares anything (DOCTYPE) or cannot be parsed.

    Nothing is declared after the root begins, so that what passes here has no entities of its own.
    """
    found = list[str]()
    parser = expat.ParserCreate()

    def declared(*_: object) -> None:
        raise DataError(
            f"{path}: an XML file must declare nothing, got a DOCTYPE on line {parser.CurrentLineNumber}; "
            "remove it, or export the annotations again."
        )

    parser.StartDoctypeDeclHandler = declared
    parser.StartElementHandler = lambda name, _: found.append(name)
    try:
        with path.open("rb") as stream:
            while not found:
                chunk = stream.read(_CHUNK_BYTES)
                parser.Parse(chunk, not chunk)
                if not chunk:
                    break
    except expat.ExpatError as error:
        raise broken_xml(path, expat.ErrorString(error.code), error.lineno) from None
    except (LookupError, ValueError) as error:
        raise DataError(f"{path}: an XML file must be in a known encoding, got: {error}; export it again.") from None
    return found[0]


def broken_xml(path: Path, what: str, line: int) -> DataError:
    what = "an empty file" if path.stat().st_size == 0 else f"{what} on line {line}"
    return DataError(f"{path}: an XML file must be whole, got {what}; export it again.")


def contents(source: Source) -> str:
    """What lies there, for a refusal: the keys of a JSON file, the root of an XML file, or some names."""
    if source.path.is_dir():
        names = sorted(path.name for path in source.path.iterdir())
        return f"{', '.join(names[:4])}{' and more' if len(names) > 4 else ''}" if names else "an empty folder"
    if source.strange:
        return "JSON with neither `images` and `annotations` nor `shapes`"
    if source.xmls:
        return f"XML whose root is <{root_tag(source.path)}>"
    return f"a {source.path.suffix or 'nameless'} file"
