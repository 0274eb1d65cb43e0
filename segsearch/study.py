"""What a study file says, read from TOML and checked; frozen, and stored whole in the database."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, ValidationError, field_validator, model_validator

from segsearch.errors import StudyError
from segsearch.evidence.objectives import Limit, Objective, objective, read_limit
from segsearch.settings.data import DataSettings
from segsearch.settings.network import LEARNING, NetworkSettings
from segsearch.settings.retrain import RetrainSettings
from segsearch.settings.search import Scalar, SearchSettings, TimingSettings, as_tuple
from segsearch.settings.teacher import TeacherSettings
from segsearch.settings.train import Positive, TrainSettings, demand_crop, is_weights_file
from segsearch.settings.train import Settings as _Frozen
from segsearch.space.candidate import Output

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class Study(_Frozen):
    """A whole study. `trials` counts trained trials; rejected, failed and duplicate ones come on top.

    `output` is what the files answer: the class of each pixel as uint8 (1, height, width), or the classes' scores
    (1, classes, height, width), which somebody else makes a mask of.
    """

    name: Name
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    trials: Positive
    space: Annotated[str, StringConstraints(min_length=1)]
    objectives: tuple[str, ...] = ("miou", "latency_ms")
    limits: tuple[str, ...] = ()
    output: Output = "mask"
    data: DataSettings
    train: TrainSettings
    teacher: TeacherSettings | None = None
    timing: TimingSettings = TimingSettings()
    search: SearchSettings = SearchSettings()
    retrain: RetrainSettings = RetrainSettings()
    network: NetworkSettings | None = None

    _lists = field_validator("objectives", "limits", mode="before")(as_tuple)

    @field_validator("objectives")
    @classmethod
    def _known_objectives(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or len(set(names)) != len(names):
            raise ValueError(f"objectives must hold one or more different names, got {list(names)}")
        for name in names:
            _as_value_error(objective, name)
        return names

    @field_validator("limits")
    @classmethod
    def _readable_limits(cls, limits: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(_as_value_error(read_limit, limit)) for limit in limits)

    @model_validator(mode="before")
    @classmethod
    def _nothing_learns(cls, settings: Any) -> Any:
        """A network that somebody brought and that is only rounded needs no `[train]`."""
        network = settings.get("network") if isinstance(settings, dict) else None
        if isinstance(network, dict) and "train" not in settings and LEARNING.isdisjoint(network.get("ways", LEARNING)):
            return {**settings, "train": {"steps": 2, "crop": 1.0}}
        return settings

    @model_validator(mode="after")
    def _crop_is_large_enough(self) -> Study:
        for name, side in (("height", self.data.height), ("width", self.data.width)):
            demand_crop(self.train.crop, side, where=f"data.{name}")
        return self

    @model_validator(mode="after")
    def _somebody_teaches(self) -> Study:
        if self.data.unlabelled is not None and self.teacher is None:
            raise ValueError(
                "data.unlabelled names images that only a teacher speaks of, and there is no [teacher], got "
                f"{self.data.unlabelled!r}; add one, or leave it out"
            )
        if self.teacher is not None and (first := self.teacher.first) is not None and first >= len(self.search.first):
            raise ValueError(
                f"teacher.first must be one of the study's {len(self.search.first)} first designs, counted from 0, got "
                f"{first}; [[search.first]] names them"
            )
        return self

    @model_validator(mode="after")
    def _one_beginning(self) -> Study:
        if self.network is not None and self.train.pretrained != "none":
            raise ValueError(
                f"[network] has weights of its own, got train.pretrained = {self.train.pretrained!r} beside it; "
                "leave one of them out"
            )
        return self

    @property
    def goals(self) -> tuple[Objective, ...]:
        return tuple(objective(name) for name in self.objectives)

    @property
    def bounds(self) -> tuple[Limit, ...]:
        return tuple(read_limit(limit) for limit in self.limits)


def _as_value_error(read: Any, text: str) -> Any:
    try:
        return read(text)
    except StudyError as error:
        raise ValueError(str(error)) from None


def read_study(path: Path) -> Study:
    """Read and check a study file. Relative paths in it are made absolute from its folder.

    Those are `space`, `data.root`, `train.pretrained`, `network.file`, `teacher.file`, `teacher.database` and
    `search.after`.
    Raises `StudyError` with one line for the first thing that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise StudyError(f"{path}: no such study file; `segsearch new DATA --out {path}` writes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read as a study file: {error}.") from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path}: not valid TOML: {error}.") from None
    study = parse_study(raw, where=str(path))
    return _with_absolute_paths(study, path.resolve().parent)


def study_from(settings: Mapping[str, Any], folder: Path, *, where: str = "the study") -> Study:
    """A study of settings that a program made, in the structure of a study file; relative paths are from `folder`.

    Raises as `read_study` does.
    """
    return _with_absolute_paths(parse_study(_as_toml(settings), where=where), folder.resolve())


