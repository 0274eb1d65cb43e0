"""The operators of our exported graphs as torch functions of any batch, though the graphs' own batch is 1.

One line of `OPERATORS` each. What one does not know of its attributes or shapes it refuses: never a wrong number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from torch import Tensor
from torch.nn import functional as F

from segsearch.errors import TrialFailed

Answer = Tensor | tuple[Tensor, ...]


@dataclass(frozen=True)
class Node:
    """A node of a graph: what it is called, its attributes, and whether it works on maps, which hold a batch.

    What works on shapes alone has no batch, and may do with its first axis as it likes.
    """

    name: str
    kind: str
    outputs: int
    attributes: Mapping[str, Any]
    maps: bool

    def get(self, name: str, default: Any) -> Any:
        found = self.attributes.get(name, default)
        return found.decode() if isinstance(found, bytes) else found

    def demand(self, holds: bool, what: str) -> None:
        """Raise `TrialFailed` where something about the node is not as it can be run here."""
        if not holds:
            raise refused(f"{self.kind} {self.name} has {what}")


def chosen_from(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto] = ()) -> str | None:
    """The scores that a graph's mask is chosen from, among its own nodes or these; None where it answers scores.

    Its choice is the last one: what somebody brought may choose among something within.
    """
    if graph.output[0].type.tensor_type.elem_type != onnx.TensorProto.UINT8:
        return None
    return next((node.input[0] for node in reversed(nodes or graph.node) if node.op_type == "ArgMax"), None)


def refused(what: str) -> TrialFailed:
    return TrialFailed("quantize-train", f"The graph cannot be trained: {what}, which is not known here.")


def node_of(node: onnx.NodeProto, *, maps: bool) -> Node:
    """What the operators look at of an ONNX node. Raises `TrialFailed` where it is none of ours."""
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    found = Node(node.name, node.op_type, len(node.output), attributes, maps)
    operator = OPERATORS.get(node.op_type)
    if operator is None or node.domain not in ("", "ai.onnx"):
        raise refused(f"it holds the operator {node.op_type}")
    for name in sorted(attributes.keys() - operator.attributes):
        found.demand(False, f"the attribute {name}")
    return found


def run(node: Node, inputs: Sequence[Tensor | None]) -> Answer:
    """What the node makes of its inputs; None of one that is left out."""
    return OPERATORS[node.kind].run(node, *inputs)


def _same(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """An operator without attributes."""
    return lambda node, *inputs: function(*inputs)


def _pads(node: Node, axes: int = 2) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The zeros before and after each axis."""
    node.demand(node.get("auto_pad", "NOTSET") == "NOTSET", f"auto_pad {node.get('auto_pad', '')}")
    pads = [int(pad) for pad in node.get("pads", [0] * 2 * axes)]
    node.demand(len(pads) == 2 * axes and min(pads) >= 0, f"pads {pads}")
    return tuple(pads[:axes]), tuple(pads[axes:])


def _pair(node: Node, name: str) -> tuple[int, int]:
    found = [int(value) for value in node.get(name, [1, 1])]
    node.demand(len(found) == 2, f"{name} {found}")
    return found[0], found[1]


def _even_pads(node: Node) -> tuple[int, ...]:
    before, after = _pads(node)
    node.demand(before == after, f"uneven pads {before} and {after}")
    return before


def _conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    before, after = _pads(node)
    stride, groups = _pair(node, "strides"), int(node.get("group", 1))
    if before != after:
        x, before = F.pad(x, (before[1], after[1], before[0], after[0])), (0, 0)
    if tuple(weight.shape[2:]) == (1, 1) and stride != (1, 1) and not any(before):
        # oneDNN's backward pass of a strided 1x1 writes beyond its memory on some processors.
        return F.conv2d(F.avg_pool2d(x, 1, stride), weight, bias, groups=groups)
    return F.conv2d(x, weight, bias, stride, before, _pair(node, "dilations"), groups)


def _conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    added = tuple(int(value) for value in node.get("output_padding", [0, 0]))
    group, dilations = int(node.get("group", 1)), _pair(node, "dilations")
    return F.conv_transpose2d(x, weight, bias, _pair(node, "strides"), _even_pads(node), added, group, dilations)


