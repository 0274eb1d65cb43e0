"""What `[data]` of a study says: which data set, who trains and who judges, and what its masks' values mean."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from segsearch.settings.train import Positive, Settings

MOST_VALUE = 65535
MOST_CLASS = 254
Class = int | Literal["void"]

_VALUES = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_COLOUR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class Rule:
    """Stored values `low` to `high`, both included, are class `index`; None is void. Of a colour both are 0xRRGGBB."""

    low: int
    high: int
    index: int | None


class DataSettings(Settings):
    """`[data]`: which data set. `height` and `width` are the size that the exported model takes, in pixels.

    `train`, `validation` and `test` are folders or lists ending in .txt; the test split is kept aside. Without `map`
    and `colours` a mask holds the classes' numbers and `void`. `map` says what stored values are (`"1" = 0`,
    `"128-255" = 1`, `"0" = "void"`), `colours` what colours are (`"#ff0000" = 1`); `void` is then what void pixels
    become. `levels` are the stored values of 16-bit and float images that are shown as black and as white. `exif` is
    whether files are turned as their EXIF orientation says.
    """

    kind: Literal["synthetic", "folders"]
    height: Annotated[int, Field(ge=32, le=8192)]
    width: Annotated[int, Field(ge=32, le=8192)]
    root: str | None = None
    images: str = "images"
    masks: str = "masks"
    train: str = "train"
    validation: str = "val"
    test: str | None = None
    classes: str = "classes.txt"
    void: Annotated[int, Field(ge=0, le=255)] = 255
    map: Mapping[str, Class] | None = None
    colours: Mapping[str, Class] | None = None
    levels: tuple[float, float] | Literal["high_byte"] | None = None
    unlabelled: Annotated[str, Field(min_length=1)] | None = None
    exif: Literal["turn", "ignore"] = "turn"
    train_count: Positive = 192
    validation_count: Positive = 48

    @field_validator("levels", mode="before")
    @classmethod
    def _black_below_white(cls, value: Any) -> Any:
        if value is None or value == "high_byte":
            return value
        numbers = isinstance(value, (list, tuple)) and all(type(one) in (int, float) for one in value)
        if not numbers or len(value) != 2 or not value[0] < value[1]:
            raise ValueError(f"levels must be the values of black and of white, the smaller first, got {value!r}")
        return tuple(value)

    @field_validator("map", "colours", mode="before")
    @classmethod
    def _classes_or_void(cls, written: Any) -> Any:
        for stored, meant in written.items() if isinstance(written, Mapping) else ():
            if meant != "void" and not (type(meant) is int and 0 <= meant <= MOST_CLASS):
                raise ValueError(f"{stored} must be a class by its line in the list, from 0, or 'void', got {meant!r}")
        return written

    @field_validator("map")
    @classmethod
    def _readable_values(cls, written: Mapping[str, Class] | None) -> Mapping[str, Class] | None:
        if written is not None:
            _demand_apart(_rules_of_values(written))
        return written

    @field_validator("colours")
    @classmethod
    def _readable_colours(cls, written: Mapping[str, Class] | None) -> Mapping[str, Class] | None:
        if written is None:
            return None
        for text in written:
            if not _COLOUR.fullmatch(text.lower()):
                raise ValueError(f'a colour must be written as "#rrggbb", got {text!r}')
        lower = {text.lower(): found for text, found in written.items()}
        if len(lower) != len(written):
            raise ValueError("each colour must stand once, got one in two spellings")
        return lower

    @model_validator(mode="after")
    def _one_way_to_read(self) -> DataSettings:
        if self.kind == "folders" and not self.root:
            raise ValueError("root must name the folder with images and masks where kind is 'folders'")
        if self.kind != "folders" and self.unlabelled is not None:
            raise ValueError(
                f"unlabelled is a folder beside images with masks, got {self.unlabelled!r} where kind is "
                f"{self.kind!r}; leave it out"
            )
        if self.map is not None and self.colours is not None:
            raise ValueError("map reads stored values and colours reads colours: give one of them")
        return self

    @property
    def rules(self) -> tuple[Rule, ...] | None:
        """What stored values or colours are, as `map` or `colours` says; None where values are the classes' numbers."""
        if self.map is not None:
            return _rules_of_values(self.map)
        if self.colours is not None:
            numbers = {int(text[1:], 16): _index(found) for text, found in self.colours.items()}
            return tuple(Rule(colour, colour, index) for colour, index in sorted(numbers.items()))
        return None


def _rules_of_values(written: Mapping[str, Class]) -> tuple[Rule, ...]:
    rules = []
    for text, found in written.items():
        match = _VALUES.fullmatch(text.strip())
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not low <= high <= MOST_VALUE:
            raise ValueError(f'a stored value must be written as "7" or "128-255", up to {MOST_VALUE}, got {text!r}')
        rules.append(Rule(low, high, _index(found)))
    return tuple(sorted(rules, key=lambda rule: rule.low))


def _index(found: Class) -> int | None:
    return None if found == "void" else found


def _demand_apart(rules: tuple[Rule, ...]) -> None:
    for before, after in itertools.pairwise(rules):
        if after.low <= before.high:
            raise ValueError(f"each stored value must stand once in map, got {after.low} twice")
