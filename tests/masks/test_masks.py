"""Masks to look at: real exported files on tiny images, the choice of images, pictures pixel by pixel."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segsearch.datasets import open_dataset
from segsearch.errors import DatabaseError, DataError
from segsearch.masks import (
    ERROR_COLOUR,
    Gallery,
    MaskCache,
    answer,
    blended_png,
    choose_images,
    class_colours,
    classes_png,
    disagreement,
    errors_png,
    image_iou,
    legend_of,
    open_gallery,
    picture_png,
    predict,
    spread,
)
from segsearch.runtimes import RUNTIMES
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.store import StudyRow
from segsearch.trial.score import score
from segsearch.workshop import Artifacts
from tests import fakes
from tests.scenes import HEIGHT, WIDTH, tiny_dataset

CLASSES = ("sky", "road", "box")


@dataclass(frozen=True)
class Wall:
    """A gallery with two exported files."""

    gallery: Gallery
    files: tuple[str, str]


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Wall:
    from segsearch.networks import build, wear_in
    from segsearch.trial.export import export

    artifacts = Artifacts(tmp_path_factory.mktemp("artifacts"))
    architecture = Architecture((EncoderPath(Stem(8), (Stage("conv", 16, 1, 2),)),), (), Head(16))
    files = []
    for seed in (0, 1):
        target = artifacts.scratch(".onnx")
        export(wear_in(build(architecture, 3, seed=seed), seed=seed).eval(), (HEIGHT, WIDTH), target)
        files.append(artifacts.keep(target))
    data = tiny_dataset()
    gallery = Gallery(data.validation, data.classes, data.void, data.key, artifacts)
    return Wall(gallery, (files[0], files[1]))


def test_the_answer_is_what_was_scored(wall: Wall) -> None:
    split, cache = wall.gallery.split, MaskCache()
    for artifact in wall.files:
        session = RUNTIMES["onnxruntime"].open(wall.gallery.artifacts.path(artifact), threads=1)
        whole = np.array(score(session, split, classes=3).counts)
        mine = np.zeros_like(whole)
        for index in range(len(split)):
            mask = predict(wall.gallery, artifact, index, cache)
            assert (mask.dtype, mask.shape) == (np.uint8, (HEIGHT, WIDTH))
            known = split.label(index) < 3
            np.add.at(mine, (split.label(index)[known], mask[known]), 1)
        assert (mine == whole).all()


def test_an_answer_is_remembered_within_its_bytes(wall: Wall) -> None:
    room = HEIGHT * WIDTH * 3
    cache = MaskCache(max_bytes=room)
    first = predict(wall.gallery, wall.files[0], 0, cache)
    assert predict(wall.gallery, wall.files[0], 0, cache) is first
    for index in range(1, 4):
        predict(wall.gallery, wall.files[0], index, cache)
        assert cache.bytes <= room
    assert predict(wall.gallery, wall.files[0], 0, cache) is not first
    small = MaskCache(max_sessions=1)
    for artifact in wall.files:
        predict(wall.gallery, artifact, 0, small)
    assert len(small._sessions) == 1


def test_threads_may_ask_at_once(wall: Wall) -> None:
    cache = MaskCache(max_bytes=HEIGHT * WIDTH * 2, max_sessions=1)
    alone = [predict(wall.gallery, artifact, index, MaskCache()) for artifact in wall.files for index in range(4)]
    found: list[Sequence[Any]] = []

    def ask() -> None:
        found.append([predict(wall.gallery, artifact, index, cache) for artifact in wall.files for index in range(4)])

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all((mine == theirs).all() for masks in found for mine, theirs in zip(masks, alone, strict=True))


def test_how_well_an_answer_fits(wall: Wall) -> None:
    found = answer(wall.gallery, wall.files[0], 1, MaskCache())
    label = wall.gallery.split.label(1)
    known = label < 3
    assert found.right == pytest.approx((found.prediction == label)[known].mean())
    assert found.iou == image_iou(label, found.prediction, classes=3)


def grid(*rows: str) -> NDArray[np.uint8]:
    return np.array([[255 if letter == "." else int(letter) for letter in row] for row in rows], dtype=np.uint8)


def test_the_iou_of_an_image_by_hand() -> None:
    truth, said = grid("001", "01."), grid("000", "112")
    # Class 0: 2 hits of 4; class 1: 1 hit of 3; class 2 only where nothing is labelled, or nowhere in the truth.
    assert image_iou(truth, said, classes=3) == pytest.approx((2 / 4 + 1 / 3) / 2)
    assert image_iou(truth, grid("002", "112"), classes=3) == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert image_iou(grid("..."), grid("000"), classes=3) is None


def test_disagreement_by_hand() -> None:
    truth = grid("0011", "00..")
    assert disagreement(truth, [grid("0011", "0000"), grid("0111", "0011"), grid("0010", "0000")], classes=2) == 2 / 6
    assert disagreement(truth, [grid("0000", "0000")], classes=2) == 2 / 6  # one alone: where it is wrong
    assert disagreement(grid("...."), [grid("0000")], classes=2) == 0.0


def test_hard_images_are_those_that_models_disagree_on(wall: Wall) -> None:
    cache = MaskCache()
    found = choose_images(wall.gallery, wall.files, cache, hard=2, drawn=1)
    scores = {
        index: disagreement(
            wall.gallery.split.label(index),
            [predict(wall.gallery, artifact, index, cache) for artifact in wall.files],
            classes=3,
        )
        for index in range(4)
    }
    assert [one.index for one in found if one.why == "hard"] == sorted(scores, key=lambda i: (-scores[i], i))[:2]
    assert [one.score for one in found] == [*sorted(scores.values(), reverse=True)[:2], None]
    assert len({one.index for one in found}) == 3
    assert found == choose_images(wall.gallery, wall.files, MaskCache(), hard=2, drawn=1)
    assert {one.why for one in choose_images(wall.gallery, (), cache, hard=2, drawn=9)} == {"random"}
    assert len(choose_images(wall.gallery, wall.files, cache, hard=9, drawn=9, among=2)) == 4


def test_judges_are_spread_from_end_to_end() -> None:
    assert spread("abcdefg", 3) == ("a", "d", "g")
    assert spread("aab", 3) == ("a", "b")
    assert spread("abc", 1) == ("a",)


# ---- pictures


def opened(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def test_layers_have_the_labels_shape_and_its_colours(wall: Wall) -> None:
    gallery, label = wall.gallery, wall.gallery.split.label(0)
    picture, layer = opened(picture_png(gallery, 0)), opened(classes_png(gallery, label))
    assert picture.shape == layer.shape == (HEIGHT, WIDTH, 4)
    assert (picture[..., :3] == gallery.split.images[0]).all()
    for number, colour in enumerate(class_colours(CLASSES)):
        place = tuple(np.argwhere(label == number)[0])
        assert "#{:02X}{:02X}{:02X}".format(*layer[place][:3]) == colour
        assert layer[place][3] == 255
    assert (layer[label == 255][:, 3] == 0).all()
    assert opened(picture_png(gallery, 0, longest=48)).shape == (32, 48, 4)
    assert opened(classes_png(gallery, label, longest=48)).shape == (32, 48, 4)


def test_errors_stand_out_and_right_pixels_step_back(wall: Wall) -> None:
    label = wall.gallery.split.label(0)
    said = np.where(label == 2, 1, label).astype(np.uint8)
    layer = opened(errors_png(wall.gallery, 0, said))
    wrong = layer[label == 2]
    assert {"#{:02X}{:02X}{:02X}".format(*pixel[:3]) for pixel in wrong} == {ERROR_COLOUR}
    assert (wrong[:, 3] == 255).all()
    assert set(layer[label < 2][:, 3]) == {150}
    assert set(layer[label == 255][:, 3]) == {0}


def test_a_blend_lies_between_picture_and_mask(wall: Wall) -> None:
    label = wall.gallery.split.label(0)
    picture, layer = opened(picture_png(wall.gallery, 0)), opened(classes_png(wall.gallery, label))
    half = opened(blended_png(wall.gallery, 0, label, opacity=0.5))
    known = label < 3
    mean = (picture[known].astype(float) + layer[known]) / 2
    assert np.abs(half[known].astype(float) - mean)[:, :3].max() <= 2
    assert (half[~known] == picture[~known]).all()


def test_every_class_has_a_colour_of_its_own() -> None:
    many = class_colours([f"class {number}" for number in range(255)])
    assert len(set(many)) == 255
    assert ERROR_COLOUR not in many
    assert class_colours(CLASSES) == class_colours(list(CLASSES))
    assert class_colours(("road", "sky"))[1] == class_colours(("sky", "road"))[0]


def test_the_legend_of_an_image_holds_what_is_in_it(wall: Wall) -> None:
    whole, one = legend_of(wall.gallery), legend_of(wall.gallery, 0)
    assert [entry.name for entry in whole] == list(CLASSES)
    assert sum(entry.share for entry in one) == pytest.approx(1)
    assert [entry.share for entry in one] == sorted((entry.share for entry in one), reverse=True)
    assert {(entry.name, entry.colour) for entry in one} <= {(entry.name, entry.colour) for entry in whole}


# ---- what can be gone


def test_a_file_that_is_gone_or_broken_is_said_in_one_line(wall: Wall, tmp_path: Path) -> None:
    gallery = replace(wall.gallery, artifacts=Artifacts(tmp_path))
    with pytest.raises(DatabaseError, match="is gone"):
        predict(gallery, wall.files[0], 0, MaskCache())
    name = gallery.artifacts.keep_bytes(b"no graph", ".onnx")
    with pytest.raises(DatabaseError, match="cannot be run") as broken:
        predict(gallery, name, 0, MaskCache())
    assert "\n" not in str(broken.value)
    gallery.artifacts.path(name).write_bytes(b"another graph")
    with pytest.raises(DatabaseError, match="it was changed"):
        predict(gallery, name, 0, MaskCache())
    with pytest.raises(DatabaseError, match="must be <sha256>"):
        predict(gallery, "../../etc/passwd", 0, MaskCache())


def test_a_file_of_another_input_is_said_in_one_line(wall: Wall) -> None:
    split = wall.gallery.split
    other = replace(wall.gallery, split=replace(split, images=split.images[:, :32]))
    with pytest.raises(DatabaseError, match="failed on scene0") as wrong:
        predict(other, wall.files[0], 0, MaskCache())
    assert "\n" not in str(wrong.value)


def study(tmp_path: Path, **data: Any) -> StudyRow:
    settings = {"train_count": 2, "validation_count": 2, "height": 64, "width": 64} | data
    return StudyRow("tiny", fakes.make_study(data=settings), "", "", Artifacts(tmp_path / "artifacts"), 0.0)


def test_the_images_are_those_that_were_scored(tmp_path: Path) -> None:
    row = study(tmp_path)
    dataset = open_dataset(row.study.data, cache=tmp_path / "cache")
    gallery = open_gallery(replace(row, data_key=dataset.key), cache=tmp_path / "cache")
    assert gallery.split.names == dataset.validation.names
    with pytest.raises(DataError, match="have changed"):
        open_gallery(replace(row, data_key="another"), cache=tmp_path / "cache")
    gone = study(tmp_path, kind="folders", root=str(tmp_path / "gone"))
    with pytest.raises(DataError, match="must be a folder"):
        open_gallery(gone, cache=tmp_path / "cache")


def test_no_torch_is_imported() -> None:
    rooms = ", ".join(f"segsearch.{name}" for name in ("masks", "datasets", "runtimes", "figures"))
    code = f"import sys, {rooms}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
