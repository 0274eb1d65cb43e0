"""Compression: steps on the network before the export, steps on the graph after it. One file and one line each."""

from __future__ import annotations

from collections.abc import Mapping

from segsearch.compression.prune import prune
from segsearch.compression.quantize import quantize
from segsearch.compression.types import CalibrationImages, GraphStep, ModelStep
from segsearch.space.steps import AfterExport, BeforeExport, Prune, Quantize

MODEL_STEPS: Mapping[type[BeforeExport], ModelStep] = {Prune: prune}
GRAPH_STEPS: Mapping[type[AfterExport], GraphStep] = {Quantize: quantize}

__all__ = ["GRAPH_STEPS", "MODEL_STEPS", "CalibrationImages", "GraphStep", "ModelStep"]
