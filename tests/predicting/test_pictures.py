"""Images in, labels and overlays out: the very pixels that scoring sees, whole files, and what cannot be read."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segsearch.datasets import open_dataset
from segsearch.errors import StorageFull
from segsearch.predicting import pipeline
from segsearch.predicting.answer import Opened, is_stretched, opened
from segsearch.predicting.model import from_file
from segsearch.predicting.pictures import predict_pictures
from segsearch.predicting.pipeline import Done, through
from segsearch.predicting.source import Pictures, source_of
from segsearch.runtimes import RUNTIMES
from segsearch.settings.data import DataSettings
from segsearch.trial.score import classes_of, score, to_input
from tests.predicting.looks import CLASSES, HEIGHT, WIDTH, make_model, picture

ORIENTATION = 0x0112


def by_file(path: Path, **changes: Any) -> Opened:
    return opened(from_file(make_model(path, **changes)))


def run(by: Opened, folder: Path, out: Path) -> Done:
    found = source_of(str(folder), is_own=lambda path: False)
    assert isinstance(found, Pictures)
    return predict_pictures(by, found.found, out)


def label(path: Path) -> np.typing.NDArray[np.uint8]:
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        return np.asarray(image)


def as_study(root: Path, labels: Path, exif: str, levels: Any) -> DataSettings:
    """The images with what was predicted as their masks: a data set that the same model must score 1 on."""
    (root / "masks" / "train").mkdir(parents=True)
    (root / "images" / "train").mkdir()
    (root / "masks" / "val").symlink_to(labels)
    Image.fromarray(picture(99)).save(root / "images" / "train" / "other.png")
    Image.fromarray(np.zeros((40, 56), np.uint8)).save(root / "masks" / "train" / "other.png")
    (root / "classes.txt").write_text("\n".join(CLASSES))
    settings = {"kind": "folders", "root": str(root), "height": HEIGHT, "width": WIDTH, "exif": exif, "levels": levels}
    return DataSettings.model_validate(settings)


def write_images(folder: Path) -> None:
    """Every way in which a picture is prepared: turned, 16 bits, a palette, alpha, JPEG, small, large."""
    folder.mkdir(parents=True)
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    Image.fromarray(picture(0, 60, 80)).save(folder / "a turned.jpg", exif=turned, quality=95)
    wide = picture(1)[..., 0].astype(np.uint16) * 9 + 800
    Image.fromarray(wide).save(folder / "b16.png")
    Image.fromarray(picture(2)).convert("P").save(folder / "c.png")
    Image.fromarray(np.dstack([picture(3), picture(4)[..., :1]])).save(folder / "d.png")
    (folder / "sub").mkdir()
    Image.fromarray(picture(5, 200, 331)).save(folder / "sub" / "e.bmp")
    Image.fromarray(picture(6, HEIGHT, WIDTH)).save(folder / "sub" / "f.webp", lossless=True)
    Image.fromarray(picture(7, 9, 7)).save(folder / "tiny.tiff")


@pytest.mark.parametrize(("exif", "answers"), [("turn", "mask"), ("ignore", "scores")])
def test_labels_are_pixel_for_pixel_what_is_scored(tmp_path: Path, exif: str, answers: str) -> None:
    levels = (800.0, 3000.0)
    metadata = {"exif": exif, "levels": {"black": levels[0], "white": levels[1]}}
    by = by_file(tmp_path / "model.onnx", answers=answers, metadata=metadata)
    images, out = tmp_path / "data" / "images" / "val", tmp_path / "out"
    write_images(images)
    done = run(by, images, out)
    assert (done.count, done.skipped, done.stopped) == (7, (), False)
    for name in ("a turned", "b16", "sub/e", "tiny"):
        shown = label(out / "labels" / f"{name}.png")
        with Image.open(out / "overlays" / f"{name}.jpg") as over:
            assert over.width == shown.shape[1]
            assert over.height > shown.shape[0]
    assert label(out / "labels" / "a turned.png").shape == ((80, 60) if exif == "turn" else (60, 80))
    study = as_study(tmp_path / "data", out / "labels", exif, levels)
    split = open_dataset(study, cache=tmp_path / "cache").validation
    assert len(split) == 7
    found = np.array(score(by.session, split, classes=3).counts)
    assert (found == np.diag(found.diagonal())).all(), "every pixel is what the score counts"
    assert (found.diagonal() > 0).sum() >= 2, "a model of one answer would prove nothing"


def test_a_network_as_it_is_exported_answers_as_by_itself(tmp_path: Path) -> None:
    from segsearch.networks import build, wear_in
    from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
    from segsearch.trial.export import export

    architecture = Architecture((EncoderPath(Stem(8), (Stage("conv", 16, 1, 2),)),), (), Head(16))
    path = tmp_path / "model.onnx"
    export(wear_in(build(architecture, 3, seed=0), seed=0).eval(), (HEIGHT, WIDTH), path, output="mask")
    by = opened(from_file(path))
    assert len(by.model.classes) == 3
    Image.fromarray(picture(1, HEIGHT, WIDTH)).save(tmp_path / "a.png")
    assert run(by, tmp_path / "a.png", tmp_path / "out").count == 1
    session = RUNTIMES["onnxruntime"].open(path, threads=1)
    expected = classes_of(session.run(to_input(picture(1, HEIGHT, WIDTH))))
    assert (label(tmp_path / "out" / "labels" / "a.png") == expected).all()


# ---- what cannot be read


def test_bad_files_are_skipped_with_the_reason_and_the_rest_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write_images(folder)
    (folder / "broken.jpg").write_bytes((folder / "a turned.jpg").read_bytes()[:200])
    (folder / "empty.png").touch()
    done = run(by_file(tmp_path / "model.onnx"), folder, tmp_path / "out")
    assert done.count == 6
    assert [name for name, _ in done.skipped] == ["b16.png", "broken.jpg", "empty.png"]
    reasons = dict(done.skipped)
    assert "more than 8 bits" in reasons["b16.png"]
    assert "the file is empty" in reasons["empty.png"]
    assert all("data.levels" not in reason and "remove the pair" not in reason for reason in reasons.values())
    written = sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert len(written) == 12
    assert not any("broken" in name or name.startswith(".") for name in written)


def test_an_answer_that_is_not_finite_is_no_label(tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    done = run(by_file(tmp_path / "model.onnx", answers="scores", nan=True), tmp_path / "a.png", tmp_path / "out")
    assert done.count == 0
    assert "NaN" in done.skipped[0][1]


def test_another_shape_is_told_once_with_an_example(tmp_path: Path) -> None:
    by = by_file(tmp_path / "model.onnx")
    for number, sides in enumerate([(HEIGHT * 2, WIDTH * 2), (30, 90), (90, 30)]):
        Image.fromarray(picture(number, *sides)).save(tmp_path / f"{number}.png")
    done = run(by, tmp_path, tmp_path / "out")
    assert done.stretched_count == 2
    assert done.stretched == pipeline.Stretched("1.png", 30, 90)
    assert not is_stretched(by.model, 1080, 1440)
    assert is_stretched(by.model, 1080, 1920)


def test_where_pictures_differ_in_their_suffix_alone_all_keep_it(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "a.png", "b.c.png"):
        Image.fromarray(picture(len(name))).save(folder / name)
    run(by_file(tmp_path / "model.onnx"), folder, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "labels").iterdir()) == [
        "a.jpg.png",
        "a.png.png",
        "b.c.png.png",
    ]


def test_no_room_is_said_and_no_part_of_a_file_is_left(tmp_path: Path) -> None:
    Image.fromarray(picture(0, 400, 600)).save(tmp_path / "a.png")
    by, out = by_file(tmp_path / "model.onnx"), tmp_path / "out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        with pytest.raises(StorageFull, match="no room left"):
            run(by, tmp_path / "a.png", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in out.rglob("*") if path.name.endswith(".part")]
    assert all(path.stat().st_size < 3000 for path in out.rglob("*.png"))


# ---- the pipeline


def test_results_are_kept_in_order_one_at_a_time_whoever_is_quicker() -> None:
    kept, inside = list[int](), list[int]()

    def work(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0.0)
        return number

    def keep(number: int) -> None:
        inside.append(number)
        assert inside == [number], "one at a time"
        inside.pop()
        kept.append(number)

    assert len(list(through(work, keep, range(40)))) == 40
    assert kept == list(range(40))


def test_few_items_are_in_memory_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "own_cores", lambda: (0, 1))
    out, most, guard = 0, 0, threading.Lock()

    def items() -> Any:
        nonlocal out, most
        for number in range(100):
            with guard:
                out += 1
                most = max(most, out)
            yield number

    def keep(number: int) -> None:
        nonlocal out
        time.sleep(0.001)
        with guard:
            out -= 1

    assert len(list(through(lambda number: number, keep, items()))) == 100
    assert most <= 10


def test_whoever_stops_has_kept_the_first_ones_whole() -> None:
    kept, stopped = list[int](), 7

    def work(number: int) -> int:
        time.sleep(0.005)
        return number

    steps = through(work, kept.append, range(1000))
    for done, _ in enumerate(steps, start=1):
        if done == stopped:
            break
    steps.close()
    assert stopped <= len(kept) < 100
    assert kept == list(range(len(kept)))


def test_an_error_of_one_ends_it(tmp_path: Path) -> None:
    def work(number: int) -> int:
        if number == 5:
            raise StorageFull("no room left")
        return number

    kept: list[int] = []
    with pytest.raises(StorageFull):
        list(through(work, kept.append, range(1000)))
    assert kept == list(range(len(kept)))
    assert len(kept) <= 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    from segsearch.errors import StudyError

    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o555)
    try:
        with pytest.raises(StudyError, match="choose another --out"):
            run(by_file(tmp_path / "model.onnx"), tmp_path / "a.png", tmp_path / "out")
    finally:
        (tmp_path / "out").chmod(0o755)


def names(pictures: Sequence[Any]) -> list[str]:
    return [one.name for one in pictures]


def test_a_folder_is_read_in_the_order_of_names_without_earlier_results(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.jpg", "a/10.jpg", "c.PNG", "out/labels/a.png", ".hidden/x.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "d.png").symlink_to(tmp_path / "gone")
    found = source_of(str(tmp_path), is_own=lambda path: "labels" in path.parts)
    assert isinstance(found, Pictures)
    assert names(found.found) == ["a/10.jpg", "a/2.jpg", "b.png", "c.PNG", "d.png"], "a link to nowhere is told"
    assert found.own == 1
