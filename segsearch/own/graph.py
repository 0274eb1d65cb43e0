"""An ONNX file that somebody brought: looked at, kept, and made a file of ours by what stands before and after it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segsearch.errors import StudyError
from segsearch.networks.layers import resize
from segsearch.networks.own import Facts, OwnModule
from segsearch.own.answers import demand_scores
from segsearch.own.counts import counts_in
from segsearch.own.header import Header
from segsearch.runtimes.external import load_graph
from segsearch.runtimes.inputs import Input, fix_shapes, inputs_of
from segsearch.space.candidate import Output
from segsearch.space.keys import from_json, to_json
from segsearch.space.own import OwnNetwork
from segsearch.space.shapes import scaled

# The entry of a file's metadata that holds the header.
HEADER = "segsearch.network"
# Operations before and after the graph are of this opset, and mean the same up to the last one.
OPSET = 17
OPSETS = (13, 24)
_FLOATS = (onnx.TensorProto.FLOAT,)


@dataclass(frozen=True)
class GraphMaker:
    """Makes the files of one kept graph."""

    path: Path

    def write(self, own: OwnNetwork, target: Path, *, output: Output) -> None:
        """Write the file that takes RGB 0..255 and answers a mask or scores; the graph inside is as it was brought."""
        made = _around(onnx.load(str(self.path)), own, header_in(self.path), output)
        target.write_bytes(made.SerializeToString())

    def counts(self) -> tuple[int, int]:
        """(parameters, multiply-accumulates) of one image: of convolutions and matrix products."""
        return _counted(self.path)


@cache
def _counted(path: Path) -> tuple[int, int]:
    """Once in a process: every candidate of a study has the same graph within, named by its hash."""
    return counts_in(onnx.load(str(path)))


def header_in(path: Path) -> Header:
    """The header of a kept graph. Raises `StudyError` where it has none."""
    found = onnx.load(str(path), load_external_data=False)
    text = next((one.value for one in found.metadata_props if one.key == HEADER), None)
    if text is None:
        raise StudyError(f"{path}: a network must be a file that `segsearch compress` wrote; run it on this one.")
    return from_json(Header, text)


def read_graph(
    path: Path, target: Path, *, size: tuple[int, int], classes: int, entry: str | None
) -> tuple[Header, list[str]]:
    """Keep an ONNX file at `target`, of fixed shape, with its header; and what to say of it.

    Raises `StudyError` with the rule, what was found and the cure.
    """
    found = load_graph(path)
    _demand_plain(path, found)
    image = _demand_image(path, found, size)
    onnx.load_external_data_for_model(found, str(path.parent))
    fix_shapes(found, [Input(image.name, "float32", (1, 3, *size))])
    found, notes = _of_known_opset(found, path)
    answer, more = _answer(path, found, entry)
    _only(found, answer)
    noise = (torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 4 - 2).numpy()
    scores = torch.from_numpy(np.asarray(_run(found, noise, path)))
    if not np.array_equal(_run(found, noise, path), scores.numpy(), equal_nan=True):
        raise StudyError(f"{path.name} must answer alike each time; export it in evaluation, with model.eval().")
    binary = demand_scores(
        scores, path.name, size=size, classes=classes, first=lambda: "on an image of noise", learns=False
    )
    folded = _folded(found, noise, scores.numpy())
    if folded is not None:
        found = folded
        notes.append("batch norm is folded into its convolutions, as ONNX Runtime does when it loads the file")
    if scores.shape[1] > 1 and 0 <= float(scores.min()) <= float(scores.max()) <= 1:
        notes.append("its scores lie between 0 and 1, as a softmax or a sigmoid makes them: they are taken as they are")
    if binary:
        notes.append("its one channel is read as the logit of class 1 of 2 (above 0 is class 1)")
    if tuple(scores.shape[-2:]) != size:
        height, width = scores.shape[-2:]
        notes.append(f"its scores are {height}x{width} for {size[0]}x{size[1]}: they are resized, bilinearly")
    header = Header(path.name, "", "", classes, size, binary=binary)
    del found.metadata_props[:]
    found.metadata_props.add(key=HEADER, value=to_json(header))
    target.write_bytes(found.SerializeToString())
    return header, [*notes, *more]


# ---- what it is


def _demand_plain(path: Path, found: onnx.ModelProto) -> None:
    """Raise `StudyError` for a file in training form, or one that is quantized already."""
    for node in found.graph.node:
        if any(one.name == "training_mode" and one.i for one in node.attribute):
            raise StudyError(
                f"{path.name} is in training form (a {node.op_type} by the statistics of the image itself): export it "
                "with model.eval()."
            )
        if node.op_type in ("QuantizeLinear", "QLinearConv", "ConvInteger", "DynamicQuantizeLinear"):
            raise StudyError(f"{path.name} is quantized already ({node.op_type}); bring the float file.")


def _demand_image(path: Path, found: onnx.ModelProto, size: tuple[int, int]) -> onnx.ValueInfoProto:
    """Its one input, if that takes a float image of three channels and that size."""
    inputs = inputs_of(found)
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs) or "none"
        raise StudyError(f"{path.name}: a network must have one input, an image; it has {len(inputs)}: {names}.")
    tensor = inputs[0].type.tensor_type
    sides = [one.dim_value for one in tensor.shape.dim]
    shown = "x".join(str(one.dim_value or one.dim_param or "?") for one in tensor.shape.dim)
    channels_last = len(sides) == 4 and sides[3] == 3 and sides[1] != 3
    one_image = len(sides) == 4 and sides[1] in (0, 3) and sides[0] in (0, 1)
    if tensor.elem_type not in _FLOATS or not one_image or channels_last:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        last = "; export it with channels second" if channels_last else ""
        raise StudyError(f"{path.name}: its input must be a float image 1x3xHEIGHTxWIDTH, got {kind} {shown}{last}.")
    if any(side and side != want for side, want in zip(sides[2:], size, strict=True)):
        height, width = sides[2] or size[0], sides[3] or size[1]
        raise StudyError(
            f"{path.name} takes images of {height}x{width}, and the data's are {size[0]}x{size[1]}: "
            f"add --size {height}x{width}."
        )
    return inputs[0]


def _of_known_opset(found: onnx.ModelProto, path: Path) -> tuple[onnx.ModelProto, list[str]]:
    version = next((one.version for one in found.opset_import if one.domain in ("", "ai.onnx")), 1)
    if version > OPSETS[1]:
        raise StudyError(f"{path.name}: its opset must be at most {OPSETS[1]}, got {version}; export it with {OPSET}.")
    if version >= OPSETS[0]:
        return found, []
    try:
        return onnx.version_converter.convert_version(found, OPSET), [f"its opset {version} is taken as {OPSET}"]
    except Exception as error:  # onnx's own
        said = " ".join(str(error).split())[:120].rstrip(".")
        raise StudyError(
            f"{path.name}: its opset {version} cannot be taken as {OPSET} ({said}); export it with that."
        ) from None


def _answer(path: Path, found: onnx.ModelProto, entry: str | None) -> tuple[str, list[str]]:
    """The output that holds the scores, and what to say of it."""
    names = [one.name for one in found.graph.output]
    if entry is not None and entry not in names:
        raise StudyError(f"{path.name}: --answer must name an output ({', '.join(names)}), got {entry}.")
    chosen = entry or names[0]
    if len(names) == 1 or entry:
        return chosen, []
    return chosen, [f"it has {len(names)} outputs ({', '.join(names)}): {chosen} is taken; --answer takes another"]


def _only(found: onnx.ModelProto, output: str) -> None:
    """Without other outputs, and what only they need."""
    kept = next(one for one in found.graph.output if one.name == output)
    del found.graph.output[:]
    found.graph.output.add().CopyFrom(kept)
    needed, nodes = {output}, []
    for node in reversed(found.graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(node.input)
            needed |= {name for one in node.attribute for name in _outer(one)}
    del found.graph.node[:]
    found.graph.node.extend(reversed(nodes))
    for values in (found.graph.initializer, found.graph.input, found.graph.value_info):
        left = [one for one in values if one.name in needed]
        del values[:]
        values.extend(left)


def _outer(attribute: onnx.AttributeProto) -> Iterable[str]:
    """What a branch reads of the graph around it."""
    for graph in (attribute.g, *attribute.graphs):
        for node in graph.node:
            yield from node.input
            for inner in node.attribute:
                yield from _outer(inner)


def _run(found: onnx.ModelProto, image: Any, path: Path) -> Any:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(found.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: image})[0]
    except Exception as error:  # ONNX Runtime's own
        said = " ".join(str(error).split())[:250].rstrip(".")
        raise StudyError(f"{path.name}: ONNX Runtime must run it with an image, and it does not: {said}.") from None


def _folded(found: onnx.ModelProto, image: Any, expected: Any) -> onnx.ModelProto | None:
    """The graph with its batch norms folded, where it has some and says the same; else None."""
    import onnxruntime

    if not any(node.op_type == "BatchNormalization" for node in found.graph.node):
        return None
    with tempfile.TemporaryDirectory(prefix="segsearch-own-") as scratch:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(scratch) / "folded.onnx")
        session = onnxruntime.InferenceSession(found.SerializeToString(), options, providers=["CPUExecutionProvider"])
        said = session.run(None, {session.get_inputs()[0].name: image})[0]
        folded = onnx.load(options.optimized_model_filepath)
    if any(node.op_type == "BatchNormalization" for node in folded.graph.node):
        return None
    near = np.abs(said - expected).max() <= 1e-4 * max(float(np.abs(expected).max()), 1e-6)
    plain = all(node.domain in ("", "ai.onnx") for node in folded.graph.node)
    return folded if near and plain else None


# ---- what stands around it


class _Before(OwnModule):
    """From pixels to what the graph takes."""

    def __init__(self, own: OwnNetwork, size: tuple[int, int]) -> None:
        super().__init__(nn.Identity(), own, Facts(size))

    def forward(self, image: Tensor) -> Tensor:
        return self.taken(image)


class _After(nn.Module):
    """From the graph's scores to what the file answers, as `networks.answers` makes it."""

    def __init__(self, own: OwnNetwork, header: Header, output: Output) -> None:
        super().__init__()
        self.size, self.binary, self.output = header.size, header.binary, output
        self.chosen = scaled(header.size, own.answer_scale)

    def forward(self, scores: Tensor) -> Tensor:
        if self.binary:
            scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
        if self.output == "scores":
            return resize(scores, self.size)
        chosen = resize(scores, self.chosen).argmax(dim=1, keepdim=True).to(torch.uint8)
        return (chosen if self.chosen == self.size else F.interpolate(chosen, size=self.size, mode="nearest")).squeeze(
            1
        )


