"""An int8 file with some of its layers in float, made of the float file and its whole int8 sibling.

Nothing is calibrated or rounded anew: it takes milliseconds, and a map between two float layers is never rounded on its
way, also where an int8 layer reads it, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import onnx
from onnx import helper

from segsearch.compression.graph_operators import chosen_from
from segsearch.compression.layers import Pair

# What moves numbers and does not change them.
_MOVES = frozenset(
    {"DepthToSpace", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice", "SpaceToDepth", "Split"}
    | {"Squeeze", "Transpose", "Unsqueeze"}
)


def mixed(pair: Pair, in_float: Collection[str], *, scores: bool = False) -> onnx.ModelProto:
    """The file with these layers in float; with `scores` it answers those that its mask is chosen from.

    Without any it answers as the int8 file, with all of them as the float one.
    """
    writer = _Writer(pair, in_float)
    nodes = list(writer.nodes())
    graph = onnx.GraphProto(name=pair.exact.graph.name)
    graph.input.extend(pair.exact.graph.input)
    chosen = chosen_from(pair.exact.graph, nodes)
    if scores and chosen is not None:
        graph.output.append(helper.make_tensor_value_info(chosen, onnx.TensorProto.FLOAT, None))
    else:
        graph.output.extend(pair.exact.graph.output)
    graph.node.extend(nodes)
    made = {name for node in nodes for name in node.output}
    values = {**pair.rounded_values, **pair.exact_values}
    for name in dict.fromkeys(name for node in nodes for name in node.input if name not in made):
        if name in writer.beside or name in values:
            tensor = graph.initializer.add()
            tensor.CopyFrom(values[writer.beside.get(name, name)])
            tensor.name = name
    found = onnx.ModelProto(ir_version=pair.rounded.ir_version, producer_name=pair.exact.producer_name)
    found.opset_import.extend(pair.rounded.opset_import)
    found.metadata_props.extend(pair.exact.metadata_props)
    found.graph.CopyFrom(graph)
    return found


@dataclass
class _Writer:
    """Writes the nodes of a mixed file; `beside` are float values by the names that they have there."""

    pair: Pair
    in_float: Collection[str]
    beside: dict[str, str] = field(default_factory=dict)

    def nodes(self) -> Iterator[onnx.NodeProto]:
        pair, written = self.pair, set[str]()
        for value in pair.exact.graph.input:
            yield from self._conversion(value.name)
        for node in pair.exact.graph.node:
            if not pair.is_int8(node, self.in_float):
                yield from self._in_float(node)
            elif node.name in pair.rounded_nodes:
                there = pair.rounded_nodes[node.name]
                for name in there.input:
                    maker = pair.rounded_makers.get(name)
                    if maker is None or maker.op_type != "DequantizeLinear" or maker.name in written:
                        continue
                    if maker.input[0] in pair.rounded_values:
                        written.add(maker.name)  # of weights or biases
                        yield maker
                yield there
                for name in node.output if self._keeps(node) else (pair.of_node[node.name].writes,):
                    yield from self._conversion(name)

    def _keeps(self, node: onnx.NodeProto) -> bool:
        """Whether the int8 file has everything of a node's layer that comes after it."""
        names = self.pair.of_node[node.name].nodes
        return all(name in self.pair.rounded_nodes for name in names)

    def _in_float(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        found = onnx.NodeProto()
        found.CopyFrom(node)
        for index, name in enumerate(node.input):
            found.input[index] = self._read(name, node)
        for index, name in enumerate(node.output):
            found.output[index] = self._raw(name)
        if self._would_be_rounded(node):
            answer = found.output[0]
            found.output[0] = f"{answer}_in_float"
            yield found
            yield helper.make_node(
                "LeakyRelu", [f"{answer}_in_float"], [answer], name=f"{node.name}/in_float", alpha=1.0
            )
        else:
            yield found
        for name in node.output:
            yield from self._conversion(name)

    def _would_be_rounded(self, node: onnx.NodeProto) -> bool:
        """Whether ONNX Runtime would round a float convolution of its own accord.

        Between a DequantizeLinear and a QuantizeLinear, which it moves past what only moves numbers, it takes float
        weights for forgotten, and rounds them by one scale for all channels: worse than the int8 layer. A leaky ReLU
        that leaks all of it is fused into the convolution, costs nothing and keeps the two apart.
        """
        layer = self.pair.of_node.get(node.name)
        convolves = node.op_type == "Conv" and layer is not None
        return (
            convolves
            and self._begins_in_int8(node.input[0])
            and self._ends_in_int8(self.pair.of_node[node.name].writes)
        )

    def _begins_in_int8(self, name: str) -> bool:
        maker = self.pair.makers.get(name)
        if maker is None or self.pair.is_int8(maker, self.in_float):
            return maker is not None
        return maker.op_type in _MOVES and self._begins_in_int8(maker.input[0])

    def _ends_in_int8(self, name: str) -> bool:
        return any(
            self.pair.is_int8(reader, self.in_float)
            or (reader.op_type in _MOVES and any(map(self._ends_in_int8, reader.output)))
            for reader in self.pair.readers.get(name, ())
        )

    def _read(self, name: str, node: onnx.NodeProto) -> str:
        """What a float node reads for a value of the float file: where no layer went back, what it reads there."""
        pair = self.pair
        if name in pair.exact_values:
            if name not in pair.rounded_makers:
                return name
            self.beside[f"{name}_in_float"] = name  # an int8 layer has its rounded form under that name
            return f"{name}_in_float"
        maker = pair.makers.get(name)
        went_back = node.name in pair.of_node or (maker is not None and maker.name in pair.of_node)
        if self._is_converted(name) and (not went_back or not pair.made_in_float(name, self.in_float)):
            return str(pair.quantizers[name][1].output[0])
        return self._raw(name)

    def _raw(self, name: str) -> str:
        """What a map is called before it is quantized."""
        return str(self.pair.quantizers[name][0].input[0]) if self._is_converted(name) else name

    def _is_converted(self, name: str) -> bool:
        pair = self.pair
        if name not in pair.quantizers:
            return False
        return not pair.made_in_float(name, self.in_float) or any(
            pair.is_int8(node, self.in_float) for node in pair.readers.get(name, ())
        )

    def _conversion(self, name: str) -> Iterator[onnx.NodeProto]:
        """A map's QuantizeLinear and DequantizeLinear, where anything in int8 makes or reads it."""
        if self._is_converted(name):
            yield from self.pair.quantizers[name]
