"""Look at an ONNX file of any origin before it is run: one input, and its shape made fixed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import onnx

from segsearch.errors import StudyError

_SHAPE = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<sides>[0-9]{1,9}(?:[x,][0-9]{1,9})*)")


def with_fixed_shape(model: Path, shape: str | None, target: Path) -> Path:
    """The model itself where its input's shape is fixed, else a copy at `target` with the shape that is given.

    `shape` is as in `1x3x360x480`, or `image=1x3x360x480`. Raises `StudyError` where the file is not an ONNX model of
    one input, or where the shape is needed, is not one, or does not fit.
    """
    found = _load(model)
    constants = {tensor.name for tensor in found.graph.initializer}
    inputs = [value for value in found.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise StudyError(f"{model}: a model to time must have one input; this one has {len(inputs)}: {names}.")
    name, tensor = inputs[0].name, inputs[0].type.tensor_type
    sides, of_any_rank = tensor.shape.dim, not tensor.HasField("shape")
    now = "x".join(str(side.dim_value) if side.dim_value > 0 else side.dim_param or "?" for side in sides)
    now = "any" if of_any_rank else now
    fixed = not of_any_rank and all(side.dim_value > 0 for side in sides)
    if shape is None:
        if not fixed:
            raise StudyError(f"{model}: {name} has no fixed shape ({now}). Give one: --shape {_example(now)}.")
        return model
    wanted = _sides(shape, name)
    fits = len(wanted) == len(sides) and all(
        side.dim_value <= 0 or side.dim_value == want for side, want in zip(sides, wanted, strict=False)
    )
    if not fits and not of_any_rank:
        raise StudyError(f"{model}: --shape must fit the input {name} ({now}), got {shape!r}.")
    if fixed:
        return model
    tensor.shape.ClearField("dim")
    for want in wanted:
        tensor.shape.dim.add().dim_value = want
    for value in (*found.graph.output, *found.graph.value_info):
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")  # they follow from the input's
    onnx.save(found, str(target))
    return target


def with_mask(model: Path, target: Path) -> Path:
    """A copy at `target` that answers with the class of each pixel, (n, height, width) uint8, as its user would want.

    The model must answer scores (n, classes, height, width). Raises `StudyError` where it does not.
    """
    found = _load(model)
    outputs = found.graph.output
    if len(outputs) != 1:
        names = ", ".join(value.name for value in outputs) or "none"
        raise StudyError(f"{model}: a mask is made of one output's scores; this model has {len(outputs)}: {names}.")
    scores = outputs[0]
    known = {value.name: value for value in onnx.shape_inference.infer_shapes(found).graph.output}[scores.name]
    sides, kind = known.type.tensor_type.shape.dim, known.type.tensor_type.elem_type
    rank = len(sides)
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
    if rank != 4 or kind not in floats:
        name = onnx.TensorProto.DataType.Name(kind).lower()
        raise StudyError(
            f"{model}: --mask needs float scores (n, classes, height, width); {scores.name} is {name} of rank {rank}. "
            "Leave --mask out where the model answers with classes itself."
        )
    if sides[1].dim_value > 256:
        raise StudyError(
            f"{model}: a mask holds at most 256 classes; {scores.name} has {sides[1].dim_value}. Leave --mask out."
        )
    taken = {name for node in found.graph.node for name in (*node.input, *node.output)}
    classes, mask = (next(n for n in _fresh(name) if n not in taken) for name in ("classes", "mask"))
    found.graph.node.add(
        op_type="ArgMax",
        name=classes,
        input=[scores.name],
        output=[classes],
        attribute=[onnx.helper.make_attribute("axis", 1), onnx.helper.make_attribute("keepdims", 0)],
    )
    to = onnx.helper.make_attribute("to", onnx.TensorProto.UINT8)
    found.graph.node.add(op_type="Cast", name=mask, input=[classes], output=[mask], attribute=[to])
    del found.graph.output[:]
    shape = [side.dim_value or side.dim_param or None for side in (sides[0], *sides[2:])]
    found.graph.output.add().CopyFrom(onnx.helper.make_tensor_value_info(mask, onnx.TensorProto.UINT8, shape))
    onnx.save(found, str(target))
    return target


def with_scores(model: Path, target: Path) -> Path:
    """A copy at `target` of a file that answers a mask, which answers the scores instead that the mask is made of."""
    found = onnx.load(str(model))
    (choice,) = (node for node in found.graph.node if node.op_type == "ArgMax")
    del found.graph.output[:]
    found.graph.output.add().CopyFrom(onnx.helper.make_tensor_value_info(choice.input[0], onnx.TensorProto.FLOAT, None))
    onnx.save(found, str(target))
    return target


def _fresh(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(1))


def _load(model: Path) -> onnx.ModelProto:
    try:
        found = onnx.load(str(model))
    except FileNotFoundError:
        raise StudyError(f"{model}: no such file.") from None
    except OSError as error:
        raise StudyError(f"{model}: cannot be read: {error.strerror}.") from None
    except onnx.checker.ValidationError as error:
        why = " ".join(str(error).split())
        raise StudyError(f"{model}: the data that belongs to it cannot be read: {why}") from None
    except Exception:  # protobuf's errors are of its own kind
        raise StudyError(f"{model}: not an ONNX file; export the model to ONNX first.") from None
    if not found.graph.node:
        raise StudyError(f"{model}: not an ONNX model: its graph has no operations.")
    return found


def _sides(text: str, name: str) -> list[int]:
    match = _SHAPE.fullmatch(text.strip())
    if match is None or match["name"] not in (None, name):
        raise StudyError(f"--shape must look like 1x3x360x480 or {name}=1x3x360x480, got {text!r}.")
    sides = [int(side) for side in re.split("[x,]", match["sides"])]
    if min(sides) < 1:
        raise StudyError(f"--shape must hold sizes of at least 1, got {text!r}.")
    return sides


def _example(now: str) -> str:
    sides = now.split("x") if now != "any" else ["?"] * 4
    guesses = ("1", "3", "360", "480") if len(sides) == 4 else ("1",) * len(sides)
    return "x".join(side if side.isdigit() else guess for side, guess in zip(sides, guesses, strict=True))
