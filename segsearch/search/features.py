"""What a surrogate sees of a candidate: blocks of numbers, scaled so that distances in them mean something."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segsearch.settings.search import Scalar
from segsearch.space.candidate import Candidate
from segsearch.space.own import OwnNetwork
from segsearch.space.steps import Factorize, Prune

Array = NDArray[np.float64]

# Exact after the gate, and told by their logarithms. Other objectives of a timing say the same with more noise.
_COSTS = ("macs", "params", "size_bytes", "latency_ms")


class Described(Protocol):
    """What features are made of; a `TrialRow` is one."""

    @property
    def candidate(self) -> Candidate: ...

    @property
    def params(self) -> Mapping[str, Scalar]: ...

    @property
    def values(self) -> Mapping[str, float]: ...


def features_of(rows: Sequence[Described]) -> tuple[Array, ...]:
    """Blocks of columns, (rows, columns) each: logarithms of costs, numbers of the design, the space's parameters.

    Constant columns are left out, and blocks without any column. Two rows of a block differ by a squared distance of 1
    in the mean. What is scaled is scaled over these rows: features of several calls do not belong together.
    """
    if not rows:
        return ()
    blocks = (_costs(rows), _designs(rows), _params(rows))
    return tuple(scaled for block in blocks if (scaled := _scaled(block)).shape[1])


def _costs(rows: Sequence[Described]) -> Array:
    known = [name for name in _COSTS if all(row.values.get(name, 0) > 0 for row in rows)]
    logs = [[math.log(row.values[name]) for name in known] for row in rows]
    columns = np.array(logs, dtype=float).reshape(len(rows), len(known))
    return _each(columns, columns.std(axis=0))


def _designs(rows: Sequence[Described]) -> Array:
    numbers = [design_numbers(row.candidate) for row in rows]
    names = sorted({name for one in numbers for name in one})
    columns = np.array([[one.get(name, 0.0) for name in names] for one in numbers], dtype=float)
    return _each(columns, np.ptp(columns, axis=0))


def design_numbers(candidate: Candidate) -> dict[str, float]:
    """Numbers that mean the same in every space: sizes by their logarithms, counts, and what the compression takes."""
    architecture = candidate.architecture
    compression = _compression(candidate)
    scales = {
        "input_scale": math.log2(architecture.input_scale),
        "answer_scale": math.log2(architecture.answer_scale),
    }
    if isinstance(architecture, OwnNetwork):  # the same in all candidates
        return {**scales, **compression}
    stages = [stage for path in architecture.paths for stage in path.stages]
    blocks = Counter[str]()
    for stage in stages:
        blocks[f"blocks of {stage.block}"] += stage.depth
    contexts = Counter(f"context {path.context.kind}" for path in architecture.paths)
    joins = Counter(f"joins of {join.kind}" for join in architecture.joins)
    return {
        "output_stride": math.log2(architecture.output_stride),
        **scales,
        "paths": len(architecture.paths),
        "blocks": sum(stage.depth for stage in stages),
        "width": math.log2(sum(stage.channels for stage in stages) + 1),
        "reach": sum(stage.depth * math.log2(max(stage.atrous, default=1)) for stage in stages),
        "head": math.log2(architecture.head.channels + 1),
        **compression,
        **{name: float(count) for counts in (blocks, contexts, joins) for name, count in counts.items()},
    }


def _compression(candidate: Candidate) -> dict[str, float]:
    """Numbers of what the compression takes, and of who teaches."""
    steps = candidate.before_export
    return {
        "bits": math.log2(candidate.bits),
        "float_convolutions": candidate.float_convolutions,
        "tolerance": candidate.tolerance or 0.0,
        "tail": candidate.tail,
        "pruned": 1 - math.prod(1 - step.ratio for step in steps if isinstance(step, Prune)),
        "factorized": 1 - math.prod(step.ratio for step in steps if isinstance(step, Factorize)),
        "taught": min(1.0, candidate.distill.weight) if candidate.distill else 0.0,
    }


def _params(rows: Sequence[Described]) -> Array:
    """Numbers by their place in their range, words one column each; what a branch does not ask for is a word, too."""
    columns: list[Array] = []
    for name in sorted({name for row in rows for name in row.params}):
        found = [row.params.get(name) for row in rows]
        words = [value for value in found if value is None or isinstance(value, str)]
        ordered = sorted(set(words), key=lambda word: (word is None, word or ""))
        columns += [np.array([value == word for value in found]) / math.sqrt(2) for word in ordered]
        numbers = [value for value in found if value is not None and not isinstance(value, str)]
        if numbers:
            low, span = min(numbers), max(numbers) - min(numbers)
            middle = low + span / 2  # as far from either end as can be, where there is no number
            placed = [middle if value is None or isinstance(value, str) else value for value in found]
            columns.append((np.array(placed, dtype=float) - low) / (span or 1.0))
    return np.stack(columns, axis=1) if columns else np.empty((len(rows), 0))


def _each(columns: Array, spreads: Array) -> Array:
    """Each column by its own spread, so that all count alike."""
    return columns / np.where(spreads > 0, spreads, 1.0)


def _scaled(block: Array) -> Array:
    """Centred, without constant columns, and as wide in all as every other block."""
    varied = block[:, np.ptp(block, axis=0) > 1e-12] if block.size else block[:, :0]
    centred = varied - varied.mean(axis=0) if varied.size else varied
    # Two independent rows differ by twice the variance.
    return centred / math.sqrt(2 * float(centred.var(axis=0).sum())) if centred.size else centred
