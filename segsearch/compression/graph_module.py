"""An exported ONNX graph, float or int8, as a torch module that can learn: what is trained is what is exported.

The graph itself is interpreted, so that no exporter has to agree with anybody. Of an int8 file each pair of
QuantizeLinear and DequantizeLinear is a fake quantization with the file's own scale and zero point, and weights learn
in float; `written_back` puts what was learnt into the same graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from segsearch.compression.fake_quantize import (
    FULL,
    REDUCED,
    ActivationQuantizer,
    FloatWeights,
    QuantizedWeights,
)
from segsearch.compression.graph_operators import Answer, Node, chosen_from, node_of, refused, run

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class _Stored:
    """A convolution's weights by the names of the file's initializers: scales are None of what is held in float."""

    weight: str
    weight_scale: str | None
    bias: str | None
    bias_scale: str | None


@dataclass(frozen=True)
class _Step:
    """What is done with which values, and what its answers are called."""

    run: Callable[..., Answer]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class GraphModule(nn.Module):
    """A graph that reads images (n, 3, height, width), 0..255, of the file's height and width, n as it comes.

    `scores` are what the graph answers, or what its mask is chosen from; `forward` is the file's answer. Parameters are
    the weights and biases of convolutions, and with `learn_scales` those of activations.
    """

    # Views for a file are at its own size: it resizes them itself.
    input_scale = 1.0

    def __init__(
        self,
        model: onnx.ModelProto,
        *,
        source: onnx.ModelProto | None = None,
        learn: bool = True,
        learn_scales: bool = False,
    ) -> None:
        """`source` is the float file that the int8 file `model` was made of: where its weights begin.

        Raises `TrialFailed` where the graph holds what is not known here, or what cannot be written back.
        """
        super().__init__()
        graph = model.graph
        if len(graph.input) != 1 or len(graph.output) != 1:
            raise refused(f"it has {len(graph.input)} inputs and {len(graph.output)} outputs")
        self._image, self._answer = graph.input[0].name, graph.output[0].name
        self._scores = chosen_from(graph) or self._answer
        arrays = arrays_of(graph)
        self._whole: dict[str, Tensor] = {}
        self._floats: dict[str, str] = {}
        reader = _Reader(graph, arrays, source, learn_scales)
        self._steps = reader.steps()
        # The initializers of the scales of `quantizers`, and where the file has what `weights` holds, in their order.
        self.scale_names, self.stored = tuple(scale for scale, _ in reader.by_scale), tuple(reader.stored)
        self.quantizers, self.weights = nn.ModuleList(reader.by_scale.values()), nn.ModuleList(reader.weights)
        if learn:
            self._demand_places()
        self.requires_grad_(learn)
        for name in dict.fromkeys(name for step in self._steps for name in step.inputs if name in arrays):
            self._keep(name, torch.from_numpy(np.array(arrays[name])))
        self._needed = {name: _needed(self._steps, name) for name in (self._scores, self._answer)}

    def scores(self, images: Tensor) -> Tensor:
        """The scores (n, classes, h, w) inside the graph."""
        return self._value(self._scores, images)

    def forward(self, images: Tensor) -> Tensor:
        return self._value(self._answer, images)

    def _keep(self, name: str, value: Tensor) -> None:
        if value.is_floating_point():  # shapes stay on the CPU
            self._floats[name] = f"constant_{len(self._floats)}"
            self.register_buffer(self._floats[name], value, persistent=False)
        else:
            self._whole[name] = value

    def _demand_places(self) -> None:
        """Two convolutions that share weights would each write their own into one place."""
        names = [name for one in self.stored for name in (one.weight, one.bias) if name is not None]
        for name in names:
            if names.count(name) > 1:
                raise refused(f"several convolutions share {name}")

    def _value(self, wanted: str, images: Tensor) -> Tensor:
        values: dict[str, Tensor] = {name: getattr(self, kept) for name, kept in self._floats.items()}
        values |= self._whole
        values[self._image] = images
        steps, last = self._needed[wanted]
        for number, step in enumerate(steps):
            found = step.run(*(values[name] if name else None for name in step.inputs))
            outputs = found if isinstance(found, tuple) else (found,)
            values.update(zip(step.outputs, outputs, strict=True))
            for name in last.get(number, ()):
                values.pop(name, None)
        return values[wanted]


def _needed(steps: Iterable[_Step], wanted: str) -> tuple[list[_Step], dict[int, list[str]]]:
    """The steps that make a value, in order, and which values each of them is the last to read."""
    asked, taken = {wanted}, []
    for step in reversed(list(steps)):
        if asked.intersection(step.outputs):
            asked.update(step.inputs)
            taken.append(step)
    taken.reverse()
    last: dict[str, int] = {name: number for number, step in enumerate(taken) for name in step.inputs if name}
    last.pop(wanted, None)
    ends: dict[int, list[str]] = {}
    for name, number in last.items():
        ends.setdefault(number, []).append(name)
    return taken, ends


class _Reader:
    """Reads the nodes of a graph into the steps of a module."""

    def __init__(
        self,
        graph: onnx.GraphProto,
        arrays: _Arrays,
        source: onnx.ModelProto | None,
        learn_scales: bool,
    ) -> None:
        self.graph, self.arrays, self.learn_scales = graph, arrays, learn_scales
        self.makers = {output: node for node in graph.node for output in node.output}
        self.float_nodes = {} if source is None else {node.name: node for node in source.graph.node}
        self.float_arrays = {} if source is None else arrays_of(source.graph)
        self.maps = {graph.input[0].name}
        self.by_scale: dict[tuple[str, str], ActivationQuantizer] = {}
        self.stored: list[_Stored] = []
        self.weights: list[FloatWeights] = []

    def steps(self) -> list[_Step]:
        found = []
        for node in self.graph.node:
            if node.op_type == "Constant" or self._of_a_constant(node):
                continue
            maps = bool(self.maps.intersection(node.input)) and node.op_type != "Shape"
            if maps:
                self.maps.update(node.output)
            found.append(self._step(node, maps=maps))
        return found

    def _step(self, node: onnx.NodeProto, *, maps: bool) -> _Step:
        if node.op_type == "QuantizeLinear":
            return _Step(self._quantizer(node), (node.input[0],), tuple(node.output))
        if node.op_type == "DequantizeLinear":
            maker = self.makers.get(node.input[0])
            if maker is None or maker.op_type != "QuantizeLinear" or list(maker.input[1:]) != list(node.input[1:]):
                raise refused(f"{node.name} turns back what is quantized by other numbers")
            return _Step(lambda x: x, (node.input[0],), tuple(node.output))
        about = node_of(node, maps=maps)
        if node.op_type not in _CONVOLUTIONS:
            return _Step(lambda *inputs: run(about, inputs), tuple(node.input), tuple(node.output))
        return self._convolution(node, about)

    def _of_a_constant(self, node: onnx.NodeProto) -> bool:
        return node.op_type == "DequantizeLinear" and node.input[0] in self.arrays

    def _quantizer(self, node: onnx.NodeProto) -> ActivationQuantizer:
        """One for each scale: maps that are quantized alike share it."""
        scale, zero = self.arrays[node.input[1]], self.arrays[node.input[2]]
        if scale.size != 1 or zero.dtype not in (np.uint8, np.int8):
            raise refused(f"{node.name} quantizes to {zero.dtype} by {scale.size} scales")
        names = node.input[1], node.input[2]
        if names not in self.by_scale:
            signed = zero.dtype == np.int8
            self.by_scale[names] = ActivationQuantizer(float(scale), int(zero), signed=signed, learn=self.learn_scales)
        return self.by_scale[names]

    def _convolution(self, node: onnx.NodeProto, about: Node) -> _Step:
        stored, weights = self._weights(node)
        self.stored.append(stored)
        self.weights.append(weights)
        return _Step(lambda x: run(about, (x, *weights())), (node.input[0],), tuple(node.output))

    def _weights(self, node: onnx.NodeProto) -> tuple[_Stored, FloatWeights]:
        bias_name = node.input[2] if len(node.input) > 2 and node.input[2] else None
        weight, weight_scale = self._initializer(node, node.input[1])
        bias, bias_scale = (None, None) if bias_name is None else self._initializer(node, bias_name)
        stored = _Stored(weight, weight_scale, bias, bias_scale)
        if weight_scale is None:
            if bias_scale is not None:
                raise refused(f"{node.name} has float weights and biases in integers")
            return stored, FloatWeights(self._float(weight), None if bias is None else self._float(bias))
        feeding = self.makers.get(node.input[0])
        if node.op_type != "Conv" or feeding is None or feeding.op_type != "DequantizeLinear":
            raise refused(f"{node.op_type} {node.name} has int8 weights and reads a map in float")
        input_quantizer = self.by_scale[feeding.input[1], feeding.input[2]]
        return stored, self._begun(node, stored, input_quantizer)

    def _initializer(self, node: onnx.NodeProto, name: str) -> tuple[str, str | None]:
        """The initializer behind an input, and that of its scale where it is held in integers."""
        if name in self.arrays:
            return name, None
        maker = self.makers.get(name)
        if maker is None or not self._of_a_constant(maker):
            raise refused(f"{node.op_type} {node.name} has weights that are computed")
        value, scale = (self.arrays[each] for each in maker.input[:2])
        if len(maker.input) > 2 and self.arrays[maker.input[2]].any():
            raise refused(f"{maker.name} has a zero point that is not 0")
        channels = value.shape[0]
        axis = next((each.i for each in maker.attribute if each.name == "axis"), 1)
        if scale.shape not in ((channels,), ()) or (scale.size != channels) or (value.ndim > 1 and axis != 0):
            raise refused(f"{maker.name} has scales of shape {scale.shape} along axis {axis}")
        return maker.input[0], maker.input[1]

    def _float(self, name: str) -> NDArray[np.float32]:
        found = self.arrays[name]
        if found.dtype != np.float32:
            raise refused(f"{name} is {found.dtype}")
        return cast(NDArray[np.float32], found)

    def _begun(self, node: onnx.NodeProto, stored: _Stored, feeding: ActivationQuantizer) -> QuantizedWeights:
        """Weights that begin as the float file has them, where they are what the int8 file was made of."""
        rounded = self._dequantized(stored.weight, str(stored.weight_scale))
        bias = None
        if stored.bias is not None:
            whole = stored.bias_scale
            bias = self._float(stored.bias) if whole is None else self._dequantized(stored.bias, whole)
        original = self.float_nodes.get(node.name)
        exact = [self.float_arrays.get(name) for name in (original.input[1:3] if original is not None else ())]
        most = REDUCED if int(np.abs(self.arrays[stored.weight].astype(np.int64)).max(initial=0)) <= REDUCED else FULL

        def made(weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> QuantizedWeights:
            whole_bias = stored.bias_scale is not None
            return QuantizedWeights(weight, bias, most=most, source=feeding, whole_bias=whole_bias)

        if len(exact) == 2 and bias is not None and exact[1] is not None and exact[1].shape == bias.shape:
            step = 0.0 if stored.bias_scale is None else self._float(stored.bias_scale)
            given = cast(NDArray[np.float32], exact[1])
            if np.all(np.abs(given - bias) <= 0.51 * step + 1e-6 * np.abs(bias)):
                bias = given
        if exact and exact[0] is not None and exact[0].shape == rounded.shape:
            begun = made(cast(NDArray[np.float32], exact[0]), bias)
            if np.array_equal(begun.integers()[0].numpy(), self.arrays[stored.weight]):
                return begun
        return made(rounded, bias)

    def _dequantized(self, name: str, scale: str) -> NDArray[np.float32]:
        value, scales = self.arrays[name], self.arrays[scale].reshape(-1).astype(np.float32)
        return value.astype(np.float32) * scales.reshape(-1, *[1] * (value.ndim - 1))


def arrays_of(graph: onnx.GraphProto) -> dict[str, NDArray[np.generic]]:
    """The constants of a graph by name: its initializers, and what its nodes of kind Constant hold."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            (value,) = node.attribute
            found[node.output[0]] = numpy_helper.to_array(value.t)
    return found


