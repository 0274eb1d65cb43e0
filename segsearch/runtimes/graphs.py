"""Look at an ONNX file of any origin before it is run: its inputs made fixed, its scores made a mask."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from segsearch.errors import StudyError
from segsearch.runtimes.external import files_beside, load_graph, point_at
from segsearch.runtimes.inputs import Input, fix_shapes, settled_inputs
from segsearch.runtimes.types import NOISE, Feed


@dataclass(frozen=True)
class Ready:
    """A file that can be run: the model itself or a copy, with what its inputs are and what it is fed."""

    path: Path
    inputs: tuple[Input, ...] = ()
    feed: Feed = NOISE


def made_ready(
    model: Path,
    target: Path,
    *,
    shapes: Sequence[str] = (),
    values: Sequence[str] = (),
    elsewhere: Collection[str] = (),
) -> Ready:
    """The model itself where its inputs' shapes are fixed, else a copy at `target` with the shapes that are given.

    Weights that lie beside it stay where they are, and are not read. `shapes`, `values` and `elsewhere` are those of
    `settled_inputs`. Raises `StudyError` where the file is not an ONNX model, and as that does.
    """
    found = load_graph(model)
    inputs = settled_inputs(model, found, shapes, values, elsewhere=elsewhere)
    ready = Ready(model, inputs, Feed(tuple((one.name, one.values) for one in inputs if one.values)))
    return _saved(found, ready, target) if fix_shapes(found, inputs) else ready


def _saved(found: onnx.ModelProto, ready: Ready, target: Path) -> Ready:
    """A changed graph at `target`; the weights that lie beside the model are found from there."""
    weights = ready.feed.weights
    if weights is None:
        folder = ready.path.parent
        weights = point_at(found, files_beside(found, ready.path), folder)
    target.write_bytes(found.SerializeToString())
    return replace(ready, path=target, feed=replace(ready.feed, weights=weights))


def with_mask(ready: Ready, target: Path) -> Ready:
    """A copy at `target` that answers with the class of each pixel, (n, height, width) uint8, as its user would want.

    The model must answer scores (n, classes, height, width). Raises `StudyError` where it does not.
    """
    model = ready.path
    found = load_graph(model) if ready.feed.weights is None else onnx.load(str(model), load_external_data=False)
    outputs = found.graph.output
    if len(outputs) != 1:
        names = ", ".join(value.name for value in outputs) or "none"
        raise StudyError(f"{model}: a mask is made of one output's scores; this model has {len(outputs)}: {names}.")
    scores = outputs[0]
    try:
        known = {value.name: value for value in onnx.shape_inference.infer_shapes(found).graph.output}[scores.name]
    except Exception as error:  # onnx's own errors, of files that it does not know
        raise StudyError(f"{model}: --mask cannot tell the shape of {scores.name}: {_one_line(error)}") from None
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
    return _saved(found, ready, target)


def with_scores(model: Path, target: Path) -> Path:
    """A copy at `target` of a file that answers a mask, which answers the scores instead that the mask is made of."""
    found = onnx.load(str(model))
    # The last one: what somebody brought may choose among something within.
    choice = next(node for node in reversed(found.graph.node) if node.op_type == "ArgMax")
    del found.graph.output[:]
    found.graph.output.add().CopyFrom(onnx.helper.make_tensor_value_info(choice.input[0], onnx.TensorProto.FLOAT, None))
    onnx.save(found, str(target))
    return target


def _fresh(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(1))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
