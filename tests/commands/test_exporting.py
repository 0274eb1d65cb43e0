"""`segsearch export`: a folder that is whole, says the truth and runs alone; every mistake is one clear line."""

from __future__ import annotations

import hashlib
import json
import resource
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from segsearch import launch
from segsearch.datasets import Dataset
from segsearch.errors import TrialFailed
from segsearch.handover.forms import answers_of
from segsearch.runtimes import RUNTIMES
from segsearch.store import open_store
from segsearch.trial.score import classes_of, nearest, score, to_input
from segsearch.workshop import sha256_of, silent
from tests.commands.doors import assert_refused
from tests.conftest import Command, Said
from tests.handover import conftest as runs
from tests.handover.runs import artifact_of, finish, make_run, numbers_of, pick, study_of
from tests.handover.test_run import run_alone
from tests.models import calibrate_at_once, here

runs_once, masks, scores = runs.runs_once, runs.masks, runs.scores
FILES = {"model.onnx", "model.json", "run.py", "report.html", "MODEL_CARD.md"}


def about_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return found


def data_of(database: Path) -> Dataset:
    with open_store(database, read_only=True) as store:
        row = store.study()
    return launch.open_data(row.study, row.artifacts.folder.parent, silent, row.texts)


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder, but those that SQLite makes to read."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("study.db-"))
    return {str(path.relative_to(folder)): sha256_of(path) for path in files}


def exported(command: Command, database: Path, out: Path, *more: object) -> Said:
    said = command("export", database, "--out", out, *more)
    assert said.code == 0, said.err
    return said


def left_in(folder: Path) -> list[str]:
    """What lies in a folder, hidden or not, beside the caches."""
    return sorted(path.name for path in folder.iterdir() if path.name not in {"cache", ".cache"})


# ---- the folder


