"""What int8 does to each layer of a trial's file, in mIoU and in milliseconds, and which layers it gives back to float.

Layers are judged on training images that the calibration does not use: a decision must not see what it is judged by.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import torch

from segsearch.compression.choose import choose
from segsearch.compression.layers import Pair
from segsearch.compression.mixed import mixed
from segsearch.errors import TrialFailed
from segsearch.evidence.layers import Apart, Choice, LayerLoss, LayerTime, Losses, OtherTime, Times
from segsearch.latency.operations import operations_of
from segsearch.runtimes import Operation
from segsearch.space.keys import content_key, from_json, to_json
from segsearch.trial.bench import Bench, in_the_room, scratch, versions
from segsearch.trial.judge import SAMPLE_IMAGES, Judge, judge_by
from segsearch.trial.stages import Stages
from segsearch.workshop import Outcome, Progress

_CONVERSIONS = frozenset({"QuantizeLinear", "DequantizeLinear", "ReorderInput", "ReorderOutput"})
# What ONNX Runtime makes of a node's name, or of that of its answer, where it fuses nodes or changes their layout.
_MADE = re.compile(r"^fused |(_token_\d+|_nchwc|_nhwc)+$")


@dataclass(frozen=True)
class Twins:
    """The float file of a training and its whole int8 sibling, by their names among the artifacts."""

    exact: str
    rounded: str
    bench: Bench
    stages: Stages

    @cached_property
    def pair(self) -> Pair:
        """Both graphs. Raises `TrialFailed` where the one was not made of the other."""
        artifacts = self.stages.artifacts
        found = Pair(*(onnx.load(str(artifacts.verified(name))) for name in (self.exact, self.rounded)))
        if not found.is_made_of():
            raise TrialFailed(
                "layers", f"{self.rounded[:12]} must be made of {self.exact[:12]}; its weights are others."
            )
        if not found.convolutions:
            raise TrialFailed("layers", f"{self.rounded[:12]} has no convolution in int8: there is nothing to explain.")
        return found

    def losses(self) -> Losses:
        """What each layer loses in int8."""

        def make() -> Outcome:
            pair, found = self.pair, list[LayerLoss]()
            every = frozenset(layer.name for layer in pair.layers)
            total = len(pair.convolutions)
            with self._judging() as (judge, watched):
                for layer in pair.layers:
                    back = alone = None
                    if layer.convolves:
                        back = self._apart(judge, pair.settled({layer.name}))
                        alone = self._apart(judge, every - {layer.name})
                    found.append(LayerLoss(layer.name, layer.kind, layer.shape, back, alone))
                    watched("layer-losses", sum(one.back is not None for one in found), total)
                whole = self._apart(judge, pair.settled(()))
            return {"losses": to_json(Losses(judge.drawn, whole, tuple(found)))}

        key = content_key(["layer-losses", self.exact, self.rounded, *self._judged_by])
        return from_json(Losses, str(self.stages.once("layer-losses", key, make)["losses"]))

    def times(self) -> Times:
        """How long each layer takes in both forms on this machine. It is a matter of the graphs, not of the weights."""

        def make() -> Outcome:
            return {"times": to_json(self._measured())}

        machine, graphs = self.bench.machine, (self.pair.exact, self.pair.rounded)
        key = content_key(["layer-times", *map(graph_key, graphs), machine.key, str(machine.threads)])
        return from_json(Times, str(self.stages.once("layer-times", key, make)["times"]))

    def choice(self, tolerance: float) -> Choice:
        """Which layers stay in float so that at most so much mIoU is expected to be lost."""
        times = self.times()

        def make() -> Outcome:
            with self._judging() as (judge, watched):
                found = choose(
                    self.pair,
                    times,
                    tolerance,
                    drawn=judge.drawn,
                    lost=lambda in_float: self._apart(judge, in_float).expected,
                    progress=watched,
                )
            return {"choice": to_json(found)}

        key = content_key(["choose-layers", self.exact, self.rounded, str(tolerance), to_json(times), *self._judged_by])
        return from_json(Choice, str(self.stages.once("choose-layers", key, make)["choice"]))

    @property
    def _judged_by(self) -> list[str]:
        return [self.bench.dataset.key, str(SAMPLE_IMAGES), *(f"{name} {version}" for name, version in versions())]

    @contextmanager
    def _judging(self) -> Iterator[tuple[Judge, Progress]]:
        pair, bench = self.pair, self.bench
        with in_the_room(bench, self.stages.progress) as watched:
            with self._file({layer.name for layer in pair.layers}, scores=True) as exact:
                judge = judge_by(
                    exact,
                    bench.dataset.train,
                    classes=bench.classes,
                    runtime=bench.runtime,
                    threads=torch.get_num_threads(),
                    most=SAMPLE_IMAGES,
                )
            yield judge, watched

    def _apart(self, judge: Judge, in_float: Collection[str]) -> Apart:
        with self._file(in_float, scores=True) as model:
            return judge.apart(model)

    @contextmanager
    def _file(self, in_float: Collection[str], *, scores: bool = False) -> Iterator[Path]:
        with scratch(self.stages.artifacts) as target:
            target.write_bytes(mixed(self.pair, in_float, scores=scores).SerializeToString())
            yield target

    def _measured(self) -> Times:
        """Both files under the runtime's profiler, and two with every other convolution in float, in turn.

        The latter have nearly all conversions that there can be, which tell what one costs.
        """
        pair, bench = self.pair, self.bench
        names = [layer.name for layer in pair.convolutions]
        alternating = [pair.settled(names[first::2]) for first in (0, 1)]
        artifacts = self.stages.artifacts
        with ExitStack() as stack:
            files = [artifacts.verified(self.exact), artifacts.verified(self.rounded)]
            files += [stack.enter_context(self._file(in_float)) for in_float in alternating]
            stack.enter_context(bench.room.quiet())
            taken = operations_of(files, bench.machine, bench.runtime)
        converted = sum(map(pair.converted, alternating))
        spent = sum(one.mean_ms for found in taken[2:] for one in found if _converts(pair, one))
        return times_of(pair, taken[0], taken[1], machine=bench.machine.key, million_ms=1e6 * spent / max(converted, 1))


def times_of(
    pair: Pair, exact: Sequence[Operation], rounded: Sequence[Operation], *, machine: str, million_ms: float
) -> Times:
    """The operations of both files as the runtime runs them, by the layers of the graphs that they were made of."""
    ran = {_MADE.sub("", one.name): one.kind for one in rounded}
    layer_of = {name: layer.name for layer in pair.layers for name in _names(pair, layer.nodes)}
    both = [_by_layer(pair, found, layer_of) for found in (exact, rounded)]
    layers = []
    for layer in pair.layers:
        numbers = sum(int(np.prod(pair.shapes.get(name, (0,)))) for name in (*layer.reads, layer.writes))
        taken = [found.get((layer.name, ""), 0.0) for found in both]
        runs_as = next((ran[name] for name in _names(pair, layer.nodes) if name in ran), "")
        layers.append(LayerTime(layer.name, taken[0], taken[1], million_ms * numbers / 1e6, runs_as))
    rest = dict.fromkeys(key for found in both for key in found if key[1])
    others = tuple(OtherTime(*key, *(found.get(key, 0.0) for found in both)) for key in rest)
    whole = [sum(one.mean_ms for one in found) for found in (exact, rounded)]
    return Times(machine, whole[0], whole[1], million_ms, tuple(layers), others)


def graph_key(model: onnx.ModelProto) -> str:
    """A name of a graph that does not depend on its weights."""
    digest = hashlib.sha256()
    for node in model.graph.node:
        digest.update(node.SerializeToString(deterministic=True))
    for tensor in model.graph.initializer:
        digest.update(f"{tensor.name} {tensor.data_type} {list(tensor.dims)}\n".encode())
    return digest.hexdigest()


def _names(pair: Pair, nodes: Collection[str]) -> Iterator[str]:
    """What operations made of these nodes may be called: a node's name, or that of its answer."""
    for node in pair.exact.graph.node:
        if node.name in nodes:
            yield from (node.name, *node.output)


def _converts(pair: Pair, operation: Operation) -> bool:
    """Whether it changes numbers or their layout alone, and is none of the float graph's own."""
    own = operation.kind == "Transpose" and any(operation.name == node.name for node in pair.exact.graph.node)
    return operation.kind in _CONVERSIONS or (operation.kind == "Transpose" and not own)


def _by_layer(pair: Pair, operations: Sequence[Operation], layer_of: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """Milliseconds by (layer, ""), and by (name, type) of what is no layer; all conversions are one."""
    own = {name: (node.name, node.op_type) for node in pair.exact.graph.node for name in (node.name, *node.output)}
    found = dict[tuple[str, str], float]()
    for one in operations:
        name = _MADE.sub("", one.name)
        if _converts(pair, one):
            key = ("conversions and layouts", "to and from int8")
        elif name in layer_of:
            key = (layer_of[name], "")
        else:
            key = own.get(name, (name, one.kind))
        found[key] = found.get(key, 0.0) + one.mean_ms
    return found
