"""What a person says of a model's inputs: shapes of those that are open, values of those that are no pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from segsearch.errors import StudyError
from segsearch.runtimes.types import Value

_SHAPE = re.compile(r"(?:(?P<name>.+)[=:])?(?P<sides>[0-9]{1,9}(?:[x,][0-9]{1,9})*)")
_VALUES = re.compile(r"(?P<name>.+)[=:](?P<numbers>[^=:]+)")
_WHOLE = re.compile(r"\s*[-+]?[0-9]{1,20}\s*")
# Beside a picture, an input of so few numbers settles what is computed: a size, a factor, a switch.
FEW = 16


@dataclass(frozen=True)
class Input:
    """An input as it is fed: its type by numpy's name, its shape, and its values where they are not noise or zeros."""

    name: str
    kind: str
    shape: tuple[int, ...]
    values: tuple[Value, ...] = ()

    @property
    def words(self) -> str:
        """`image: float32 1x3x360x480`, `size: int64 4 = 1,5,64,96`."""
        sides = "x".join(map(str, self.shape)) or "one number"
        given = f" = {','.join(f'{value:g}' if isinstance(value, float) else str(value) for value in self.values)}"
        return f"{self.name}: {self.kind} {sides}{given if self.values else ''}"

    @property
    def zeros(self) -> bool:
        """Whether it is fed zeros: whole numbers that are no pixels may be indices."""
        return not self.values and not self.kind.startswith("float") and self.kind != "uint8"


def inputs_of(found: onnx.ModelProto) -> tuple[onnx.ValueInfoProto, ...]:
    """The inputs that a model is fed: older exporters list every weight beside them."""
    constants = {tensor.name for tensor in found.graph.initializer}
    return tuple(value for value in found.graph.input if value.name not in constants)


def settled_inputs(
    model: Path,
    found: onnx.ModelProto,
    shapes: Sequence[str],
    values: Sequence[str],
    *,
    elsewhere: Collection[str] = (),
) -> tuple[Input, ...]:
    """What each input of a model is fed, from what was said of them.

    `shapes` are as in `1x3x360x480`, or `image:1x3x360x480`; `values` as in `size=1,5,64,96`, or with one number for
    all. Names in `elsewhere` are another model's inputs. Raises `StudyError` where something is missing, is not what it
    must look like, or does not fit.
    """
    inputs = inputs_of(found)
    if not inputs:
        raise StudyError(f"{model}: a model to time must have an input; this one has none.")
    for value in inputs:
        if not value.type.HasField("tensor_type"):
            raise StudyError(f"{model}: a model to time takes tensors, and its input {value.name} is none.")
    sides = _shapes_by_name(model, inputs, shapes, elsewhere)
    numbers = _values_by_name(model, inputs, values, elsewhere)
    for value in inputs:  # the shape of a list of numbers is how many were given
        if value.name in numbers and value.name not in sides and _is_open(value) and _rank(value) == 1:
            sides[value.name] = ([len(numbers[value.name][0])], "")
    _demand_shapes(model, inputs, sides)
    return tuple(
        _settled(model, value, sides.get(value.name), numbers.get(value.name), alone=len(inputs) == 1)
        for value in inputs
    )


def fix_shapes(found: onnx.ModelProto, settled: Sequence[Input]) -> bool:
    """Write the shapes into a graph; whether there was an open one."""
    sides = {one.name: one.shape for one in settled}
    fixed = False
    for value in inputs_of(found):
        if _is_open(value):
            fixed = True
            tensor = value.type.tensor_type
            tensor.shape.ClearField("dim")
            for want in sides[value.name]:
                tensor.shape.dim.add().dim_value = want
    for value in (*found.graph.output, *found.graph.value_info) if fixed else ():
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")  # they follow from the inputs'
    return fixed


def _rank(value: onnx.ValueInfoProto) -> int | None:
    """None of an input that may have any rank."""
    tensor = value.type.tensor_type
    return len(tensor.shape.dim) if tensor.HasField("shape") else None


def _is_open(value: onnx.ValueInfoProto) -> bool:
    return _rank(value) is None or any(side.dim_value <= 0 for side in value.type.tensor_type.shape.dim)


def _now(value: onnx.ValueInfoProto) -> str:
    """The shape as the file has it: `1x3xheightx?`."""
    if _rank(value) is None:
        return "any"
    dims = value.type.tensor_type.shape.dim
    return (
        "x".join(str(side.dim_value) if side.dim_value > 0 else side.dim_param or "?" for side in dims) or "one number"
    )


def _kind(value: onnx.ValueInfoProto) -> str:
    """The type by numpy's name, where numpy has one."""
    number = value.type.tensor_type.elem_type
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(number).name)
    except (KeyError, TypeError, ValueError):
        return f"type {number}"


def _named(
    model: Path, inputs: Sequence[onnx.ValueInfoProto], name: str, text: str, option: str, elsewhere: Collection[str]
) -> bool:
    """Whether a name is one of this model's inputs, and not only of the other one's."""
    names = [value.name for value in inputs]
    if name not in names and name not in elsewhere:
        raise StudyError(f"{model}: {option} must name an input, got {text!r}; this model has {', '.join(names)}.")
    return name in names


