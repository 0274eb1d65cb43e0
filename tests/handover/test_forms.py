"""Mask and scores of one model: what is derived says the same, what does not is noticed, metadata change no answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from segsearch.compression.quantize import quantize
from segsearch.errors import TrialFailed
from segsearch.handover.forms import (
    answer_of,
    answers_of,
    behind,
    bilinear,
    check_derived,
    check_same,
    derive,
    with_metadata,
)
from segsearch.space.steps import Quantize
from segsearch.trial.export import LEVELS, note_reading
from tests.handover.runs import network_file

CLASSES = 5


def noise(size: tuple[int, int], count: int = 3) -> list[NDArray[np.float32]]:
    """Images of broad patches, so that classes are decided by more than the last bit."""
    draw = np.random.default_rng(0)
    patches = draw.uniform(0, 255, (count, 1, 3, size[0] // 4 + 1, size[1] // 4 + 1))
    grown = patches.repeat(4, axis=3).repeat(4, axis=4)[..., : size[0], : size[1]]
    return list(np.ascontiguousarray(grown, dtype=np.float32))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("forms")
    made = {
        "mask": network_file(folder / "mask.onnx", CLASSES, scale=1.0, size=(32, 48)),
        "coarse": network_file(folder / "coarse.onnx", CLASSES, scale=0.25, size=(32, 48)),
        "uneven": network_file(folder / "uneven.onnx", CLASSES, scale=0.25, size=(33, 47)),
        "scores": network_file(folder / "scores.onnx", CLASSES, output="scores", size=(32, 48)),
    }
    made["int8"] = folder / "int8.onnx"
    quantize(made["coarse"], made["int8"], Quantize(), images=noise((32, 48)))
    return made


def size_of(name: str) -> tuple[int, int]:
    return (33, 47) if name == "uneven" else (32, 48)


@pytest.mark.parametrize("name", ["mask", "coarse", "uneven", "int8"])
def test_scores_are_those_that_the_mask_is_made_of_at_the_images_size(
    exported: dict[str, Path], name: str, tmp_path: Path
) -> None:
    model, target, images = exported[name], tmp_path / "scores.onnx", noise(size_of(name))
    derive(model, target, "scores")
    stored, written = answers_of(model, images), answers_of(target, images)
    assert (answer_of(model), answer_of(target)) == ("mask", "scores")
    assert {answer.shape for answer in written} == {(1, CLASSES, *size_of(name))}
    assert check_derived(model, stored, written, images) < 1e-5
    chosen = [scores[0].argmax(axis=0) for scores in written]
    same = np.mean([np.mean(one == mask[0]) for one, mask in zip(chosen, stored, strict=True)])
    assert same == 1.0 if name == "mask" else 0.7 < same < 1.0
    found = onnx.load(str(target)).graph
    assert [value.name for value in found.output] == ["scores"]
    assert "ArgMax" not in {node.op_type for node in found.node}, "what nobody reads is left out"
    onnx.checker.check_model(str(target))


def test_a_mask_is_the_highest_of_the_scores(exported: dict[str, Path], tmp_path: Path) -> None:
    model, target, images = exported["scores"], tmp_path / "mask.onnx", noise((32, 48))
    derive(model, target, "mask")
    stored, written = answers_of(model, images), answers_of(target, images)
    assert check_derived(model, stored, written, images) == 0
    for scores, mask in zip(stored, written, strict=True):
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, scores.argmax(axis=1))
    assert len(np.unique(written)) > 1
    onnx.checker.check_model(str(target))


@pytest.mark.parametrize("name", ["mask", "coarse", "scores"])
def test_a_derived_form_that_says_something_else_is_refused(exported: dict[str, Path], name: str) -> None:
    model, images = exported[name], noise((32, 48))
    stored = answers_of(model, images)
    if name == "scores":
        wrong = [scores.argmin(axis=1).astype(np.uint8) for scores in stored]
    else:
        wrong = [np.zeros((1, CLASSES, 32, 48), dtype=np.float32) for _ in images]
    with pytest.raises(TrialFailed, match="must say what the stored file says"):
        check_derived(model, stored, wrong, images)


def test_one_answer_that_is_no_number_is_refused(exported: dict[str, Path], tmp_path: Path) -> None:
    model, images = exported["coarse"], noise((32, 48))
    derive(model, tmp_path / "scores.onnx", "scores")
    written = answers_of(tmp_path / "scores.onnx", images)
    for place in (0, -1):
        broken = [answer.copy() for answer in written]
        broken[place][0, 0, 0, 0] = np.nan
        with pytest.raises(TrialFailed):
            check_derived(model, answers_of(model, images), broken, images)


def test_masks_of_another_model_are_refused(exported: dict[str, Path], tmp_path: Path) -> None:
    images = noise((32, 48))
    other = network_file(tmp_path / "other.onnx", CLASSES, scale=0.25, seed=7, size=(32, 48))
    derive(other, tmp_path / "scores.onnx", "scores")
    stored, written = answers_of(exported["coarse"], images), answers_of(tmp_path / "scores.onnx", images)
    with pytest.raises(TrialFailed, match="must say what the stored file says"):
        check_derived(exported["coarse"], stored, written, images)


@pytest.mark.parametrize("name", ["mask", "coarse", "int8", "scores"])
def test_metadata_change_no_answer(exported: dict[str, Path], name: str, tmp_path: Path) -> None:
    source, target, images = tmp_path / "source.onnx", tmp_path / "target.onnx", noise((32, 48))
    source.write_bytes(exported[name].read_bytes())
    note_reading(source, (10.0, 4000.0), exif_ignored=False)
    with_metadata(source, target, {"study": "small", "classes": '["a", "b"]'})
    check_same(answers_of(source, images), answers_of(target, images), "target.onnx")
    found = {entry.key: entry.value for entry in onnx.load(str(target)).metadata_props}
    assert found["segsearch.study"] == "small"
    assert json.loads(found["segsearch.classes"]) == ["a", "b"]
    assert json.loads(found[LEVELS]) == {"black": 10.0, "white": 4000.0}, "what the file said already stays"
    assert onnx.load(str(target)).graph == onnx.load(str(source)).graph


def test_a_file_that_is_not_the_same_is_refused(exported: dict[str, Path]) -> None:
    images = noise((32, 48))
    stored = answers_of(exported["scores"], images)
    nudged = [answer + np.float32(1e-6) for answer in stored]
    with pytest.raises(TrialFailed, match=r"m\.onnx must answer as the stored file does, bit by bit"):
        check_same(stored, nudged, "m.onnx")


def test_how_far_a_mask_is_behind_is_worked_by_hand() -> None:
    scores = np.array([[[[4.0, 1.0]], [[2.0, 3.0]]]], dtype=np.float32)  # two classes, one row of two cells
    assert behind(scores, np.array([[0, 0, 1, 1]] * 2, dtype=np.uint8)) == 0
    assert behind(scores, np.array([[0, 1, 1, 1]] * 2, dtype=np.uint8)) == pytest.approx((4 - 2) / 4)
    row = np.array([[[[4.0, 4.0, 1.0, 1.0]], [[2.0, 2.0, 3.0, 3.0]]]], dtype=np.float32)
    for either in (0, 1):  # the fourth of six pixels begins where the second of four cells ends
        assert behind(row, np.array([[0, 0, 0, either, 1, 1]], dtype=np.uint8)) == 0
    assert behind(row, np.array([[0, 0, 1, 1, 1, 1]], dtype=np.uint8)) > 0


def test_bilinear_is_between_the_centres_of_pixels() -> None:
    row = np.array([[[[0.0, 4.0]]]], dtype=np.float32)
    assert bilinear(row, (1, 4)).ravel().tolist() == [0.0, 1.0, 3.0, 4.0]
    assert bilinear(row, (2, 2)).tolist() == [[[[0.0, 4.0], [0.0, 4.0]]]]