def test_the_pick_becomes_a_folder_that_says_what_is_stored(command: Command, masks: Path, tmp_path: Path) -> None:
    number = numbers_of(masks)[0]
    pick(masks, number)
    before = tree(masks.parent)
    said = exported(command, masks, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert tree(masks.parent) == before, "what is handed over stays as it was"
    assert f"A proxy: trial {number} of small" in said.out
    assert f"`segsearch retrain {masks} --trial {number}`" in said.out
    about, data = about_of(tmp_path / "out"), data_of(masks)
    (file,) = about["files"]
    assert (about["format"], file["file"], file["answers"], file["derived"]) == (1, "model.onnx", "mask", False)
    assert file["sha256"] == sha256_of(tmp_path / "out" / "model.onnx")
    assert file["output"] == {"name": "mask", "shape": [1, 64, 96], "dtype": "uint8"}
    assert file["latency_ms"] | {"value": 2.0, "low": 1.98, "high": 2.04, "machine": "m"} == file["latency_ms"]
    with open_store(masks, read_only=True) as store:
        evidence = store.evidence("small", number)
    assert evidence is not None
    assert evidence.confusion is not None
    assert file["miou"]["value"] == evidence.confusion.miou
    assert file["class_iou"] == list(evidence.confusion.class_iou)
    session = RUNTIMES["onnxruntime"].open(tmp_path / "out" / "model.onnx", threads=1)
    assert score(session, data.validation, classes=len(data.classes)) == evidence.confusion
    fed = about["input"]
    assert (fed["name"], fed["height"], fed["width"], fed["levels"]) == ("image", 64, 96, None)
    assert [one["name"] for one in about["classes"]] == list(data.classes)
    assert (about["exif"], about["void"]) == ("turn", 255)
    came = about["provenance"]
    assert (came["trial"], came["kind"], came["picked"]) == (number, "proxy", "fits the camera")
    assert came["artifact"] == artifact_of(masks, number).stem
    assert came["commands"][1] == f"segsearch export {masks} --trial {number} --out {tmp_path / 'out'}"


def test_the_file_is_the_stored_graph_with_words(command: Command, masks: Path, tmp_path: Path) -> None:
    number = numbers_of(masks)[0]
    exported(command, masks, tmp_path / "out", "--trial", number)
    stored, written = onnx.load(artifact_of(masks, number)), onnx.load(tmp_path / "out" / "model.onnx")
    assert written.graph == stored.graph
    about = about_of(tmp_path / "out")
    found = {entry.key: entry.value for entry in written.metadata_props}
    assert json.loads(found["segsearch.classes"]) == [one["name"] for one in about["classes"]]
    assert json.loads(found["segsearch.colours"]) == [one["colour"] for one in about["classes"]]
    assert (found["segsearch.height"], found["segsearch.width"]) == ("64", "96")
    assert (found["segsearch.order"], found["segsearch.range"]) == ("RGB", "[0, 255]")
    assert found["segsearch.study"] == "small"
    assert found["segsearch.artifact"] == artifact_of(masks, number).stem
    assert found["segsearch.trial"] == str(number)
    assert {"segsearch.resize", "segsearch.seed", "segsearch.versions"} <= found.keys()


@pytest.mark.parametrize("which", ["masks", "scores"])
def test_it_runs_alone_and_answers_as_segsearch_does(
    command: Command, which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database: Path = request.getfixturevalue(which)
    number, data = numbers_of(database)[0], data_of(database)
    exported(command, database, tmp_path / "out", "--trial", number)
    (tmp_path / "pictures").mkdir()
    Image.fromarray(np.asarray(data.validation.images[0])).save(tmp_path / "pictures" / "same.png")
    Image.fromarray(np.asarray(data.validation.images[1])).resize((70, 51)).save(tmp_path / "pictures" / "other.png")
    done = run_alone(tmp_path / "out", tmp_path / "pictures", "--out", tmp_path / "answers")
    assert (done.returncode, done.stderr) == (0, ""), "ONNX Runtime has words of its own on some graphs"
    session = RUNTIMES["onnxruntime"].open(artifact_of(database, number), threads=1)
    expected = nearest(classes_of(session.run(to_input(data.validation.images[0]))), data.validation.label(0).shape)
    with Image.open(tmp_path / "answers" / "masks" / "same.png") as found:
        assert np.array_equal(np.asarray(found), expected)
    with Image.open(tmp_path / "answers" / "masks" / "other.png") as found:
        assert found.size == (70, 51)


def test_a_model_that_was_trained_to_the_end_goes_before_its_proxy(
    command: Command, masks: Path, tmp_path: Path
) -> None:
    number = numbers_of(masks)[0]
    name = finish(masks, number, seed=10)
    said = exported(command, masks, tmp_path / "out", "--trial", number)
    about = about_of(tmp_path / "out")
    assert "proxy" not in said.out
    assert "Trained to the end" in said.out
    came = about["provenance"]
    assert (came["kind"], came["artifact"], came["seed"]) == ("final", name.split(".")[0], 10)
    assert came["recipe"]["epochs"] == 20
    assert came["commands"][0] == f"segsearch retrain {masks} --trial {number} --epochs 20 --seeds 11"
    assert about["files"][0]["test_miou"]["value"] == pytest.approx(about["files"][0]["miou"]["value"])


# ---- the other form


@pytest.mark.parametrize(("which", "own", "wanted"), [("masks", "mask", "scores"), ("scores", "scores", "mask")])
def test_the_other_form_is_derived_timed_and_scored(
    command: Command,
    which: str,
    own: str,
    wanted: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calibrate_at_once(monkeypatch, tmp_path / "cache")
    database: Path = request.getfixturevalue(which)
    number, data = numbers_of(database)[0], data_of(database)
    before = sha256_of(database)
    exported(command, database, tmp_path / "both", "--trial", number, "--output", "both")
    assert sha256_of(database) == before
    about = about_of(tmp_path / "both")
    first, second = about["files"]
    assert (first["file"], first["answers"], first["derived"]) == ("model.onnx", own, False)
    assert (second["file"], second["answers"], second["derived"]) == (f"model-{wanted}.onnx", wanted, True)
    assert second["latency_ms"]["machine"] == here().key != first["latency_ms"]["machine"]
    assert 0 < second["latency_ms"]["low"] <= second["latency_ms"]["value"] <= second["latency_ms"]["high"]
    assert set(about["machines"]) == {"m", here().key}
    session = RUNTIMES["onnxruntime"].open(tmp_path / "both" / second["file"], threads=1)
    found = score(session, data.validation, classes=len(data.classes))
    assert (second["miou"]["value"], second["class_iou"]) == (found.miou, list(found.class_iou))
    assert 0 <= second["parity"] < 1e-4
    if wanted == "mask":
        assert second["miou"] == first["miou"], "the highest score is what was scored before"
        image = [to_input(data.validation.images[0])]
        (mask,), (answer,) = (answers_of(tmp_path / "both" / one["file"], image) for one in (second, first))
        assert np.array_equal(mask, answer.argmax(axis=1))
    exported(command, database, tmp_path / "one", "--trial", number, "--output", wanted)
    (alone,) = about_of(tmp_path / "one")["files"]
    assert (alone["file"], alone["answers"], alone["derived"]) == ("model.onnx", wanted, True)
    assert {path.name for path in (tmp_path / "one").iterdir()} == FILES
    assert alone["miou"] == second["miou"]


def test_the_stored_form_is_neither_timed_nor_scored_again(
    command: Command, masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(*about: object, **more: object) -> None:
        raise AssertionError("its numbers are stored")

    monkeypatch.setattr("segsearch.latency.measure.measure", again)
    monkeypatch.setattr("segsearch.handover.write.score_images", again)
    monkeypatch.setattr("segsearch.launch.machine_here", again)
    exported(command, masks, tmp_path / "out", "--trial", numbers_of(masks)[0], "--output", "mask")


def test_a_file_that_was_written_wrong_is_seen(
    command: Command, masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk's or a library's fault: what is compared is what lies in the folder."""
    from segsearch.handover import write

    def harmed(source: Path, target: Path, about: object) -> None:
        shutil.copyfile(artifact_of(masks, numbers_of(masks)[1]), target)

    monkeypatch.setattr(write, "with_metadata", harmed)
    said = command("export", masks, "--out", tmp_path / "out", "--trial", numbers_of(masks)[0])
    assert_refused(said, "model.onnx must answer as the stored file does, bit by bit")
    assert left_in(tmp_path) == ["masks"]


# ---- mistakes


def test_nothing_picked_is_said(command: Command, masks: Path, tmp_path: Path) -> None:
    assert_refused(command("export", masks, "--out", tmp_path / "out"), "nothing was picked", "--trial")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trial", "99"], ["--trial must name a trained trial of small, and 99 is not one"]),
        (["--trial", "0", "--output", "maks"], ["--output must be one of mask, scores, both; got 'maks'"]),
        (["--trial", "0", "--machine", "zz"], ["--machine", "zz"]),
        (["--trial", "0", "--data", "."], ["--data is for studies of a folder"]),
        (["--trial", "0", "--study", "other"], ["'other'", "small"]),
    ],
)
def test_a_wrong_command_line_is_refused(
    command: Command, masks: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    assert_refused(command("export", masks, "--out", tmp_path / "out", *arguments), *words)
    assert left_in(tmp_path) == ["masks"]


@pytest.mark.parametrize(("harm", "words"), [("missing", "is gone. Copy it back"), ("altered", "it was changed")])
def test_a_stored_file_that_is_gone_or_altered_is_said(
    command: Command, masks: Path, tmp_path: Path, harm: str, words: str
) -> None:
    number = numbers_of(masks)[0]
    path = artifact_of(masks, number)
    path.unlink() if harm == "missing" else path.write_bytes(path.read_bytes() + b"x")
    assert_refused(command("export", masks, "--out", tmp_path / "out", "--trial", number), path.name, words)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(command: Command, masks: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    said = command("export", masks, "--out", tmp_path / "out", "--trial", numbers_of(masks)[0])
    assert_refused(said, "--out must be a new or an empty folder")
    assert tree(tmp_path / "out") == {"mine.txt": hashlib.sha256(b"mine").hexdigest()}


def test_no_room_leaves_nothing(command: Command, masks: Path, tmp_path: Path) -> None:
    number = numbers_of(masks)[0]
    data_of(masks)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        said = command("export", masks, "--out", tmp_path / "out", "--trial", number)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_refused(said, "no room left", "Free some space")
    assert left_in(tmp_path) == ["masks"]


def test_data_that_changed_is_said(command: Command, masks: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(masks)) as connection, connection:
        connection.execute("UPDATE segsearch_studies SET data_key = 'another'")
    said = command("export", masks, "--out", tmp_path / "out", "--trial", numbers_of(masks)[0])
    assert_refused(said, "the images or masks of small changed", "--data")
    assert not (tmp_path / "out").exists()


def test_a_database_that_can_only_be_read_is_enough(command: Command, masks: Path, tmp_path: Path) -> None:
    number = numbers_of(masks)[0]
    before = sha256_of(masks)
    masks.chmod(0o444)
    masks.parent.chmod(0o555)
    try:
        exported(command, masks, tmp_path / "out", "--trial", number)
    finally:
        masks.parent.chmod(0o755)
    assert sha256_of(masks) == before


def test_a_stop_half_way_leaves_nothing_and_says_how_to_go_on(
    command: Command, masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = numbers_of(masks)[0]

    def stopped(*about: object) -> None:
        assert list(tmp_path.glob(".segsearch-*/model.onnx")), "it is half-way"
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("segsearch.handover.write.examples", stopped)
    said = command("export", masks, "--out", tmp_path / "out", "--trial", number)
    assert said.code == 130
    assert f"Carry on with: segsearch export {masks} --trial {number} --out {tmp_path / 'out'}" in said.err
    assert left_in(tmp_path) == ["masks"]


def test_json_is_nothing_but_json(command: Command, masks: Path, tmp_path: Path) -> None:
    said = exported(command, masks, tmp_path / "out", "--trial", numbers_of(masks)[0], "--json")
    assert json.loads(said.out) == about_of(tmp_path / "out")


def test_a_measurement_that_fails_is_told_and_leaves_nothing(
    command: Command, masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate_at_once(monkeypatch, tmp_path / "cache")

    def fails(*about: object, **more: object) -> None:
        raise TrialFailed("crash", "onnxruntime died of SIGILL while it timed model.onnx.")

    monkeypatch.setattr("segsearch.latency.measure.measure", fails)
    said = command("export", masks, "--out", tmp_path / "out", "--trial", numbers_of(masks)[0], "--output", "scores")
    assert_refused(said, "died of SIGILL")
    assert left_in(tmp_path) == ["masks"]


def test_levels_and_exif_of_a_folder_are_handed_on(command: Command, tmp_path: Path) -> None:
    """16-bit images: whoever feeds the file must stretch them alike, and `run.py` does."""
    data = tmp_path / "data"
    draw = np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 3)):
        for kind in ("images", "masks"):
            (data / kind / split).mkdir(parents=True)
        for at in range(count):
            values = draw.integers(0, 4096, (5, 7)).repeat(10, axis=0).repeat(10, axis=1).astype(np.uint16)
            Image.fromarray(values).save(data / "images" / split / f"{at}.png")
            Image.fromarray((values > 2000).astype(np.uint8)).save(data / "masks" / split / f"{at}.png")
    (data / "classes.txt").write_text("dark\nlight\n")
    folder = {"kind": "folders", "root": str(data), "levels": [100, 4000.0], "exif": "ignore"}
    assert study_of(data=folder).data.levels == (100, 4000.0)
    database = make_run(tmp_path / "run", data=folder)
    number = numbers_of(database)[0]
    exported(command, database, tmp_path / "out", "--trial", number)
    about = about_of(tmp_path / "out")
    assert about["input"]["levels"] == {"black": 100, "white": 4000.0}
    assert about["exif"] == "ignore"
    done = run_alone(tmp_path / "out", data / "images" / "val", "--out", tmp_path / "answers")
    assert done.returncode == 0, done.stdout + done.stderr
    validation = data_of(database).validation
    session = RUNTIMES["onnxruntime"].open(artifact_of(database, number), threads=1)
    for at, name in enumerate(validation.names):
        answer = classes_of(session.run(to_input(validation.images[at])))
        with Image.open(tmp_path / "answers" / "masks" / f"{name}.png") as found:
            assert np.array_equal(np.asarray(found), nearest(answer, validation.label(at).shape))
    shutil.rmtree(data / "images" / "val")
    said = command("export", database, "--out", tmp_path / "again", "--trial", number)
    assert_refused(said)
    assert not (tmp_path / "again").exists()
