"""Real ONNX files of a stored study timed again: what is kept beside what, what is refused, and kills half-way."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from segsearch.commands.remeasure import Remeasured, remeasure
from segsearch.errors import DatabaseError, StudyError
from segsearch.evidence.timing import Machine, Timing
from segsearch.evidence.types import Evidence
from segsearch.latency.measure import Effort, machine_for
from segsearch.latency.rounds import STAGE
from segsearch.runtimes import Runtime
from segsearch.search import run_search
from segsearch.space.candidate import Candidate
from segsearch.store import Store, TimingRow, open_store
from segsearch.workshop import Workshop, silent
from tests import fakes
from tests.conftest import Command, Said
from tests.models import RUNTIME, calibrate_at_once, convolutions, here, one_node

# (mIoU, latency) of each trial on the machine `m`: the first is beaten by the second, the others are the front.
NUMBERS = ((0.5, 10.0), (0.6, 5.0), (0.4, 2.0))
Make = Callable[[Path, int], object]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calibrate_at_once(monkeypatch, tmp_path / "cache")


def fill(
    folder: Path,
    numbers: Sequence[tuple[float, float]] = NUMBERS,
    *,
    make: Make = lambda path, number: convolutions(path, seed=number),
) -> Path:
    """A database with a trained trial for each of `numbers`, whose artifacts are ONNX files."""
    study = fakes.make_study(
        trials=len(numbers), timing={"max_seconds": 0.5, "warmup_runs": 1}, search={"sampler": "random"}
    )
    store, row = fakes.start(folder, study)
    trained = iter(enumerate(numbers))

    def evaluate(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        index, (miou, latency) = next(trained)
        make(folder / "model.onnx", index)
        name = workshop.artifacts.keep_bytes((folder / "model.onnx").read_bytes(), ".onnx")
        return fakes.evidence(latency_ms=latency, miou=miou, artifact=name)

    with store:
        store.keep_machine(fakes.MACHINE)
        run_search(store, row.name, draw=fakes.draw, evaluate=evaluate)
    return folder / "study.db"


@pytest.fixture(scope="module")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("remeasure")).parent


@pytest.fixture
def database(filled_once: Path, tmp_path: Path) -> Path:
    """Three trained trials, one's own to write to."""
    shutil.copytree(filled_once, tmp_path / "run")
    return tmp_path / "run" / "study.db"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where it matters which files are timed and not how long they take: they are written down here instead."""
    asked: list[Path] = []

    def time_it(model: Path, machine: Machine, runtime: Runtime, *, effort: Effort) -> Timing:
        asked.append(model)
        assert replace(effort, state="pipeline") == Effort(warmup_runs=1, max_seconds=0.5)
        return Timing((3.0,), effort.warmup_runs, machine.threads, machine.key, state=effort.state)

    monkeypatch.setattr("segsearch.latency.measure.measure", time_it)
    return asked


def again(database: Path, *, on_front: bool = False) -> Remeasured:
    return remeasure(str(database), name=None, on_front=on_front, progress=silent)


def timed_here(database: Path) -> dict[int, TimingRow]:
    with open_store(database, read_only=True) as store:
        return {timing.trial: timing for timing in store.timings("fake") if timing.machine == here().key}


def artifact_of(database: Path, trial: int) -> Path:
    with open_store(database) as store:
        row = store.trials("fake", ["trained"])[trial]
        return store.study().artifacts.path(str(row.artifact))


def numbers_of(store: Store) -> list[int]:
    return [trial.number for trial in store.trials("fake", ["trained"])]


def assert_refused(said: Said, *words: str) -> None:
    assert said.code == 2
    assert said.err.startswith("segsearch: ")
    assert 1 <= len(said.err.strip().splitlines()) <= 2
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


# ---- what is timed and kept


def test_every_file_is_timed_here_beside_what_was_timed_elsewhere(database: Path) -> None:
    with open_store(database) as store:
        before, trials = store.timings("fake"), store.trials("fake")
        evidence = [store.evidence("fake", number) for number in numbers_of(store)]
    told: list[tuple[str, int, int]] = []
    done = remeasure(str(database), name="fake", on_front=False, progress=lambda *words: told.append(words))
    rounds, files = [(STAGE, number, 3) for number in range(4)], [("remeasure", number, 3) for number in range(4)]
    assert told == [("machine", 0, 1), *rounds, *files]
    assert (done.study, done.timed, done.failed) == ("fake", 3, ())
    assert done.machine == here()
    with open_store(database) as store:
        timings = store.timings("fake")
        assert tuple(timing for timing in timings if timing.machine == "m") == before
        assert store.trials("fake") == trials, "what the search has learnt stays"
        assert [store.evidence("fake", number) for number in numbers_of(store)] == evidence
        assert {machine.key for machine in store.machines()} == {"m", done.machine.key}
        new = [timing for timing in timings if timing.machine == done.machine.key]
        assert [timing.trial for timing in new] == numbers_of(store)
    for timing in new:
        low, high = timing.intervals["latency_ms"]
        assert 0 < low <= timing.values["latency_ms"] <= high
        assert {"load_ms", "first_run_ms"} <= timing.values.keys()
        assert not {"miou", "size_bytes", "params", "macs"} & timing.values.keys()


@pytest.mark.usefixtures("at_once")
def test_on_front_leaves_out_what_no_machine_has_on_its_front(database: Path) -> None:
    with open_store(database) as store:
        beaten, *members = numbers_of(store)
    assert again(database, on_front=True).timed == 2
    assert sorted(timed_here(database)) == members
    assert beaten not in members


@pytest.mark.usefixtures("at_once")
def test_on_front_asks_every_machine(database: Path) -> None:
    """A model that is beaten on one machine may be the quickest on another."""
    with open_store(database) as store:
        first = numbers_of(store)[0]
        found = store.evidence("fake", first)
        assert found is not None
        timing = replace(found.timing, samples_ms=(0.001,), machine="another")
        store.keep_timing("fake", first, replace(found, timing=timing))
    assert again(database, on_front=True).timed == 3


def test_the_files_of_the_trials_are_what_is_timed(database: Path, at_once: list[Path]) -> None:
    again(database)
    assert at_once == [artifact_of(database, trial) for trial in range(3)]


@pytest.mark.usefixtures("at_once")
def test_a_second_time_is_kept_over_the_first(database: Path) -> None:
    for _ in range(2):
        before = timed_here(database)
        assert again(database).timed == len(timed_here(database)) == 3
        assert all(timed_here(database)[trial].taken > timing.taken for trial, timing in before.items())


@pytest.mark.usefixtures("at_once")
def test_a_study_is_timed_again_in_its_own_state(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE segsearch_studies SET settings = json_set(settings, '$.timing.state', 'warm')")
    assert again(database).timed == 3
    with open_store(database) as store:
        found = [store.evidence("fake", number, machine=here().key) for number in numbers_of(store)]
    assert [one.timing.state for one in found if one is not None] == ["warm"] * 3


@pytest.mark.usefixtures("at_once")
def test_reference_times_that_the_database_knows_are_used(database: Path) -> None:
    known = replace(here(), references=(("float32-1", 500.0), ("int8-1", 900.0)))
    with open_store(database) as store:
        store.keep_machine(known)
    assert again(database).machine == known


# ---- what cannot be timed


def test_a_file_that_cannot_be_run_is_told_and_the_others_are_timed(tmp_path: Path, command: Command) -> None:
    def make(path: Path, number: int) -> object:
        return one_node(path, "NoSuchThing") if number == 1 else convolutions(path, seed=number)

    database = fill(tmp_path / "run", make=make)
    with open_store(database) as store:
        first, wrong, last = numbers_of(store)
    said = command("remeasure", database)
    assert said.code == 0, said.err
    assert "Timed 2 models" in said.out
    assert re.search(rf"^Failed   trial {wrong}: .*NoSuchThing", said.out, re.MULTILINE)
    assert sorted(timed_here(database)) == [first, last]


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"something else")])
def test_a_file_that_is_gone_or_changed_is_refused_before_anything_is_timed(
    database: Path, command: Command, spoil: Callable[[Path], object]
) -> None:
    artifact = artifact_of(database, 2)
    spoil(artifact)
    with pytest.raises(DatabaseError, match=artifact.name):
        again(database)
    assert timed_here(database) == {}
    assert_refused(command("remeasure", database), artifact.name, "Copy it back")
    assert timed_here(database) == {}


@pytest.mark.usefixtures("at_once")
def test_a_file_that_is_gone_does_not_matter_where_it_is_not_asked_for(database: Path) -> None:
    artifact_of(database, 0).unlink()
    assert again(database, on_front=True).timed == 2


@pytest.mark.parametrize("on_front", [False, True])
def test_a_study_without_a_trained_trial_is_refused(tmp_path: Path, command: Command, on_front: bool) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())
    store.close()
    with pytest.raises(StudyError, match="study fake has no trained trial to time yet"):
        again(tmp_path / "study.db", on_front=on_front)
    assert_refused(command("remeasure", tmp_path / "study.db", *(["--on-front"] if on_front else [])), "no trained")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["DB"]),
        (["nowhere.db"], ["nowhere.db"]),
        (["DB", "--study", "other"], ["'other'", "fake"]),
        (["DB", "--on-frnot"], ["--on-frnot"]),
    ],
)
def test_a_wrong_command_line_is_refused(
    command: Command,
    database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    real = [str(database) if argument == "DB" else argument for argument in arguments]
    assert_refused(command("remeasure", *real), *words)
    assert timed_here(database) == {}


def test_a_database_that_is_not_one_is_refused_and_left_alone(command: Command, tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"\x89PNG" + b"x" * 4096)
    assert_refused(command("remeasure", tmp_path / "study.db"), "study.db")
    assert (tmp_path / "study.db").read_bytes() == b"\x89PNG" + b"x" * 4096


# ---- as a command


def test_the_command_says_where_and_what_to_type_next(command: Command, database: Path) -> None:
    said = command("remeasure", database)
    assert said.code == 0, said.err
    machine = here()
    assert f"Timed 3 models on machine {machine.short} ({machine.cpu}, {machine.runtime})." in said.out
    after = re.search(r"^  segsearch (front .+ --machine \w+) ", said.out, re.MULTILINE)
    assert after is not None
    assert_refused(command("front", database), "--machine", "m (", machine.short)
    shown = command(*after[1].split())
    assert shown.code == 0, shown.err
    assert "of 3 trained models are on the front" in shown.out


# The command line, but for the second timing and later ones: no interval is narrow enough, and time is not up.
UNENDING = """
import itertools, sys
from dataclasses import replace
from segsearch.latency import measure as latency
measure, timings = latency.measure, itertools.count()
def patient(*files, effort):
    return measure(*files, effort=replace(effort, interval=0.0, max_seconds=500.0) if next(timings) else effort)
latency.measure = patient
from segsearch.commands.app import main
sys.exit(main(sys.argv[1:]))
"""


def first_timing(database: Path, process: subprocess.Popen[str]) -> None:
    """Wait until one is kept and the next one is under way."""
    until = time.monotonic() + 120
    while not (timed_here(database) and psutil.Process(process.pid).children()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_was_timed_before_a_kill_is_kept(tmp_path: Path, number: signal.Signals) -> None:
    database = fill(tmp_path / "run", [(0.1 * count, float(count)) for count in range(1, 5)])
    machine_for(RUNTIME, threads=1, cores=None)  # its reference times are in the user's folder from here on
    (tmp_path / "temporary").mkdir()
    arguments = [sys.executable, "-P", "-c", UNENDING, "remeasure", str(database), "--on-front"]
    with subprocess.Popen(
        arguments,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        first_timing(database, process)
        children = psutil.Process(process.pid).children()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 130
        assert err == f"segsearch: Stopped. Carry on with: segsearch remeasure {database} --on-front\n"
    assert len(timed_here(database)) == 1
    assert list((tmp_path / "temporary").iterdir()) == []
    assert again(database).timed == len(timed_here(database)) == 4
