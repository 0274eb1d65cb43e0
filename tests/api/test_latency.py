"""`segsearch.measure`: real files, and the words of Python for what the command takes as text."""

from __future__ import annotations

from pathlib import Path

import pytest

import segsearch
from segsearch.errors import StudyError
from tests.models import calibrate_at_once, convolutions, one_node


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calibrate_at_once(monkeypatch, tmp_path / "cache")


def test_a_file_is_timed_with_its_interval_on_this_machine(tmp_path: Path) -> None:
    model = convolutions(tmp_path / "model.onnx")
    found = segsearch.measure(model, max_seconds=0.5)
    low, high = found.interval_ms
    assert 0 < low <= found.latency_ms <= high
    assert found.latency_ms == found.timing.latency_ms
    assert found.machine == found.timing.machine == found.about.key
    assert found.size_bytes == model.stat().st_size
    assert found.runs == len(found.timing.samples_ms)
    assert found.ratio is None
    assert "samples_ms" not in repr(found)
    assert f"{found.latency_ms:.4g}" in found._repr_html_()


def test_a_comparison_tells_the_ratio(tmp_path: Path) -> None:
    model, other = convolutions(tmp_path / "model.onnx", depth=6), convolutions(tmp_path / "other.onnx", depth=1)
    found = segsearch.measure(str(model), against=other, max_seconds=0.5, state="warm")
    assert found.ratio is not None
    assert found.ratio_interval is not None
    assert found.ratio_interval[0] <= found.ratio <= found.ratio_interval[1]
    assert found.ratio > 1
    assert (found.against, found.state) == (other, "warm")


@pytest.mark.parametrize("shapes", ["1x3x32x32", (1, 3, 32, 32), {"image": (1, 3, 32, 32)}, {"image": "1x3x32x32"}])
def test_an_open_shape_is_told_in_numbers_or_in_words(shapes: object, tmp_path: Path) -> None:
    model = convolutions(tmp_path / "model.onnx", size="side")
    with pytest.raises(StudyError, match="image"):
        segsearch.measure(model, max_seconds=0.5)
    assert segsearch.measure(model, max_seconds=0.5, shapes=shapes).latency_ms > 0  # type: ignore[arg-type]


def test_a_value_is_a_number_or_several(tmp_path: Path) -> None:
    model = one_node(tmp_path / "add.onnx", "Add", (2,), inputs=("image", "shift"))
    assert segsearch.measure(model, max_seconds=0.5, values={"shift": [1.0, 2.5], "image": 3}).latency_ms > 0
    with pytest.raises(StudyError, match="shfit"):
        segsearch.measure(model, max_seconds=0.5, values={"shfit": 1.0})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"threads": 0}, "threads must lie in"),
        ({"interval": 2.0}, "interval"),
        ({"max_seconds": 0.1}, "max_seconds"),
        ({"state": "hot"}, "state must be one of pipeline, warm; got 'hot'"),
    ],
)
def test_an_effort_that_is_none_is_refused(wrong: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=words):
        segsearch.measure(tmp_path / "model.onnx", **wrong)  # type: ignore[arg-type]