def _batch_norm(node: Node, x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    node.demand(not node.get("training_mode", 0), "training_mode")
    return F.batch_norm(x, mean, variance, scale, shift, eps=float(node.get("epsilon", 1e-5)))


def _clip(node: Node, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x if low is None and high is None else torch.clamp(x, low, high)


def _prelu(node: Node, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, x * slope, x)


def _hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    return (x * float(node.get("alpha", 0.2)) + float(node.get("beta", 0.5))).clamp(0.0, 1.0)


def _average_pool(node: Node, x: Tensor) -> Tensor:
    node.demand(_pair(node, "dilations") == (1, 1), "dilations")
    kernel, stride, ceil = _pair(node, "kernel_shape"), _pair(node, "strides"), bool(node.get("ceil_mode", 0))
    return F.avg_pool2d(x, kernel, stride, _even_pads(node), ceil, bool(node.get("count_include_pad", 0)))


def _max_pool(node: Node, x: Tensor) -> Tensor:
    node.demand(node.outputs == 1, "a second output")
    kernel, stride, ceil = _pair(node, "kernel_shape"), _pair(node, "strides"), bool(node.get("ceil_mode", 0))
    return F.max_pool2d(x, kernel, stride, _even_pads(node), _pair(node, "dilations"), ceil)


def _axes(node: Node, axes: Sequence[int], rank: int) -> list[int]:
    """Axes counted from the first; of maps none may be that of the batch."""
    found = [axis % rank for axis in axes]
    node.demand(not node.maps or 0 not in found, f"axes {list(axes)}: the first is the batch")
    return found


def _whole(tensor: Tensor | None) -> list[int]:
    return [] if tensor is None else [int(value) for value in tensor.reshape(-1).tolist()]


def _reduce_mean(node: Node, x: Tensor) -> Tensor:
    node.demand("axes" in node.attributes, "no axes")
    return x.mean(dim=_axes(node, node.get("axes", []), x.dim()), keepdim=bool(node.get("keepdims", 1)))


def _arg_max(node: Node, x: Tensor) -> Tensor:
    node.demand(not node.get("select_last_index", 0), "select_last_index")
    (axis,) = _axes(node, [int(node.get("axis", 0))], x.dim())
    return x.argmax(dim=axis, keepdim=bool(node.get("keepdims", 1)))


def _concat(node: Node, *parts: Tensor) -> Tensor:
    (axis,) = _axes(node, [int(node.get("axis", 0))], parts[0].dim())
    return torch.cat(parts, dim=axis)


def _split(node: Node, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    (axis,) = _axes(node, [int(node.get("axis", 0))], x.dim())
    if sizes is not None:
        return torch.split(x, _whole(sizes), dim=axis)
    node.demand(x.shape[axis] % node.outputs == 0, f"{node.outputs} parts of {x.shape[axis]}")
    return torch.split(x, x.shape[axis] // node.outputs, dim=axis)


def _slice(
    node: Node, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    first, last = _whole(starts), _whole(ends)
    chosen = _axes(node, _whole(axes) or list(range(len(first))), x.dim())
    strides = _whole(steps) or [1] * len(first)
    node.demand(min(strides) > 0, f"steps {strides}")
    cuts = [slice(None)] * x.dim()
    for axis, start, end, stride in zip(chosen, first, last, strides, strict=True):
        cuts[axis] = slice(start, min(end, x.shape[axis]), stride)
    return x[tuple(cuts)]


def _resize(
    node: Node, x: Tensor, area: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None
) -> Tensor:
    mode, places = node.get("mode", "nearest"), node.get("coordinate_transformation_mode", "half_pixel")
    node.demand(x.dim() == 4, f"an input of rank {x.dim()}")
    if sizes is not None and sizes.numel():
        size = tuple(_whole(sizes)[2:])
    else:
        node.demand(scales is not None and scales.numel() == 4, "neither sizes nor scales")
        factors = [] if scales is None else [float(value) for value in scales.tolist()[2:]]
        size = tuple(math.floor(side * factor) for side, factor in zip(x.shape[2:], factors, strict=True))
        exact = all(side * factor == large for side, factor, large in zip(x.shape[2:], factors, size, strict=True))
        node.demand(exact, f"scales {factors} of sizes that they do not suit")
    if (mode, places) == ("linear", "half_pixel"):
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    rounding = node.get("nearest_mode", "round_prefer_floor")
    node.demand((mode, places, rounding) == ("nearest", "asymmetric", "floor"), f"mode {mode}, {places}, {rounding}")
    return F.interpolate(x, size=size, mode="nearest")


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    node.demand(node.get("mode", "DCR") == "CRD", f"mode {node.get('mode', 'DCR')}")
    return F.pixel_shuffle(x, int(node.get("blocksize", 1)))


def _transpose(node: Node, x: Tensor) -> Tensor:
    order = [int(axis) for axis in node.get("perm", range(x.dim() - 1, -1, -1))]
    node.demand(not node.maps or order[0] == 0, f"perm {order}: the first axis is the batch")
    return x.permute(order)


def _reshape(node: Node, x: Tensor, shape: Tensor) -> Tensor:
    node.demand(not node.get("allowzero", 0), "allowzero")
    wanted = [x.shape[axis] if side == 0 else side for axis, side in enumerate(_whole(shape))]
    if not node.maps:
        return x.reshape(wanted)
    # The graph's batch of 1 stands first, or what Shape told of this one.
    node.demand(wanted[0] in (1, x.shape[0]), f"shape {wanted}: the first is the batch")
    inside = math.prod(x.shape[1:])
    known = math.prod(side for side in wanted[1:] if side != -1)
    node.demand(wanted.count(-1) <= 1 and known > 0 and inside % known == 0, f"shape {wanted}")
    node.demand(-1 in wanted or known == inside, f"shape {wanted}")
    return x.reshape(x.shape[0], *wanted[1:])


def _squeeze(node: Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    node.demand(axes is not None, "no axes")
    return x.squeeze(dim=tuple(_axes(node, _whole(axes), x.dim())))


def _unsqueeze(node: Node, x: Tensor, axes: Tensor) -> Tensor:
    chosen = _axes(node, _whole(axes), x.dim() + axes.numel())
    for axis in sorted(chosen):
        x = x.unsqueeze(axis)
    return x


def _pad(node: Node, x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
    node.demand(node.get("mode", "constant") == "constant" and axes is None, f"mode {node.get('mode', 'constant')}")
    counts = _whole(pads)
    rank = x.dim()
    node.demand(len(counts) == 2 * rank and counts[0] == counts[rank] == 0, f"pads {counts}")
    pairs = [(counts[axis], counts[axis + rank]) for axis in reversed(range(rank))]
    return F.pad(x, [count for pair in pairs for count in pair], value=0.0 if value is None else float(value))


_KINDS: Mapping[int, torch.dtype] = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.UINT8: torch.uint8,
    onnx.TensorProto.INT64: torch.int64,
}


def _cast(node: Node, x: Tensor) -> Tensor:
    kind = _KINDS.get(int(node.get("to", 0)))
    node.demand(kind is not None, f"to {node.get('to', 0)}")
    return x.to(kind)


@dataclass(frozen=True)
class Operator:
    """How a node of a kind is run, and the attributes that are known of it."""

    run: Callable[..., Answer]
    attributes: frozenset[str] = frozenset()


def _known(run: Callable[..., Answer], attributes: str = "") -> Operator:
    return Operator(run, frozenset(attributes.split()))


_WINDOW = "auto_pad pads strides dilations kernel_shape"
OPERATORS: Mapping[str, Operator] = {
    "Conv": _known(_conv, f"{_WINDOW} group"),
    "ConvTranspose": _known(_conv_transpose, f"{_WINDOW} group output_padding"),
    "BatchNormalization": _known(_batch_norm, "epsilon momentum training_mode"),
    "Add": _known(_same(torch.add)),
    "Sub": _known(_same(torch.sub)),
    "Mul": _known(_same(torch.mul)),
    "Div": _known(lambda node, x, y: torch.div(x, y) if node.maps else torch.div(x, y, rounding_mode="trunc")),
    "Relu": _known(_same(torch.relu)),
    "Clip": _known(_clip),
    "LeakyRelu": _known(lambda node, x: F.leaky_relu(x, float(node.get("alpha", 0.01))), "alpha"),
    "PRelu": _known(_prelu),
    "Sigmoid": _known(_same(torch.sigmoid)),
    "HardSwish": _known(_same(F.hardswish)),
    "HardSigmoid": _known(_hard_sigmoid, "alpha beta"),
    "AveragePool": _known(_average_pool, f"{_WINDOW} ceil_mode count_include_pad"),
    "MaxPool": _known(_max_pool, f"{_WINDOW} ceil_mode storage_order"),
    "GlobalAveragePool": _known(_same(lambda x: x.mean(dim=(2, 3), keepdim=True))),
    "ReduceMean": _known(_reduce_mean, "axes keepdims"),
    "Concat": _known(_concat, "axis"),
    "Split": _known(_split, "axis"),
    "Slice": _known(_slice),
    "Resize": _known(_resize, "coordinate_transformation_mode cubic_coeff_a mode nearest_mode"),
    "DepthToSpace": _known(_depth_to_space, "blocksize mode"),
    "Transpose": _known(_transpose, "perm"),
    "Reshape": _known(_reshape, "allowzero"),
    "Squeeze": _known(_squeeze),
    "Unsqueeze": _known(_unsqueeze),
    "Pad": _known(_pad, "mode"),
    "Identity": _known(_same(lambda x: x)),
    "Shape": _known(_same(lambda x: torch.tensor(x.shape, dtype=torch.int64))),
    "ArgMax": _known(_arg_max, "axis keepdims select_last_index"),
    "Cast": _known(_cast, "to"),
}
