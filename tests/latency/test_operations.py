"""Operations of several files timed in turn, in a process of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.errors import TrialFailed
from segsearch.latency.operations import operations_of
from segsearch.latency.reference import reference_bytes
from tests.models import RUNTIME, here


def test_each_file_has_its_own_operations_in_order(tmp_path: Path) -> None:
    files = [tmp_path / "float.onnx", tmp_path / "int8.onnx"]
    for file, name in zip(files, ("float32", "int8"), strict=True):
        file.write_bytes(reference_bytes(name))
    plain, rounded = operations_of(files, here(), RUNTIME, rounds=2, runs=2)
    assert "QLinearConv" in {one.kind for one in rounded}
    assert "QLinearConv" not in {one.kind for one in plain}
    assert all(one.mean_ms >= 0 for one in (*plain, *rounded))
    known = [one.name for one in RUNTIME.profile(files[1], threads=1, runs=1)]
    assert [one.name for one in rounded] == known


def test_a_file_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"garbage")
    with pytest.raises(TrialFailed) as caught:
        operations_of([tmp_path / "bad.onnx"], here(), RUNTIME, rounds=1, runs=1)
    assert caught.value.kind == "runtime"
