"""The whole loop with real parts: run, SIGKILL, resume, front, pick, on generated scenes and on a plain folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.datasets import open_dataset
from segsearch.runtimes import RUNTIMES
from segsearch.store import open_store
from segsearch.study import read_study
from segsearch.trial.score import score
from tests.scenes import tiny_dataset

pytestmark = pytest.mark.slow

STUDY = """
name = "small"
trials = 3
space = "mobile"
limits = ["latency_ms<=500"]

[data]
kind = "synthetic"
height = 64
width = 96
train_count = 16
validation_count = 4

[train]
epochs = 2
fine_tune_epochs = 1
height = 64
width = 96
batch_size = 8

[timing]
max_seconds = 0.5
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    return path


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "segsearch", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(*arguments: object, code: int = 0) -> str:
    process = start(*arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    assert "Traceback" not in err
    return out if code == 0 else err


def rows(database: Path) -> dict[int, str]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("select number, state from segsearch_trials"))


def optuna_states(database: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return {state for (state,) in connection.execute("select state from trials")}


def test_killed_again_and_again_a_real_study_ends_with_what_it_asked_for(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    database = out / "study.db"
    finished: dict[int, str] = {}
    for patience in (4.0, 7.0, 9.0):
        process = start("run", study, "--out", out)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if database.exists() and database.stat().st_size:
            with contextlib.suppress(sqlite3.OperationalError):  # killed before the tables stood
                now = rows(database)
                assert {number: now[number] for number in finished} == finished
                finished = {number: state for number, state in now.items() if state != "running"}
    study.unlink()  # from the database alone
    if database.exists() and finished:
        said("resume", database)
    else:
        study.write_text(STUDY)
        said("run", study, "--out", out)
    ended = rows(database)
    assert list(ended.values()).count("trained") == 3
    assert "running" not in ended.values()
    assert "RUNNING" not in optuna_states(database)
    assert {number: ended[number] for number in finished} == finished
    assert "Nothing was left to do" in said("resume", database)

    front = json.loads(said("front", database, "--json"))
    assert len(front) == 3
    assert any(entry["on_front"] for entry in front)
    study.write_text(STUDY)
    dataset = open_dataset(read_study(study).data, cache=tmp_path / "cache")
    for entry in front:
        session = RUNTIMES["onnxruntime"].open(Path(entry["artifact"]["path"]), threads=1)
        again = score(session, dataset.validation, classes=len(dataset.classes))
        assert again.miou == pytest.approx(entry["objectives"]["miou"])
    assert "Picked trial" in said("pick", database)


@pytest.fixture
def plain_folder(tmp_path: Path) -> Path:
    """Sixteen images and masks side by side, no split, no classes: what many people have."""
    folder = tmp_path / "mine"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    data = tiny_dataset()
    images = np.concatenate([data.train.images, data.validation.images])
    masks = np.concatenate([data.train.masks, data.validation.masks])
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        Image.fromarray(image).save(folder / "images" / f"{index:02}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{index:02}.png")
    return folder


def test_a_study_written_for_a_plain_folder_runs_as_written(plain_folder: Path, tmp_path: Path) -> None:
    study, out = tmp_path / "studies" / "mine.toml", tmp_path / "run"
    said("new", plain_folder, "--out", study)
    said("run", study, "--out", out, "--trials", 1, "--siblings", 2)
    with open_store(out / "study.db", read_only=True) as store:
        counts = store.counts("mine")
    assert (counts.trained, counts.siblings) == (1, 3), "one training, the files that it leaves, and one that learns on"


@pytest.fixture(params=["1m", "3m"])
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A real file system that the image cache fills, and one that the trials fill."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0 and shutil.which("mount") is not None
    if not mounted or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={request.param}", "tmpfs", disk]).returncode:
        pytest.skip("a full disk needs the right to mount a small one")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_stops_with_a_line_and_nothing_is_lost(study: Path, small_disk: Path) -> None:
    out = small_disk / "run"
    message = said("run", study, "--out", out, code=2)
    assert "no room left" in message
    assert len(message.strip().splitlines()) <= 2
    subprocess.run(["mount", "-o", "remount,size=200m", small_disk], check=True)
    said("run", study, "--out", out)
    ended = rows(out / "study.db")
    assert list(ended.values()).count("trained") == 3
    assert not {"running", "failed"} & set(ended.values())


def test_a_study_that_screens_times_many_and_trains_one(study: Path, tmp_path: Path) -> None:
    """With the real gate: nothing is gated twice, and a training begins with what the gate has found."""
    out = tmp_path / "run"
    study.write_text(STUDY.replace("trials = 3", "trials = 2") + "\n[search]\nstartup_trials = 1\nscreen = 3\n")
    said("run", study, "--out", out)
    with open_store(out / "study.db", read_only=True) as store:
        found = store.trials("small")
        counts = store.counts("small")
        gates = store.stages("small", name="gate")
        kept = {row.number: store.evidence("small", row.number) for row in found if row.state == "screened"}
    looks = [row for row in found if row.state in ("screened", "rejected")]
    assert (counts.trained, counts.running) == (2, 0)
    assert len(looks) + 1 >= 3, "three looks for the second training"
    assert len({gate.key for gate in gates}) == len(gates)
    assert kept
    for evidence in kept.values():
        assert evidence is not None
        assert evidence.confusion is None
        assert evidence.timing.median_ms > 0
    assert "looked at" in said("status", out / "study.db")
    assert len(json.loads(said("front", out / "study.db", "--json"))) == 2
    said("resume", out / "study.db", "--trials", 3, "--screen", 0)
    assert list(rows(out / "study.db").values()).count("screened") == counts.screened