def written_back(module: GraphModule, model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the graph that the module was made of, which holds what it learnt; every node stays as it is."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    new: dict[str, Tensor] = {}
    for stored, weights in zip(module.stored, module.weights, strict=True):
        if not isinstance(weights, QuantizedWeights):
            kept = cast(FloatWeights, weights)
            new[stored.weight] = kept.weight
            if stored.bias is not None and kept.bias is not None:
                new[stored.bias] = kept.bias
            continue
        steps, scales, whole, fine = weights.integers()
        new[stored.weight], new[str(stored.weight_scale)] = steps, scales
        if stored.bias is None or weights.bias is None:
            continue
        if whole is None or fine is None:
            new[stored.bias] = weights.bias
        else:
            new[stored.bias], new[str(stored.bias_scale)] = whole, fine
    for name, quantizer in zip(module.scale_names, module.quantizers, strict=True):
        new[name] = cast(ActivationQuantizer, quantizer).scale
    for tensor in found.graph.initializer:
        if tensor.name in new:
            value = new.pop(tensor.name).detach().cpu().numpy()
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            shape = tuple(tensor.dims)
            tensor.CopyFrom(numpy_helper.from_array(value.astype(kind).reshape(shape), tensor.name))
    if new:
        raise refused(f"{', '.join(sorted(new))} are no initializers")
    return found


def float_module(path: Path) -> GraphModule:
    """A float file's graph, which learns nothing."""
    return GraphModule(onnx.load(str(path)), learn=False).eval()