def _shapes_by_name(
    model: Path, inputs: Sequence[onnx.ValueInfoProto], shapes: Sequence[str], elsewhere: Collection[str]
) -> dict[str, tuple[list[int], str]]:
    found: dict[str, tuple[list[int], str]] = {}
    first = inputs[0].name
    for text in shapes:
        match = _SHAPE.fullmatch(text.strip())
        if match is None:
            raise StudyError(f"--shape must look like 1x3x360x480 or {first}:1x3x360x480, got {text!r}.")
        sides = [int(side) for side in re.split("[x,]", match["sides"])]
        if min(sides) < 1:
            raise StudyError(f"--shape must hold sizes of at least 1, got {text!r}.")
        if match["name"] is None and len(inputs) > 1:
            listed = ", ".join(f"{value.name} ({_now(value)})" for value in inputs)
            raise StudyError(
                f"{model}: has {len(inputs)} inputs: {listed}. Say whose shape it is, "
                f"as in --shape {first}:1x3x360x480; got {text!r}."
            )
        name = match["name"] or first
        if not _named(model, inputs, name, text, "--shape", elsewhere):
            continue
        if name in found:
            raise StudyError(f"--shape must be given once for each input, got {found[name][1]!r} and {text!r}.")
        found[name] = sides, text
    return found


def _values_by_name(
    model: Path, inputs: Sequence[onnx.ValueInfoProto], values: Sequence[str], elsewhere: Collection[str]
) -> dict[str, tuple[list[Value], str]]:
    found: dict[str, tuple[list[Value], str]] = {}
    for text in values:
        match = _VALUES.fullmatch(text.strip())
        numbers = [] if match is None else [_as_number(one) for one in match["numbers"].split(",")]
        given = [one for one in numbers if one is not None]
        if match is None or len(given) != len(numbers):
            example = next((value.name for value in inputs if len(inputs) > 1 and _rank(value) in (0, 1)), "size")
            raise StudyError(f"--value must look like {example}=1,5,64,96, got {text!r}.")
        if not _named(model, inputs, match["name"], text, "--value", elsewhere):
            continue
        if match["name"] in found:
            raise StudyError(
                f"--value must be given once for each input, got {found[match['name']][1]!r} and {text!r}."
            )
        found[match["name"]] = given, text
    return found


def _as_number(text: str) -> Value | None:
    if _WHOLE.fullmatch(text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _demand_shapes(
    model: Path, inputs: Sequence[onnx.ValueInfoProto], sides: Mapping[str, tuple[list[int], str]]
) -> None:
    """Raise `StudyError` naming every input whose shape is open and was not given."""
    left = [value for value in inputs if _is_open(value) and value.name not in sides]
    if not left:
        return
    alone = len(inputs) == 1
    options = " ".join(f"--shape {'' if alone else f'{value.name}:'}{_example(_now(value))}" for value in left)
    if len(left) == 1:
        raise StudyError(f"{model}: {left[0].name} has no fixed shape ({_now(left[0])}). Give one: {options}.")
    listed = ", ".join(f"{value.name} ({_now(value)})" for value in left)
    raise StudyError(f"{model}: {len(left)} inputs have no fixed shape: {listed}. Give each one: {options}.")


def _settled(
    model: Path,
    value: onnx.ValueInfoProto,
    sides: tuple[list[int], str] | None,
    numbers: tuple[list[Value], str] | None,
    *,
    alone: bool,
) -> Input:
    dims, rank, kind = value.type.tensor_type.shape.dim, _rank(value), _kind(value)
    shape = tuple(sides[0]) if sides else tuple(side.dim_value for side in dims)
    if sides and rank is not None:
        fits = len(shape) == rank and all(
            side.dim_value <= 0 or side.dim_value == want for side, want in zip(dims, shape, strict=True)
        )
        if not fits:
            got = repr(sides[1]) if sides[1] else f"{len(shape)} values"
            raise StudyError(f"{model}: --shape must fit the input {value.name} ({_now(value)}), got {got}.")
    count = math.prod(shape)
    if numbers is None:
        if not alone and count <= FEW and kind != "object":
            many = f"{count} numbers" if count > 1 else "a number"
            example = ",".join(["NUMBER"] * count) if count <= 6 else "NUMBER,NUMBER,..."
            raise StudyError(
                f"{model}: {value.name} ({kind}, {many}) settles what is computed, so that noise would time another "
                f"work. Give its values: --value {value.name}={example}"
            )
        return Input(value.name, kind, shape)
    return Input(value.name, kind, shape, _fitting(model, value.name, kind, count, *numbers))


def _fitting(model: Path, name: str, kind: str, count: int, numbers: list[Value], text: str) -> tuple[Value, ...]:
    """The values as the input's type holds them."""
    if len(numbers) == 1:
        numbers = numbers * count
    if len(numbers) != count:
        raise StudyError(f"{model}: {name} takes {count} numbers, or one for all, got {len(numbers)} in {text!r}.")
    if kind.startswith("float"):
        if any(abs(number) > float(np.finfo(kind).max) for number in numbers):
            raise StudyError(f"{model}: {name} is {kind}, which does not hold the numbers of {text!r}.")
        return tuple(float(number) for number in numbers)
    if kind == "bool":
        low, high = 0, 1
    elif re.fullmatch("u?int[0-9]+", kind):
        low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    else:
        raise StudyError(f"{model}: {name} is of {kind}, and --value gives numbers.")
    if any(int(number) != number or not low <= number <= high for number in numbers):
        raise StudyError(f"{model}: {name} is {kind} and takes whole numbers from {low} to {high}, got {text!r}.")
    return tuple(int(number) for number in numbers)


def _example(now: str) -> str:
    sides = now.split("x") if now != "any" else ["?"] * 4
    guesses = ("1", "3", "360", "480") if len(sides) == 4 else ("1",) * len(sides)
    return "x".join(side if side.isdigit() else guess for side, guess in zip(sides, guesses, strict=True))
