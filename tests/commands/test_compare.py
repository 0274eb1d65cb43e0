"""Networks of the field beside a front: what is trained and kept, what is refused, and stops half-way."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import text

from segsearch.commands.compare import without_limits
from segsearch.errors import TrialFailed
from segsearch.evidence.types import Evidence
from segsearch.references import Reference
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate
from segsearch.store import NO_TRIAL, ReferenceRow, open_store
from segsearch.study import load_study
from segsearch.trial.order import order_of
from segsearch.workshop import Workshop
from tests import fakes
from tests.commands.doors import SLOW_CLI, assert_refused, stopped_half_way
from tests.conftest import STUDY, Command, fake_room


def architecture(channels: int, depth: int) -> Architecture:
    return fakes.candidate(channels, depth).architecture


# Their latencies are channels times depth in hundredths: `wide` is over every limit of these tests.
SMALL = {
    name: Reference(title, "arXiv:0000.00000", partial(architecture, channels, depth))
    for name, title, channels, depth in (
        ("plain-mobile", "Plain", 64, 4),
        ("deep-mobile", "Deep", 64, 10),
        ("wide", "Wide", 4096, 8),
    )
}
BOTH = ["plain-mobile", "deep-mobile"]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of three references."""
    monkeypatch.setattr("segsearch.references.names.REFERENCES", SMALL)


