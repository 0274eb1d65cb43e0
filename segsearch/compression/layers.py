"""The layers of a float file and of its int8 sibling, side by side."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from onnx import numpy_helper

from segsearch.compression.quantize import QUANTIZED

_ACTIVATIONS = ("Relu", "Clip", "LeakyRelu")
# What the quantizer appends to the name of a map that is the graph's answer, and that it quantizes.
_RAW = "_QuantizeLinear_Input"
# Rounding moves a weight by half a step; scales are kept as float32.
_HALF_STEP = 0.51


@dataclass(frozen=True)
class Layer:
    """Nodes that an int8 file runs as one, in their order: the first gives name and type.

    `reads` are the maps that it takes, `writes` is the one that it makes, of `shape`.
    """

    name: str
    kind: str
    nodes: tuple[str, ...]
    reads: tuple[str, ...]
    writes: str
    shape: tuple[int, ...]

    @property
    def convolves(self) -> bool:
        return self.kind == "Conv"


@dataclass(frozen=True)
class Pair:
    """A float file and its int8 sibling, in which every layer that can be is in int8."""

    exact: onnx.ModelProto
    rounded: onnx.ModelProto

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers that the int8 file runs in integers, as they come."""
        found, taken = list[Layer](), set[str]()
        for node in self.exact.graph.node:
            if node.name in taken or not self._in_integers(node):
                continue
            nodes = tuple(self._fused(node))
            taken.update(each.name for each in nodes)
            reads = tuple(dict.fromkeys(name for name in node.input if name in self.quantizers))
            end = nodes[-1].output[0]
            names = tuple(each.name for each in nodes)
            found.append(Layer(node.name, node.op_type, names, reads, end, self.shapes.get(end, ())))
        return tuple(found)

    @cached_property
    def convolutions(self) -> tuple[Layer, ...]:
        """The layers that are in float or int8 by choice; the others follow them (`settled`)."""
        return tuple(layer for layer in self.layers if layer.convolves)

    @cached_property
    def of_node(self) -> Mapping[str, Layer]:
        """The layer that a node belongs to, by its name."""
        return {name: layer for layer in self.layers for name in layer.nodes}

    @cached_property
    def makers(self) -> Mapping[str, onnx.NodeProto]:
        """The float file's node that makes a value."""
        return {name: node for node in self.exact.graph.node for name in node.output}

    @cached_property
    def readers(self) -> Mapping[str, tuple[onnx.NodeProto, ...]]:
        """The float file's nodes that read a value; those that ask for its shape alone are none."""
        found = dict[str, list[onnx.NodeProto]]()
        for node in self.exact.graph.node:
            for name in dict.fromkeys(node.input) if node.op_type != "Shape" else ():
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @cached_property
    def quantizers(self) -> Mapping[str, tuple[onnx.NodeProto, onnx.NodeProto]]:
        """The int8 file's QuantizeLinear and DequantizeLinear of a map, by the map's name in the float file."""
        back = {node.input[0]: node for node in self.rounded.graph.node if node.op_type == "DequantizeLinear"}
        values = {*self.makers, *(value.name for value in self.exact.graph.input)}
        found = {}
        for node in self.rounded.graph.node:
            if node.op_type == "QuantizeLinear" and node.output[0] in back:
                name = node.input[0]
                found[name if name in values else name.removesuffix(_RAW)] = (node, back[node.output[0]])
        return found

    @cached_property
    def rounded_nodes(self) -> Mapping[str, onnx.NodeProto]:
        """The int8 file's nodes by name: the float file's but for activations that quantizers make idle."""
        return {node.name: node for node in self.rounded.graph.node}

    @cached_property
    def rounded_makers(self) -> Mapping[str, onnx.NodeProto]:
        return {name: node for node in self.rounded.graph.node for name in node.output}

    @cached_property
    def exact_values(self) -> Mapping[str, onnx.TensorProto]:
        return {tensor.name: tensor for tensor in self.exact.graph.initializer}

    @cached_property
    def rounded_values(self) -> Mapping[str, onnx.TensorProto]:
        return {tensor.name: tensor for tensor in self.rounded.graph.initializer}

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shapes of maps as far as the float graph tells them."""
        graph = onnx.shape_inference.infer_shapes(self.exact, data_prop=True).graph
        return {
            value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
            for value in (*graph.input, *graph.value_info, *graph.output)
        }

    def is_made_of(self) -> bool:
        """Whether the int8 file was made of the float one: its convolutions, and their weights up to half a step."""
        theirs = {node.name for node in self.rounded.graph.node if node.op_type == "Conv"}
        ours = {node.name: node for node in self.exact.graph.node if node.op_type == "Conv"}
        return theirs == set(ours) and all(self._rounds(node) for node in ours.values())

    def settled(self, convolutions: Collection[str]) -> frozenset[str]:
        """The layers in float where these convolutions are: with what lies between layers in float.

        Whatever is no convolution is in float where all that it reads is made in float. Else ONNX Runtime runs it in
        integers, and one conversion of what it makes is cheaper than one of each map that it reads.
        """
        found = set(convolutions)
        for layer in self.layers:  # makers come first
            if not layer.convolves and all(self.made_in_float(name, found) for name in layer.reads):
                found.add(layer.name)
        return frozenset(found)

    def is_int8(self, node: onnx.NodeProto, in_float: Collection[str]) -> bool:
        """Whether a node runs in integers where these layers are in float."""
        layer = self.of_node.get(node.name)
        return layer is not None and layer.name not in in_float

    def made_in_float(self, name: str, in_float: Collection[str]) -> bool:
        """Whether a map is made in float: by a layer of these, by what is no layer, or by nobody (the image)."""
        maker = self.makers.get(name)
        return maker is None or not self.is_int8(maker, in_float)

    def boundaries(self, in_float: Collection[str]) -> frozenset[str]:
        """The maps that are converted between int8 and float where these layers are in float."""
        return frozenset(name for name in self.quantizers if len(set(self._forms(name, in_float))) > 1)

    def converted(self, in_float: Collection[str]) -> int:
        """How many numbers are converted between int8 and float in a run."""
        return sum(int(np.prod(self.shapes.get(name, (0,)))) for name in self.boundaries(in_float))

    def _forms(self, name: str, in_float: Collection[str]) -> Iterator[bool]:
        """Whether a map is made in int8, and of each that reads it whether it does so in int8."""
        yield not self.made_in_float(name, in_float)
        yield from (self.is_int8(node, in_float) for node in self.readers.get(name, ()))

    def _in_integers(self, node: onnx.NodeProto) -> bool:
        """Whether the int8 file wraps a node for integers: every map that it reads and writes is quantized."""
        there = self.rounded_nodes.get(node.name)
        if there is None or node.op_type not in QUANTIZED:
            return False
        if node.op_type == "Conv" and there.input[1] not in self.rounded_makers:
            return False  # its weights are in float
        maps = [name for name in node.input[: 1 if node.op_type in ("Conv", "Clip") else None] if self._is_map(name)]
        quantizers = self.quantizers.values()
        back, raw = {pair[1].output[0] for pair in quantizers}, {pair[0].input[0] for pair in quantizers}
        wrapped = [name for name in there.input if name in back]
        return bool(maps) and len(wrapped) == len(maps) and raw.issuperset(there.output)

    def _is_map(self, name: str) -> bool:
        maker = self.makers.get(name)
        return maker.op_type != "Constant" if maker is not None else name not in self.exact_values and bool(name)

    def _fused(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """A node, and the activation that its int8 form takes in or that alone reads it."""
        yield node
        after = self.readers.get(node.output[0], ())
        if len(after) == 1 and after[0].op_type in _ACTIVATIONS:
            taken_in = after[0].name not in self.rounded_nodes
            yield from after if taken_in or self._in_integers(after[0]) else ()

    def _rounds(self, node: onnx.NodeProto) -> bool:
        """Whether the int8 file holds a convolution's weights, or steps that are near them."""
        if node.input[1] not in self.exact_values:  # a float file has its weights as they are
            return False
        weight = numpy_helper.to_array(self.exact_values[node.input[1]])
        name = self.rounded_nodes[node.name].input[1]
        maker = self.rounded_makers.get(name)
        if maker is None:
            return name in self.rounded_values and np.array_equal(
                numpy_helper.to_array(self.rounded_values[name]), weight
            )
        steps, scale = (numpy_helper.to_array(self.rounded_values[each]) for each in maker.input[:2])
        if steps.shape != weight.shape:
            return False
        wide = scale.reshape(-1, *[1] * (weight.ndim - 1))
        return bool(np.all(np.abs(steps.astype(np.float32) * wide - weight) <= _HALF_STEP * wide))
