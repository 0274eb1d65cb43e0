"""A model that is put to use: an exported folder, a file or a stored trial, with all that feeding it asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segsearch.datasets.decode import Exif, Levels
from segsearch.errors import DataError, StudyError
from segsearch.handover.about import ABOUT, FORMAT
from segsearch.handover.forms import PREFIX
from segsearch.masks.paint import class_colours
from segsearch.space.candidate import Output
from segsearch.workshop import Artifacts, sha256_of

if TYPE_CHECKING:
    from segsearch.store import StudyRow

# So many classes a mask of bytes can hold: what is taken where nothing tells how many there are.
MOST_CLASSES = 256

_STORED = re.compile(r"[0-9a-f]{64}\.onnx")


@dataclass(frozen=True)
class Model:
    """A file that segsearch made, and how it is fed and read.

    It takes RGB images of `height` x `width` pixels, which `levels` and `exif` say how to read (`datasets.decode`).
    Each class has a colour, `#rrggbb`; where `named` is False the classes are only numbered, because nothing says
    their names. `title` is what the model is called.
    """

    path: Path
    title: str
    height: int
    width: int
    classes: tuple[str, ...]
    colours: tuple[str, ...]
    named: bool
    levels: Levels
    exif: Exif


@dataclass(frozen=True)
class Graph:
    """What a file of ours says of itself; `classes` is None where that cannot be seen."""

    height: int
    width: int
    answers: Output
    classes: int | None
    about: Mapping[str, str]


# ---- an exported folder


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


Side = Annotated[int, Field(ge=1, le=65535)]


class _File(_Part):
    file: str
    answers: Literal["mask", "scores"]
    sha256: str


class _Range(_Part):
    black: float
    white: float


class _Input(_Part):
    height: Side
    width: Side
    levels: _Range | Literal["high_byte"] | None


class _Class(_Part):
    index: int
    name: str
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class _About(_Part):
    name: str = ""
    files: Annotated[tuple[_File, ...], Field(min_length=1)]
    input: _Input
    exif: Exif
    classes: Annotated[tuple[_Class, ...], Field(min_length=1, max_length=MOST_CLASSES)]


def from_folder(folder: Path) -> Model:
    """The model of an exported folder; the file that answers a mask where there is one.

    Raises `StudyError` where the folder is none, its `model.json` is not as it was written, names a file that is not
    in the folder, or one whose bytes have changed.
    """
    about = _about(folder)
    entry = next((one for one in about.files if one.answers == "mask"), about.files[0])
    path = _inside(folder, entry.file)
    if sha256_of(path) != entry.sha256:
        raise StudyError(f"{path}: must hold the bytes that {ABOUT} tells of; it was changed. Export the model anew.")
    listed = sorted(about.classes, key=lambda one: one.index)
    if [one.index for one in listed] != list(range(len(listed))):
        raise StudyError(f"{folder / ABOUT}: classes must be numbered from 0 on, each once; export the model anew.")
    graph = graph_of(path)
    fed = (about.input.height, about.input.width)
    if (graph.height, graph.width) != fed or graph.classes not in (None, len(listed)):
        raise StudyError(
            f"{folder / ABOUT}: says {_sides(*fed)} and {len(listed)} classes, and {path.name} has "
            f"{_sides(graph.height, graph.width)} and {graph.classes or len(listed)}; export the model anew."
        )
    return Model(
        path=path,
        title=about.name or folder.resolve().name,
        height=graph.height,
        width=graph.width,
        classes=tuple(one.name for one in listed),
        colours=tuple(one.colour for one in listed),
        named=True,
        levels=_levels(about.input.levels, folder / ABOUT),
        exif=about.exif,
    )


def _about(folder: Path) -> _About:
    path = folder / ABOUT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        database = folder / "study.db"
        cure = f"name its database, {database}" if database.is_file() else "name a folder that segsearch exported"
        raise StudyError(f"{folder}: a folder must hold {ABOUT} to be a model, got none; {cure}.") from None
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read: {error}. Export the model anew.") from None
    told = found.get("format") if isinstance(found, dict) else None
    if told != FORMAT:
        raise StudyError(f"{path}: its format must be {FORMAT}, got {told!r}; use the segsearch that wrote it.")
    try:
        return _About.model_validate(found)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise StudyError(f"{path}: {where}: {problem['msg']}; export the model anew.") from None


def _inside(folder: Path, name: str) -> Path:
    """A file that `model.json` names: in the folder or below it, and there."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or "\\" in name:
        raise StudyError(f"{folder / ABOUT}: its files must lie in its folder, got {name!r}; export the model anew.")
    if not path.is_file():
        raise StudyError(f"{path}: {ABOUT} names this file, and it is not there. Copy the folder whole.")
    return path


def _levels(found: _Range | Literal["high_byte"] | None, where: Path) -> Levels:
    if not isinstance(found, _Range):
        return found
    if not found.black < found.white:
        raise StudyError(
            f"{where}: levels must be those of black and of white, the smaller first, got {found.black:g} and "
            f"{found.white:g}; export the model anew."
        )
    return found.black, found.white


# ---- a file