def _around(core: onnx.ModelProto, own: OwnNetwork, header: Header, output: Output) -> onnx.ModelProto:
    """The core between what comes before and after it, all names apart."""
    answer, entry = core.graph.output[0].name, inputs_of(core)[0].name
    height, width = header.size
    before = _exported(_Before(own, header.size), torch.zeros(1, 3, height, width), "image", "taken")
    shape = _shape_of(core, answer)
    after = _exported(_After(own, header, output), torch.zeros(shape), "given", output)
    renamed = {entry: "core.image", answer: "core.answer"}
    parts: Sequence[tuple[onnx.GraphProto, Mapping[str, str], str]] = (
        (before.graph, {"image": "image", "taken": "core.image"}, "before."),
        (core.graph, renamed, "core."),
        (after.graph, {"given": "core.answer", output: output}, "after."),
    )
    made = onnx.ModelProto()
    made.CopyFrom(core)
    del made.graph.node[:], made.graph.initializer[:], made.graph.input[:], made.graph.output[:]
    del made.graph.value_info[:], made.metadata_props[:]
    for graph, names, prefix in parts:
        for number, node in enumerate(graph.node):
            copied_node = made.graph.node.add()
            copied_node.CopyFrom(_renamed(node, names, prefix))
            copied_node.name = copied_node.name or f"{prefix}{node.op_type}_{number}"
        for tensor in graph.initializer:
            copied = made.graph.initializer.add()
            copied.CopyFrom(tensor)
            copied.name = names.get(tensor.name, f"{prefix}{tensor.name}")
    made.graph.input.add().CopyFrom(before.graph.input[0])
    made.graph.output.add().CopyFrom(after.graph.output[0])
    made.ir_version = max(core.ir_version, before.ir_version)
    return made