@pytest.fixture
def database(command: Command, quick: None, study_file: Path, tmp_path: Path) -> Path:
    """Three trained trials of a study with a limit that is whole: its data and its space can be opened."""
    study_file.write_text(STUDY.replace('space = "mobile"', 'space = "mobile"\nlimits = ["latency_ms<=20"]'))
    said = command("run", study_file, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    return tmp_path / "run" / "study.db"


def kept(database: Path) -> dict[tuple[str, str], ReferenceRow]:
    with open_store(database, read_only=True) as store:
        return {(row.name, row.precision): row for row in store.references("tiny")}


def keys(*names: str) -> list[tuple[str, str]]:
    return [(name, precision) for name in names for precision in ("fp32", "int8", "mixed")]


def test_the_small_ones_are_trained_as_floats_and_as_int8_from_one_training(command: Command, database: Path) -> None:
    said = command("compare", database)
    assert said.code == 0, said.err
    found = kept(database)
    assert sorted(found) == sorted(keys(*BOTH))
    assert {row.state for row in found.values()} == {"trained"}
    for row in found.values():
        assert (database.parent / "artifacts" / str(row.artifact)).is_file()
        assert row.train_seconds is not None
    with open_store(database, read_only=True) as store:
        stages = [stage.name for stage in store.stages("tiny", NO_TRIAL)]
    assert sorted(stages) == sorted(["train"] * 2 + ["export"] * 6)
    assert found["deep-mobile", "fp32"].train_seconds == found["deep-mobile", "int8"].train_seconds


def test_what_it_prints_is_a_table_and_a_verdict_on_each(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    said = command("compare", database)
    head = r"^reference +ships +miou +latency_ms +size_bytes +params +macs +training"
    assert re.search(head, said.out, re.MULTILINE)
    for name, precision in keys(*BOTH):
        assert re.search(rf"^{name} +{precision} +0\.\d+ +[\d.]+ ", said.out, re.MULTILINE)
        assert re.search(rf"^{name}, {precision}: .*\.$", said.out, re.MULTILINE)
    assert "(1 of 2" in said.out
    assert "(2 of 2)" in said.out
    assert "best of 3 trained models, chosen on the very images" in said.out
    assert f"segsearch front {database} --html" in said.out


def test_what_is_there_is_not_trained_again_and_a_list_goes_on(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("compare", database, "--references", "plain-mobile").code == 0
    before = kept(database)
    assert sorted(before) == keys("plain-mobile")
    assert command("compare", database, "--references", " deep-mobile,plain-mobile ").code == 0
    assert sorted(kept(database)) == sorted(keys(*BOTH))
    assert kept(database).items() > before.items()
    with monkeypatch.context() as patch:  # nothing is left to do: the data need not even be there
        patch.setattr("segsearch.launch.open_data", None)
        said = command("compare", database)
    assert said.code == 0
    assert "plain-mobile" in said.out
    again = command("compare", database, "--references", "deep-mobile")
    assert "plain-mobile" not in again.out, "only what was asked for"


def test_a_network_that_changed_under_its_name_is_trained_anew(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("compare", database, "--references", "plain-mobile").code == 0
    before = kept(database)
    monkeypatch.setitem(SMALL, "plain-mobile", SMALL["deep-mobile"])
    assert command("compare", database, "--references", "plain-mobile").code == 0
    after = kept(database)
    assert {row.candidate for row in after.values()} & {row.candidate for row in before.values()} == set()
    assert len(after) == 3


def test_a_limit_of_the_study_turns_no_reference_away(command: Command, database: Path) -> None:
    said = command("compare", database, "--references", "wide", "--json")
    objects = json.loads(said.out)
    assert [one["state"] for one in objects] == ["trained"] * 3
    assert [one["breaks"] for one in objects] == [["latency_ms<=20"]] * 3


def test_references_are_timed_as_trials_are_and_rejected_by_nothing(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A percentile needs many samples, also where only a limit asks for it."""
    study = fakes.make_study(limits=["latency_p99_ms<=20", "miou>=0.1"], objectives=["miou", "size_bytes"])
    free = without_limits(study)
    assert free.limits == ()
    assert free.objectives == ("miou", "size_bytes", "latency_p99_ms")
    assert free.model_copy(update={"limits": study.limits, "objectives": study.objectives}) == study
    orders: list[Any] = []

    def noted(*about: Any, **named: Any) -> Any:
        orders.append(order_of(*about, **named))
        return orders[-1]

    monkeypatch.setattr("segsearch.trial.order.order_of", noted)
    assert command("compare", database).code == 0
    (order,) = orders
    with open_store(database, read_only=True) as store:
        assert load_study(order.study) == without_limits(store.study().study)


def test_they_are_no_trials_and_the_search_never_hears_of_them(command: Command, database: Path) -> None:
    with open_store(database) as store:
        before = (store.trials("tiny"), store.timings("tiny"), store.counts("tiny"))
        front = command("front", database, "--json").out
        assert command("compare", database).code == 0
        assert (store.trials("tiny"), store.timings("tiny"), store.counts("tiny")) == before
        assert command("front", database, "--json").out == front
        assert command("resume", database, "--trials", "5").code == 0
        assert store.counts("tiny").trained == 5
        with store.reading() as connection:
            asked = connection.execute(text("SELECT count(*) FROM trials")).scalar_one()
    with open_store(database, read_only=True) as store:
        assert asked == len(store.trials("tiny"))
        assert len(kept(database)) == 6


def test_the_front_shows_them_beside_its_models(command: Command, database: Path, tmp_path: Path) -> None:
    assert "Networks of the field" not in command("front", database).out
    command("compare", database)
    shown = command("front", database).out
    assert re.search(r"^Networks of the field by the study's recipe", shown, re.MULTILINE)
    assert re.search(r"^deep-mobile +int8 ", shown, re.MULTILINE)
    assert command("front", database, "--html", tmp_path / "front.html").code == 0
    assert "reference, int8" in (tmp_path / "front.html").read_text()


def test_programs_are_told_in_json_or_csv_alone(command: Command, database: Path) -> None:
    objects = json.loads(command("compare", database, "--json").out)
    assert [(one["reference"], one["precision"]) for one in objects] == keys(*BOTH)
    for one in objects:
        assert Path(one["artifact"]["path"]).is_file()
        assert one["artifact"]["path"].startswith(str(database.parent.resolve()))
    lines = list(csv.DictReader(io.StringIO(command("compare", database, "--csv").out)))
    assert [float(line["miou"]) for line in lines] == [one["objectives"]["miou"] for one in objects]
    assert [line["sha256"] for line in lines] == [one["artifact"]["sha256"] for one in objects]


def test_the_study_may_name_its_references_also_later(command: Command, database: Path, study_file: Path) -> None:
    run = ["run", study_file, "--out", database.parent]
    study_file.write_text(study_file.read_text() + '\n[search]\nreferences = ["wide"]\n')
    said = command(*run)
    assert said.code == 0, said.err
    assert f"segsearch compare {database}" in said.out
    assert command("compare", database).code == 0
    assert sorted(kept(database)) == keys("wide")
    assert command("compare", database, "--references", "plain-mobile").code == 0
    study_file.write_text(study_file.read_text().replace("wide", "wild"))
    assert_refused(command(*run), "search.references: no reference is named 'wild'; the nearest are wide")


def test_a_stored_study_whose_references_are_gone_is_read_and_says_so(
    command: Command, database: Path, study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_file.write_text(study_file.read_text() + '\n[search]\nreferences = ["wide"]\n')
    assert command("run", study_file, "--out", database.parent).code == 0
    monkeypatch.delitem(SMALL, "wide")
    assert command("front", database).code == 0
    assert_refused(command("compare", database), "search.references of the study: no reference is named 'wide'")
    assert command("compare", database, "--references", "plain-mobile").code == 0


# ---- failures


def failing(monkeypatch: pytest.MonkeyPatch, *, stage: str, bits: tuple[int, ...] = (32, 8)) -> list[Candidate]:
    """`deep-mobile` fails in that stage; what was asked for is told."""
    asked: list[Candidate] = []

    @contextmanager
    def contained(order: Any, *, progress: Any) -> Iterator[SimpleNamespace]:
        plain = fakes.make_evaluate()

        def evaluate(number: int, one: Candidate, workshop: Workshop) -> Evidence:
            asked.append(one)
            if one.architecture == SMALL["deep-mobile"].make() and one.bits in bits:
                fail = TrialFailed("diverged", "the loss became NaN")
                for name in ("gate", "train", "export"):
                    workshop.once(name, one.key, lambda name=name: raised(fail) if name == stage else {})  # type: ignore[misc]
            return plain(number, one, workshop)

        yield SimpleNamespace(evaluate=evaluate)

    def raised(error: TrialFailed) -> Any:
        raise error

    room: Any = ModuleType("segsearch.trial.contained")
    room.contained = contained
    monkeypatch.setitem(sys.modules, "segsearch.trial.contained", cast(ModuleType, room))
    return asked


def test_a_failure_keeps_its_reason_and_the_rest_goes_on(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = failing(monkeypatch, stage="export", bits=(8,))
    said = command("compare", database, "--references", "deep-mobile,plain-mobile")
    assert said.code == 0, said.err
    assert "Failed   deep-mobile, int8: diverged: the loss became NaN" in said.out
    states = {key: row.state for key, row in kept(database).items()}
    assert [states.pop(("deep-mobile", form)) for form in ("int8", "mixed")] == ["failed"] * 2
    assert set(states.values()) == {"trained"}
    assert len(states) == 4
    failed = json.loads(command("compare", database, "--json").out)[-1]
    assert (failed["reference"], failed["failure"]["kind"]) == ("deep-mobile", "diverged")
    assert len(asked) == 6, "what failed is not tried again unless it is asked for"


def test_a_training_that_failed_is_not_done_again_for_the_other_precision(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = failing(monkeypatch, stage="train")
    assert command("compare", database).code == 0
    assert len(asked) == 4
    rows = [kept(database)[key] for key in keys("deep-mobile")]
    assert [row.failure and row.failure.reason for row in rows] == ["the loss became NaN"] * 3
    assert {row.state for (name, _), row in kept(database).items() if name == "plain-mobile"} == {"trained"}


@pytest.mark.parametrize("stage", ["gate", "export"])
def test_what_failed_before_or_after_the_training_may_pass_in_the_other_precision(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    failing(monkeypatch, stage=stage, bits=(32,))
    assert command("compare", database).code == 0
    assert [kept(database)[key].state for key in keys("deep-mobile")] == ["failed", "trained", "trained"]


def test_what_failed_is_tried_again_where_it_is_asked_for(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, stage="train")
    assert "--again tries what failed once more" in command("compare", database).out
    before = kept(database)
    monkeypatch.setitem(sys.modules, "segsearch.trial.contained", fake_room())
    said = command("compare", database, "--again")
    assert said.code == 0
    assert {row.state for row in kept(database).values()} == {"trained"}
    for key in keys("plain-mobile"):
        assert kept(database)[key] == before[key]


# ---- mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--references", "plain-mobil"], ["--references: no reference is named 'plain-mobil'", "plain-mobile"]),
        (["--references", "plain-mobile,nonsense"], ["'nonsense'", "`segsearch references` lists them"]),
        (["--references", " , "], ["--references must name at least one"]),
        (["--json", "--csv"], ["Only one of --json and --csv"]),
        (["--study", "other"], ["'other'", "tiny"]),
        (["--data", "."], ["--data", "synthetic"]),
    ],
)
def test_a_wrong_command_line_is_refused(
    command: Command, database: Path, arguments: list[str], words: list[str]
) -> None:
    assert_refused(command("compare", database, *arguments), *words)
    assert kept(database) == {}


def test_nothing_trained_yet_is_said(command: Command, tmp_path: Path, quick: None) -> None:
    fakes.start(tmp_path, fakes.make_study())[0].close()
    assert_refused(command("compare", tmp_path / "study.db"), "has no trained trial to compare with yet")


def test_data_that_changed_is_said_before_anything_is_trained(command: Command, database: Path) -> None:
    with open_store(database) as store, store.writing() as connection:
        connection.exec_driver_sql("UPDATE segsearch_studies SET data_key = 'another'")
    assert_refused(command("compare", database), "the images or masks of tiny changed", "--data")
    assert kept(database) == {}


def test_latencies_of_two_machines_never_meet(
    command: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("compare", database, "--references", "plain-mobile").code == 0
    other = replace(fakes.MACHINE, key="other" * 8)
    monkeypatch.setattr("segsearch.launch.machine_here", lambda store, study, progress: other)
    said = command("compare", database)
    assert_refused(said, "timed on another machine (m)", "this one is otheroth", f"segsearch remeasure {database}")
    assert {row.machine for row in kept(database).values()} == {"m"}


# ---- stops

FEW = """
import segsearch.references.names
from tests.commands.test_compare import SMALL
segsearch.references.names.REFERENCES = SMALL
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_was_finished_before_a_stop_is_kept_and_the_same_command_goes_on(
    command: Command, database: Path, number: signal.Signals
) -> None:
    code = SLOW_CLI.replace("sys.exit(", "from segsearch.latency import measure\nsys.exit(")
    code = FEW + code.replace(
        "from segsearch.commands.app",
        "import segsearch.launch, tests.fakes\n"
        "segsearch.launch.machine_here = lambda store, study, progress: tests.fakes.MACHINE\n"
        "from segsearch.commands.app",
    )
    arguments = ["compare", str(database), "--references", "wide,plain-mobile,deep-mobile"]
    said = stopped_half_way(code, arguments, number)
    before = kept(database)
    assert sorted(before) == keys("wide")  # from one training
    if number == signal.SIGINT:
        assert said.code == 130
        assert f"Carry on with: segsearch compare {database} --references wide,plain-mobile,deep-mobile" in said.err
    assert command("compare", database, "--references", "wide,plain-mobile,deep-mobile").code == 0
    assert len(kept(database)) == 9
    assert kept(database).items() >= before.items()
