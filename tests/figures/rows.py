"""A report made of rows by hand, and one of many rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from segsearch.evidence.objectives import OBJECTIVES, Limit
from segsearch.judging.fronts import Report, Row
from tests import fakes

UP, ACROSS, SIZE = OBJECTIVES["miou"], OBJECTIVES["latency_ms"], OBJECTIVES["size_bytes"]


def row(trial: int, miou: float, latency_ms: float, **changes: Any) -> Row:
    made = Row(
        trial=trial,
        candidate=fakes.candidate(8, 1 + trial % 12, quantized=trial % 2 == 1),
        values={"miou": miou, "latency_ms": latency_ms, "size_bytes": 1e6 * (1 + trial % 7), "params": 10.0},
        intervals={"latency_ms": (latency_ms - 0.1, latency_ms + 0.2)},
        artifact=Path(f"{trial:064x}.onnx"),
        sha256=f"{trial:064x}",
        machine="m",
        on_front=True,
        broken=(),
    )
    return replace(made, **changes)


ROWS = (
    row(0, 0.40, 2.0),
    row(1, 0.55, 4.0),
    row(2, 0.50, 5.0, on_front=False),
    row(3, 0.60, 8.0),
    row(4, 0.70, 12.0, on_front=False, broken=(Limit("latency_ms", "<=", 9.0),)),
    row(5, 0.54, 4.1, tied=(1,)),
)


REJECTED = ({"latency_ms": 13.0, "size_bytes": 2e6}, {"latency_ms": 300.0}, {"params": 7.0})


FOUND = Report("fake", (UP, ACROSS), (Limit("latency_ms", "<=", 9.0),), ROWS, REJECTED, "m")


def many(count: int) -> Report:
    rows = tuple(row(i, 0.2 + i / 2 / count, 1 + i * 7 % 100 / 10, on_front=i >= count - 40) for i in range(count))
    return replace(FOUND, rows=rows)
