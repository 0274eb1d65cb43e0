"""Runtimes: what runs the exported file. One file and one line in `RUNTIMES` each."""

from __future__ import annotations

from collections.abc import Mapping

from segsearch.runtimes.onnxruntime import OnnxRuntime
from segsearch.runtimes.types import NOISE, Answer, Feed, Image, Operation, Runtime, Session, Timer

RUNTIMES: Mapping[str, Runtime] = {"onnxruntime": OnnxRuntime()}

__all__ = ["NOISE", "RUNTIMES", "Answer", "Feed", "Image", "Operation", "Runtime", "Session", "Timer"]