def _renamed(node: onnx.NodeProto, names: Mapping[str, str], prefix: str) -> onnx.NodeProto:
    found = onnx.NodeProto()
    found.CopyFrom(node)
    found.name = f"{prefix}{node.name}" if node.name else ""
    for values in (found.input, found.output):
        for index, name in enumerate(values):
            if name:
                values[index] = names.get(name, f"{prefix}{name}")
    for attribute in found.attribute:
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            inner = [_renamed(one, names, prefix) for one in graph.node]
            del graph.node[:]
            graph.node.extend(inner)
            for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
                value.name = names.get(value.name, f"{prefix}{value.name}")
    return found


def _exported(module: nn.Module, example: Tensor, entry: str, answer: str) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory(prefix="segsearch-own-") as scratch, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        target = Path(scratch) / "part.onnx"
        torch.onnx.export(
            module.eval(),
            (example,),
            str(target),
            input_names=[entry],
            output_names=[answer],
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load(str(target))


def _shape_of(core: onnx.ModelProto, name: str) -> tuple[int, ...]:
    """The shape of the core's answer, by running it: exporters leave it open."""
    sides = [one.dim_value for one in inputs_of(core)[0].type.tensor_type.shape.dim]
    return tuple(np.asarray(_run(core, np.zeros(sides, dtype=np.float32), Path(name))).shape)