def from_file(path: Path) -> Model:
    """An .onnx file alone: what its metadata tell of it, and where they tell nothing what a study has by itself.

    A file that is named by its SHA-256 is held to it. Raises `StudyError` where it is none of ours, `DatabaseError`
    where its bytes have changed.
    """
    graph = graph_of(path)
    if _STORED.fullmatch(path.name):
        Artifacts(path.parent).verified(path.name)
    told = {key.removeprefix(PREFIX): text for key, text in graph.about.items() if key.startswith(PREFIX)}
    names, colours = (_list_in(told.get(key), key, path) for key in ("classes", "colours"))
    exif = told.get("exif", "turn")
    if exif not in ("turn", "ignore"):
        raise _metadata(path, "exif", exif)
    return _described(
        path,
        graph,
        title=path.name if len(path.name) < 64 else f"{path.stem[:12]}...{path.suffix}",
        names=names,
        colours=colours,
        levels=_levels_in(told.get("levels"), path),
        exif="turn" if exif == "turn" else "ignore",
    )


def from_study(row: StudyRow, artifact: str, *, title: str) -> Model:
    """A stored file of a study, read as the study reads its images. Raises as `from_file` does."""
    from segsearch.datasets import classes_of
    from segsearch.settings.texts import texts_of

    data, names = row.study.data, tuple[str, ...]()
    path = row.artifacts.verified(artifact)
    with suppress(DataError):  # lists that were not kept, of data that are elsewhere: the classes are numbered
        names = classes_of(data, row.texts if row.texts is not None else texts_of(data))
    return _described(path, graph_of(path), title=title, names=names, colours=(), levels=data.levels, exif=data.exif)


def _described(
    path: Path,
    graph: Graph,
    *,
    title: str,
    names: Sequence[str],
    colours: Sequence[str],
    levels: Levels,
    exif: Exif,
) -> Model:
    if names and graph.classes not in (None, len(names)):
        raise StudyError(f"{path}: {len(names)} classes are named, and the file has {graph.classes}; export it anew.")
    classes = tuple(names) or tuple(map(str, range(graph.classes or MOST_CLASSES)))
    known = len(colours) == len(classes)
    return Model(
        path=path,
        title=title,
        height=graph.height,
        width=graph.width,
        classes=classes,
        colours=tuple(colours) if known else class_colours(classes),
        named=bool(names),
        levels=levels,
        exif=exif,
    )


def _list_in(text: str | None, key: str, path: Path) -> tuple[str, ...]:
    """The words of a list in the metadata; none where there is no such list."""
    if text is None:
        return ()
    found = _json(text)
    words = isinstance(found, list) and 0 < len(found) <= MOST_CLASSES and all(isinstance(one, str) for one in found)
    if not words or (key == "colours" and not all(re.fullmatch(r"#[0-9a-fA-F]{6}", one) for one in found)):
        raise _metadata(path, key, text)
    return tuple(found)


def _levels_in(text: str | None, path: Path) -> Levels:
    if text is None:
        return None
    if text == "high_byte":
        return "high_byte"
    found = _json(text)
    try:
        return _levels(_Range.model_validate(found), path)
    except ValidationError:
        raise _metadata(path, "levels", text) from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _metadata(path: Path, key: str, text: str) -> StudyError:
    return StudyError(f"{path}: its metadata {PREFIX}{key} must be as segsearch writes it, got {text[:80]!r}.")


# ---- the graph


def graph_of(path: Path) -> Graph:
    """What a file says of itself. Raises `StudyError` where it is not an ONNX file, or none that segsearch made."""
    from segsearch.runtimes.external import load_graph

    found = load_graph(path)
    weights = {tensor.name for tensor in found.graph.initializer}
    inputs = [value for value in found.graph.input if value.name not in weights]
    names = [value.name for value in inputs], [value.name for value in found.graph.output]
    sides = [side.dim_value for value in inputs for side in value.type.tensor_type.shape.dim]
    answers: Mapping[str, Output] = {"mask": "mask", "scores": "scores"}
    ours = names[0] == ["image"] and len(names[1]) == 1 and names[1][0] in answers
    if not ours or len(sides) != 4 or sides[:2] != [1, 3] or min(sides) < 1:
        takes, gives = (", ".join(side) or "nothing" for side in names)
        raise StudyError(
            f"{path}: must be a file that segsearch made, which takes image (1, 3, height, width) and answers mask or "
            f"scores; this one takes {takes} {sides} and answers {gives}."
        )
    about = {entry.key: entry.value for entry in found.metadata_props}
    return Graph(sides[2], sides[3], answers[names[1][0]], _classes_in(path, answers[names[1][0]]), about)


def _classes_in(path: Path, answers: Output) -> int | None:
    """How many scores a pixel has, or its class is chosen from; None where that cannot be seen."""
    from segsearch.runtimes import RUNTIMES
    from segsearch.runtimes.graphs import with_scores

    with TemporaryDirectory(prefix="segsearch-predict-") as scratch:
        try:
            asked = path if answers == "scores" else with_scores(path, Path(scratch) / "scores.onnx")
            session = RUNTIMES["onnxruntime"].open(asked, threads=1)
            shape = session.run(np.zeros(session.shape, dtype=np.float32)).shape
        except Exception:  # no one choice of classes, or a file that cannot be run, which is told where it is opened
            return None
    return int(shape[1]) if len(shape) == 4 and 1 <= shape[1] <= MOST_CLASSES else None


def _sides(height: int, width: int) -> str:
    return f"{width}x{height}"
