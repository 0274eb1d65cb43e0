"""Compression: steps on the network before the export, steps on the graph after it. One file and one line each."""

from __future__ import annotations

from collections.abc import Mapping

from segsearch.compression.factorize import factorize, factors_of, left_dense
from segsearch.compression.prune import kept_whole, prune
from segsearch.compression.quantize import quantize
from segsearch.compression.store_weights import store_weights
from segsearch.compression.types import CalibrationImages, GraphStep, Left, Losses, ModelStep, Report
from segsearch.space.steps import AfterExport, BeforeExport, Factorize, Prune, Quantize, StoreWeights

MODEL_STEPS: Mapping[type[BeforeExport], ModelStep] = {Prune: prune, Factorize: factorize}
# What a step before the export would leave as it is.
REPORTS: Mapping[type[BeforeExport], Report] = {Prune: kept_whole, Factorize: left_dense}
GRAPH_STEPS: Mapping[type[AfterExport], GraphStep] = {Quantize: quantize, StoreWeights: store_weights}

__all__ = [
    "GRAPH_STEPS",
    "MODEL_STEPS",
    "REPORTS",
    "CalibrationImages",
    "GraphStep",
    "Left",
    "Losses",
    "ModelStep",
    "Report",
    "factors_of",
]