def _as_toml(value: Any) -> Any:
    """What TOML would hold: tables, lists, and paths as words; what is None is not said."""
    if isinstance(value, Mapping):
        return {key: _as_toml(part) for key, part in value.items() if part is not None}
    if isinstance(value, (list, tuple)):
        return [_as_toml(part) for part in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def parse_study(raw: Mapping[str, Any], *, where: str) -> Study:
    """Check settings that were already read. Raises `StudyError` naming `where` and the key."""
    try:
        study = Study.model_validate(dict(raw))
    except ValidationError as error:
        raise StudyError(f"{where}: {_first_problem(error)}") from None
    if study.search.references:  # not asked of a stored study: its names stay, whatever a newer segsearch knows
        from segsearch.references.names import demand_references

        demand_references(study.search.references, where=f"{where}: search.references")
    if study.teacher is not None and study.teacher.reference is not None:
        from segsearch.references.names import demand_references

        demand_references((study.teacher.reference,), where=f"{where}: teacher.reference")
    return study


def search_with(settings: SearchSettings, changes: Mapping[str, Any]) -> SearchSettings:
    """The settings of a search with some changed, those that are not None. Raises `StudyError` where that cannot be.

    Whoever names a gain to stop at means that the search is to stop there.
    """
    said = {key: value for key, value in changes.items() if value is not None}
    said |= {"stop": "converged"} if "stop_gain" in said else {}
    try:
        return SearchSettings.model_validate({**settings.model_dump(exclude_unset=True), **said})
    except ValidationError as error:
        raise StudyError(f"search: {_first_problem(error)}") from None


# What a study meant that was stored before there was such a setting.
ONCE: Mapping[str, Scalar] = {
    "output": "scores",
    "train.recipe": 1,
    "search.startup_on_top": False,
    "train.fine_tune_on_top": False,
    "data.levels": "high_byte",
}


def as_begun(study: Study, stored: Study) -> Study:
    """A study that is carried on: where its file says nothing of a newer setting, what it meant when it was begun."""
    settings, begun = study.model_dump(exclude_unset=True), flat(stored.model_dump())
    said = flat(settings)
    for key, value in ONCE.items():
        if key not in said and begun[key] == value:
            say(settings, key, value)
    if study.teacher is not None and "teacher.better_by" not in said and begun.get("teacher.better_by") == 0:
        say(settings, "teacher.better_by", 0.0)
    after, before = study.search.after, stored.search.after
    if not after or [_last_parts(where) for where in after] == [_last_parts(where) for where in before]:
        settings.setdefault("search", {})["after"] = before  # read when it began; they may lie elsewhere now
    return Study.model_validate(settings)


def _last_parts(where: str) -> tuple[str, ...]:
    return Path(where).parts[-2:]


def say(settings: dict[str, Any], key: str, value: Scalar) -> None:
    """Write one setting by its dotted key, where nothing is said of it."""
    *sections, last = key.split(".")
    for name in sections:
        settings = settings.setdefault(name, {})
    settings.setdefault(last, value)


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every setting by its dotted key."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def load_study(stored: str) -> Study:
    """The study of a database row written by `dump_study`; of before a teacher had to be better, it need not be."""
    settings = json.loads(stored)
    if settings.get("teacher") is not None:
        settings["teacher"].setdefault("better_by", 0.0)
    return Study.model_validate_json(json.dumps(settings))


def dump_study(study: Study) -> str:
    return study.model_dump_json()


def _with_absolute_paths(study: Study, folder: Path) -> Study:
    changes: dict[str, Any] = {}
    if study.space.endswith(".py"):
        changes["space"] = str((folder / Path(study.space).expanduser()).resolve())
    if study.data.root is not None:
        root = str((folder / Path(study.data.root).expanduser()).resolve())
        changes["data"] = study.data.model_copy(update={"root": root})
    if is_weights_file(study.train.pretrained):
        pretrained = str((folder / Path(study.train.pretrained).expanduser()).resolve())
        changes["train"] = study.train.model_copy(update={"pretrained": pretrained})
    if study.teacher is not None:
        named = {"file": study.teacher.file, "database": study.teacher.database}
        lies = {
            key: str((folder / Path(words).expanduser()).resolve())
            for key, words in named.items()
            if words is not None and "://" not in words
        }
        changes["teacher"] = study.teacher.model_copy(update=lies)
    if study.search.after:
        after = tuple(
            where if "://" in where else str((folder / Path(where).expanduser()).resolve())
            for where in study.search.after
        )
        changes["search"] = study.search.model_copy(update={"after": after})
    if study.network is not None:
        file = str((folder / Path(study.network.file).expanduser()).resolve())
        changes["network"] = study.network.model_copy(update={"file": file})
    return study.model_copy(update=changes)


def _first_problem(error: ValidationError) -> str:
    problems = error.errors()
    # A misspelt key is missing under its right name too: the misspelling is what to show.
    problem = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    location = problem["loc"]
    key = ".".join(map(str, location)) or "the study"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}; known here: {', '.join(_known_keys(location[:-1]))}."
    if problem["type"] == "missing":
        return f"{key!r} is missing; add it."
    if location[:2] == ("teacher", "choices") and len(location) > 3:  # pydantic names each type that it tried
        return f"{'.'.join(map(str, location[:3]))}: must be a string or a number, got {problem['input']!r}."
    message = problem["msg"].removeprefix("Value error, ").rstrip(".")
    got = "" if "got " in message or isinstance(problem["input"], Mapping) else f", got {problem['input']!r}"
    return f"{key}: {message}{got}." if location else f"{message}{got}."  # what belongs to no one table names its keys


def _known_keys(location: Sequence[int | str]) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "data": DataSettings,
        "train": TrainSettings,
        "teacher": TeacherSettings,
        "timing": TimingSettings,
        "search": SearchSettings,
        "retrain": RetrainSettings,
        "network": NetworkSettings,
    }
    model = sections.get(str(location[0]), Study) if location else Study
    return list(model.model_fields)
