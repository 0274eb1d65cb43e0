"""Status as it is read beside a search: who is at work, what waits, and what to type next."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest

from segsearch.errors import SearchStuck
from segsearch.evidence.timing import Block, Comparison, Timing
from segsearch.evidence.types import Evidence
from segsearch.judging.status import seconds_worked
from segsearch.search import run_search
from segsearch.space.candidate import Candidate
from segsearch.store import NO_TRIAL, open_store
from segsearch.store.teaching import Verdict
from segsearch.workshop import Workshop
from tests import fakes
from tests.conftest import Command
from tests.judging.reports import trial

ROOT = Path(__file__).resolve().parents[2]

WORKER = """
import sys
from pathlib import Path
from segsearch.search import run_search
from tests import fakes
store, row = fakes.start(Path(sys.argv[1]), fakes.make_study(trials=2))
evaluate = fakes.make_evaluate(seconds=600)
run_search(store, row.name, draw=fakes.draw, evaluate=evaluate, on_event=lambda event: print(event.kind, flush=True))
"""


def test_a_trial_whose_worker_was_killed_waits_to_be_carried_on(command: Command, tmp_path: Path) -> None:
    database = tmp_path / "study.db"
    arguments = [sys.executable, "-c", WORKER, str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "started\n"
            working = command("status", database).out
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    assert re.search(r"^Running  trial 0, for \d", working, re.MULTILINE)
    assert "Trials   0 of 2 trained; 1 running\n" in working
    assert not re.search("^(Waiting|Idle)", working, re.MULTILINE)

    killed = command("status", database).out
    assert "Trials   0 of 2 trained; 1 waiting\n" in killed
    assert "Waiting  trial 0, to be carried on; its worker is gone\n" in killed
    assert "Idle     no worker is at work; `segsearch resume` carries on\n" in killed
    assert "Running" not in killed

    with open_store(database) as store:
        run_search(store, "fake", draw=fakes.draw, evaluate=fakes.make_evaluate())
    done = command("status", database).out
    assert "Trials   2 of 2 trained\n" in done
    assert not re.search("^(Running|Waiting|Idle)", done, re.MULTILINE)


def test_a_trial_that_was_put_back_lost_no_worker(command: Command, tmp_path: Path) -> None:
    store, _ = fakes.start(tmp_path, fakes.make_study())

    def stop(*anything: object) -> None:
        raise KeyboardInterrupt

    with store, pytest.raises(KeyboardInterrupt):
        run_search(store, "fake", draw=fakes.draw, evaluate=stop)  # type: ignore[arg-type]
    assert "Waiting  trial 0, to be carried on\n" in command("status", tmp_path / "study.db").out


def test_before_anything_is_trained_the_commands_say_so(command: Command, tmp_path: Path) -> None:
    study = fakes.make_study(limits=["latency_ms<=0.001"], search={"give_up_after": 2})
    store, _ = fakes.start(tmp_path, study)
    database, page = tmp_path / "study.db", tmp_path / "front.html"
    none_yet = "No trained trials yet; `segsearch status` says how far it is.\n"
    with store:
        said = command("status", database).out
        assert "Trials   0 of 5 trained; none was begun yet\n" in said
        assert "Idle     no worker is at work" in said
        with pytest.raises(SearchStuck):
            run_search(store, "fake", draw=fakes.draw, evaluate=fakes.make_evaluate(study.bounds))
    assert "Trials   0 of 5 trained; 2 rejected\n" in command("status", database).out
    assert command("front", database).out == none_yet
    assert command("front", database, "--html", page).out == f"Wrote {page}\n{none_yet}"
    assert page.is_file()


def test_a_teacher_tells_its_miou_once_while_it_is_made_and_later_in_the_status(
    command: Command, tmp_path: Path
) -> None:
    """One that an older segsearch trained told none."""
    store, row = fakes.start(tmp_path, fakes.make_study(trials=2))
    plain, events = fakes.make_evaluate(), []

    def taught(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        workshop.once("teacher", "old", lambda: {"logits": "none"})
        workshop.once("teacher", "new", lambda: {"logits": "none", "miou": 0.5231})
        return plain(number, one, workshop)

    with store:
        run_search(store, row.name, draw=fakes.draw, evaluate=taught, on_event=events.append)
        assert [len(store.stages("fake", name=name)) for name in ("teacher", "train", "nothing")] == [2, 2, 0]
    assert [event.teacher_miou for event in events if event.kind == "taught"] == [0.5231]
    said = command("status", tmp_path / "study.db").out
    assert [line for line in said.splitlines() if line.startswith("Teacher")] == ["Teacher  mIoU 0.523"]


@pytest.mark.parametrize(
    ("teacher", "told"),
    [(0.7, "0.400 above .*: candidates may ask"), (0.31, "0.010 above .*: no further candidate is")],
)
def test_whether_a_teacher_was_found_good_enough_is_read_once_decided(
    command: Command, tmp_path: Path, teacher: float, told: str
) -> None:
    """Decided by whoever asks for a candidate, and by no reader."""
    store, row = fakes.start(tmp_path, fakes.make_study(teacher={"epochs": 9, "choices": {"depth": 12}}))
    status = partial(command, "status", tmp_path / "study.db")
    with store:
        store.workshop(row.name, NO_TRIAL).once("teacher", "it", lambda: {"miou": teacher, "on": row.data_key})
        assert "Taught" not in status().out
        kept = asdict(Verdict(teacher, 0.3, 2, row.study.teacher.better_by)) if row.study.teacher else {}
        store.workshop(row.name, NO_TRIAL).once("teaching", "teaching", lambda: kept)
    assert re.search(rf"^Taught   the teacher has mIoU {teacher:.3f}, {told}", status().out, re.M)


def test_pauses_between_runs_are_not_work() -> None:
    spans = [(0.0, 10.0), (5.0, 12.0), (1000.0, 1008.0)]
    trials = [replace(trial(i, {}), started=start, finished=end) for i, (start, end) in enumerate(spans)]
    assert seconds_worked(trials) == pytest.approx(20.0)
    assert seconds_worked([replace(trials[0], finished=None)]) == 0.0


def test_a_unit_of_a_slow_minute_is_said(command: Command, tmp_path: Path) -> None:
    """Of two timings one found the reference at 4 ms, where 5 are its kept time."""
    store, _ = fakes.start(tmp_path, fakes.make_study())
    for number, took in enumerate((5.1, 4.0, None)):
        compared = (
            None if took is None else Comparison("float32-1", 5.0, (Block(0, 3, 1.0, took),), 0.2, 0.2, 0.2, "time")
        )
        timing = Timing((1.0,) * 3, 1, 1, fakes.MACHINE.key, comparison=compared)
        with store:
            store.keep_machine(fakes.MACHINE)
            store.keep_timing("fake", number, replace(fakes.evidence(), timing=timing))
            assert store.slowdowns("fake") == {"m": min(1.02, (took or 4.0) / 5.0)}
    said = command("status", tmp_path / "study.db").out
    assert re.search(
        r"^Note     m: the reference ran 1\.25 times as fast .* delete .*reference-m\.json before", said, re.M
    )
    with store:
        for number in (0, 1):
            store.keep_timing("fake", number, fakes.evidence())
        assert store.slowdowns("fake") == {}
    assert "Note" not in command("status", tmp_path / "study.db").out
