"""`segsearch predict` as a user types it: what it prints and writes, what it refuses, and how it stops."""

from __future__ import annotations

import builtins
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segsearch.search import run_search
from segsearch.settings.retrain import Recipe
from segsearch.store import Pick, open_store
from segsearch.store.grown import keep_grown
from segsearch.workshop import Workshop
from tests import fakes
from tests.commands.doors import ROOT, assert_refused
from tests.conftest import Command
from tests.predicting.looks import (
    frames_in,
    make_bright,
    make_folder,
    make_model,
    make_video,
    number_in,
    picture,
    pyav,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "exported")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(picture(0, 48, 64)).save(folder / "a.jpg")
    Image.fromarray(picture(1, 50, 100)).save(folder / "sub" / "b.png")
    return folder


@pytest.fixture(scope="module")
def searched_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose trials have files that run: 8 classes, as the drawn scenes have."""
    folder = tmp_path_factory.mktemp("searched")
    content = make_model(folder / "model.onnx", classes=8, size=(64, 64)).read_bytes()

    def evaluate(number: int, one: Any, workshop: Workshop) -> Any:
        artifact = workshop.artifacts.keep_bytes(content, ".onnx")
        return fakes.evidence(latency_ms=fakes.latency_of(one), miou=0.5, artifact=artifact)

    store, row = fakes.start(folder, fakes.make_study(trials=2))
    with store:
        run_search(store, row.name, draw=fakes.draw, evaluate=evaluate)
    return folder


@pytest.fixture
def searched(searched_once: Path, tmp_path: Path) -> Path:
    shutil.copytree(searched_once, tmp_path / "searched")
    return tmp_path / "searched" / "study.db"


def files_in(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


# ---- images


def test_a_folder_of_images_becomes_labels_overlays_and_words(
    command: Command, model: Path, images: Path, tmp_path: Path
) -> None:
    (images / "sub" / "broken.png").write_bytes(b"no picture")
    said = command("predict", model, images, "--out", tmp_path / "out")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "Model    mine-trial-7; 64x48, 3 classes"
    assert re.fullmatch(r"Images   2 in [\d.]+ s: [\d.]+ images a second in all", lines[1])
    assert re.fullmatch(
        r"Alone    the model takes [\d.e-]+ ms of one thread for each image \(median\): [\d.]+ a second", lines[2]
    )
    assert lines[3] == (
        "Note     stretched to 64x48, as in training: 1 image of another shape, the first is sub/b.png (100x50)"
    )
    assert lines[4] == "Skipped  1 image that could not be read:"
    assert lines[5].startswith(f"  {images}/sub/broken.png: the image must be a readable JPEG")
    assert lines[6] == f"Wrote    {tmp_path}/out/labels (classes as numbers, PNG), {tmp_path}/out/overlays"
    assert files_in(tmp_path / "out") == ["labels/a.png", "labels/sub/b.png", "overlays/a.jpg", "overlays/sub/b.jpg"]


def test_one_image_and_a_file_alone(command: Command, images: Path, tmp_path: Path) -> None:
    path = make_model(tmp_path / "model.onnx")
    said = command("predict", path, images / "a.jpg", "--out", tmp_path / "out")
    assert (said.code, said.err) == (0, "")
    assert "Model    model.onnx; 64x48, 3 classes, only numbered: nothing here tells their names" in said.out
    assert files_in(tmp_path / "out") == ["labels/a.png", "overlays/a.jpg"]


def test_nothing_that_could_be_read_is_an_error(command: Command, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    said = command("predict", model, path, "--out", tmp_path / "out")
    assert_refused(said, "no image could be read")
    assert "Skipped  1 image that could not be read:" in said.out
    assert files_in(tmp_path / "out") == []


def test_very_many_bad_files_are_counted_and_named(command: Command, model: Path, images: Path, tmp_path: Path) -> None:
    for number in range(25):
        (images / f"bad{number:02d}.png").touch()
    said = command("predict", model, images, "--out", tmp_path / "out")
    assert said.code == 0
    assert "Skipped  25 images that could not be read:" in said.out
    assert said.out.count("the file is empty") == 10
    assert "bad24.png" in said.out


# ---- the folder of results


def test_a_folder_that_holds_something_is_left_alone_without_force(
    command: Command, model: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "labels").mkdir(parents=True)
    (out / "labels" / "mine.txt").write_text("mine")
    (out / "labels" / "a.png").write_text("old")
    assert_refused(command("predict", model, images, "--out", out), "got one with labels in it", "--force")
    parts = [out / "labels" / f".{pid}-a.png.part" for pid in (1, 2)]
    for part in parts:
        part.touch()
    os.utime(parts[0], (1e9, 1e9))
    assert command("predict", model, images, "--out", out, "--force").code == 0
    assert [part.exists() for part in parts] == [False, True], "what was killed long ago, and what another may write"
    assert (out / "labels" / "mine.txt").read_text() == "mine"
    with Image.open(out / "labels" / "a.png") as label:
        assert label.size == (64, 48)
    assert_refused(command("predict", model, images, "--out", model / "model.json"), "must be a folder, got a file")


def test_results_of_an_earlier_run_are_no_input(command: Command, model: Path, images: Path) -> None:
    assert command("predict", model, images, "--out", images / "out").code == 0
    again = command("predict", model, images, "--out", images / "out", "--force")
    assert "Images   2 in" in again.out
    assert f"4 files below {images}/out left out: results of an earlier run" in again.out
    assert len(files_in(images / "out")) == 4


def test_a_video_is_never_written_over_itself(command: Command, tmp_path: Path) -> None:
    pyav()
    out = tmp_path / "out"
    (out / "overlays").mkdir(parents=True)
    video = make_video(out / "overlays" / "clip.mp4", 3)
    before = video.read_bytes()
    said = command("predict", make_bright(tmp_path / "m.onnx"), video, "--out", out, "--force")
    assert_refused(said, "must not replace what is read")
    assert video.read_bytes() == before


# ---- databases


def test_a_database_gives_the_newest_pick_with_its_names(
    command: Command, searched: Path, images: Path, tmp_path: Path
) -> None:
    refused = command("predict", searched, images, "--out", tmp_path / "out")
    assert_refused(refused, "nothing was picked", "segsearch pick", "--trial")
    with open_store(searched) as store:
        store.add_pick("fake", Pick(1, "because"))
    said = command("predict", searched, images, "--out", tmp_path / "out")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("Model    trial 1 of fake, not yet trained to the end; 64x64, 8 classes\n")
    by_number = command("predict", searched.parent, images, "--out", tmp_path / "other", "--trial", 0)  # its folder
    assert "trial 0 of fake" in by_number.out
    one, other = ((tmp_path / name / "labels" / "a.png").read_bytes() for name in ("out", "other"))
    assert one == other


def test_what_was_trained_to_the_end_is_preferred(
    command: Command, searched: Path, images: Path, tmp_path: Path
) -> None:
    content = make_model(tmp_path / "final.onnx", classes=8, size=(64, 64), metadata={"note": "final"}).read_bytes()
    with open_store(searched) as store:
        artifacts = store.study().artifacts
        recipe = Recipe(epochs=2, ema=0.0, auxiliary=0.0, small_start=0.0, balanced=False, train_on="train")
        names = [artifacts.keep_bytes(content + bytes(step), ".onnx") for step in (0, 1)]
        for seed, (name, miou) in enumerate(zip(names, (0.7, 0.6), strict=True)):
            found = fakes.evidence(miou=miou, artifact=name)
            keep_grown(store, "fake", 0, recipe, seed, found, test=None, looks=(), train_seconds=1.0)
    said = command("predict", searched, images, "--out", tmp_path / "out", "--trial", 0)
    assert said.out.startswith("Model    trial 0 of fake, trained to the end; 64x64, 8 classes\n")
    artifacts.path(names[0]).write_bytes(b"changed")
    assert_refused(command("predict", searched, images, "--out", tmp_path / "o", "--trial", 0), "it was changed")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trial", "99"], ["trial 99"]),
        (["--study", "other"], ["'other'", "fake"]),
    ],
)
def test_a_trial_that_is_not_there_is_refused(
    command: Command, searched: Path, images: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    assert_refused(command("predict", searched, images, "--out", tmp_path / "out", *arguments), *words)
    assert not (tmp_path / "out").exists()


# ---- mistakes


def test_what_is_no_model_or_no_input_is_refused(command: Command, model: Path, images: Path, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "out"]
    assert_refused(command("predict", tmp_path / "gone.db", images, *out), "gone.db: MODEL must be an exported folder")
    assert_refused(command("predict", images, images, *out), "model.json")
    assert_refused(command("predict", model, tmp_path / "gone", *out), "INPUT must be an image")
    assert_refused(command("predict", model, tmp_path / "exported", *out), "must hold images")
    assert_refused(command("predict", model, images, *out, "--trial", 3), "--trial and --study", "is a model itself")
    assert_refused(command("predict", model, "camera:987", *out), "there is no camera")
    assert command("predict", model / "model.json", images, *out).code == 0


def test_without_pyav_videos_are_refused_with_what_installs_it_and_images_are_not(
    command: Command, model: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] == "av":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / "clip.mp4").write_bytes(b"a video")
    said = command("predict", model, tmp_path / "clip.mp4", "--out", tmp_path / "out")
    assert_refused(said, 'PyAV, which is not installed: pip install "segsearch[video]"')
    assert len(said.err.splitlines()) == 1
    assert command("predict", model, images, "--out", tmp_path / "out").code == 0


# ---- videos


def test_a_video_becomes_a_video_with_its_frames_in_words(command: Command, tmp_path: Path) -> None:
    video = make_video(tmp_path / "clip.mp4", 20)
    bright = make_bright(tmp_path / "bright.onnx")
    said = command("predict", bright, video, "--out", tmp_path / "out", "--labels")
    assert (said.code, said.err) == (0, "")
    assert re.search(r"^Frames   20 in [\d.]+ s: [\d.]+ frames a second in all$", said.out, re.MULTILINE)
    assert f"Wrote    {tmp_path}/out/overlays/clip.mp4, {tmp_path}/out/labels/clip" in said.out
    assert len(files_in(tmp_path / "out")) == 21


# ---- stops


def started(*arguments: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "segsearch", "predict", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str], path: Path) -> None:
    until = time.monotonic() + 240
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_in_the_middle_of_a_video_leaves_one_that_can_be_played(number: int, tmp_path: Path) -> None:
    video = make_video(tmp_path / "clip.mp4", 250)
    slow, out = make_bright(tmp_path / "slow.onnx", work=200), tmp_path / "out"
    with started(slow, video, "--out", out, "--labels") as process:
        wait_for(process, out / "labels" / "clip" / "000004.png")
        process.send_signal(number)
        said, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err == ""
    count = int(re.findall(r"^Stopped  what was done by then is kept: (\d+) frames$", said, re.MULTILINE)[0])
    assert 4 <= count < 250
    labels = sorted((out / "labels" / "clip").iterdir())
    assert [number_in(np.asarray(Image.open(path))) for path in labels] == list(range(count))
    assert len(frames_in(out / "overlays" / "clip.mp4")) == count
    assert [path.name for path in (out / "overlays").iterdir()] == ["clip.mp4"]


def test_a_stop_in_the_middle_of_a_folder_leaves_whole_files(tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    for number in range(300):
        Image.fromarray(picture(number)).save(images / f"{number:03d}.png")
    slow = make_bright(tmp_path / "slow.onnx", work=200)
    with started(slow, images, "--out", out) as process:
        wait_for(process, out / "labels" / "003.png")
        process.send_signal(signal.SIGINT)
        said, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    names = files_in(out)
    assert len(names) % 2 == 0
    assert f"Stopped  what was done by then is kept: {len(names) // 2} images" in said
    assert names[: len(names) // 2] == [f"labels/{number:03d}.png" for number in range(len(names) // 2)]
    for name in names:
        with Image.open(out / name) as image:
            image.load()
