"""The address, the limits, the table and the reader: what needs no browser."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segsearch.dashboard.limits import STEPS, Scale, scales
from segsearch.dashboard.reading import SETTLED_SECONDS, Reader
from segsearch.dashboard.scene import set_scene
from segsearch.dashboard.state import State, from_address, to_address, toggled
from segsearch.dashboard.status import picked_of
from segsearch.dashboard.table import columns, position, rows
from segsearch.errors import StudyError
from segsearch.evidence.objectives import OBJECTIVES, Limit, read_limit
from segsearch.judging.compare import difference, neighbours
from segsearch.judging.fronts import Report, make_report, narrowed
from segsearch.store import Pick, open_store
from tests.dashboard import many


def report_of(database: Path) -> Report:
    reader = Reader(str(database))
    seen = reader.look().seen
    assert seen is not None
    return reader.report(seen)


# ---- the address


@pytest.mark.parametrize(
    "state",
    [
        State(),
        State(tab="masks", up="miou", across="size_bytes", depth="latency_ms", logs=("x", "y")),
        State(study="a b&c", machine="5e9f", limits=(Limit("miou", ">=", 0.25), Limit("latency_ms", "<=", 7.83))),
        State(selected=(7, 3, 12, 0)),
    ],
)
def test_a_state_comes_back_from_its_address(state: State) -> None:
    assert from_address(to_address(state)) == state


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "?tab=nonsense&x=../../etc/passwd&models=a,,-1,²&log=q&limit=nothing&limit=miou<=nan&limit=latency_ms>=3",
        "?" + "&".join(f"n{i}=1" for i in range(30)),
    ],
)
def test_an_address_from_anywhere_is_read_as_far_as_it_makes_sense(address: str | None) -> None:
    assert from_address(address) == State()


def test_an_address_of_too_many_fields_is_nothing() -> None:
    assert from_address("?" + "&".join("limit=miou>=0.1" for _ in range(1000))) == State()


def test_the_newest_four_stay_selected() -> None:
    chosen: tuple[int, ...] = ()
    for trial in (1, 2, 3, 4, 5):
        chosen = toggled(chosen, trial)
    assert chosen == (2, 3, 4, 5)
    assert toggled(chosen, 4) == (2, 3, 5)


# ---- limits


def test_numbers_without_end_are_left_out() -> None:
    assert from_address(f"?models=3,{'9' * 5000}").selected == (3,)


@pytest.mark.parametrize("scale", [Scale(OBJECTIVES["latency_ms"], 1.5, 400.0), Scale(OBJECTIVES["miou"], 0.0, 0.8)])
def test_a_slider_and_its_bound_agree(scale: Scale) -> None:
    for step in range(STEPS + 1):
        assert abs(scale.step(scale.value(step)) - step) <= 1
    values = [scale.value(step) for step in range(STEPS + 1)]
    assert values == sorted(values)


def test_a_limit_from_elsewhere_keeps_its_digits_until_the_slider_moves() -> None:
    scale = Scale(OBJECTIVES["latency_ms"], 1.0, 10.0)
    given = Limit("latency_ms", "<=", 7.123456)
    assert scale.limit(scale.step(given.bound), given) == given
    moved = scale.limit(scale.step(given.bound) - 1, given)
    assert moved is not None
    assert moved.bound < 7.123456
    assert scale.limit(scale.open, given) is None


def test_only_what_models_differ_in_has_a_slider(small: Path) -> None:
    report = report_of(small)
    assert list(scales(report))[:3] == [goal.name for goal in report.objectives]
    assert "load_ms" not in scales(report)  # the same for all


# ---- the table


def test_the_table_sorts_and_filters_here(small: Path) -> None:
    reader = Reader(str(small))
    scene, _ = set_scene(reader, "")
    assert scene is not None
    seen, report = scene.seen, scene.report
    request = {
        "startRow": 0,
        "endRow": 10,
        "sortModel": [{"colId": "miou", "sort": "desc"}],
        "filterModel": {
            "latency_ms": {"filterType": "number", "type": "lessThan", "filter": 12},
            "param:block": {"filterType": "text", "type": "contains", "filter": "CONV"},
        },
    }
    expected = sorted(
        (
            row.values["miou"]
            for row in report.rows
            if row.values["latency_ms"] < 12 and row.candidate.architecture.paths[0].stages[0].block == "conv"
        ),
        reverse=True,
    )
    found = rows(seen, report, request, chosen=[report.rows[0].trial])
    assert [row["miou"] for row in found["rowData"]] == expected[:10]
    assert found["rowCount"] == len(expected)
    first = found["rowData"][0]["trial"]
    assert position(seen, report, request, first) == 0
    assert position(seen, report, request, 10**6) is None


@pytest.mark.parametrize(
    "kind", ["equals", "notEqual", "contains", "notContains", "startsWith", "endsWith", "blank", "?"]
)
def test_every_filter_of_words_answers(small: Path, kind: str) -> None:
    scene, _ = set_scene(Reader(str(small)), "")
    assert scene is not None
    filters = {"ships": {"filterType": "text", "type": kind, "filter": "int8"}}
    wanted = {
        "equals": lambda ships: ships == "int8",
        "notEqual": lambda ships: ships != "int8",
        "contains": lambda ships: "int8" in ships,
        "notContains": lambda ships: "int8" not in ships,
        "startsWith": lambda ships: ships.startswith("int8"),
        "endsWith": lambda ships: ships.endswith("int8"),
        "blank": lambda ships: False,
        "?": lambda ships: True,
    }[kind]
    found = rows(scene.seen, scene.report, {"filterModel": filters, "startRow": 0, "endRow": 100})
    names = ["int8" if row.candidate.bits == 8 else "fp32" for row in scene.report.rows]
    assert found["rowCount"] == sum(map(wanted, names))


def test_a_table_never_sends_everything(tmp_path: Path) -> None:
    database = many.fill(tmp_path, 400)
    scene, _ = set_scene(Reader(str(database)), "")
    assert scene is not None
    found = rows(scene.seen, scene.report, {"startRow": 0, "endRow": 10**9})
    assert len(found["rowData"]) <= 200 < found["rowCount"]


def test_columns_hold_objectives_and_what_the_space_draws(small: Path) -> None:
    scene, _ = set_scene(Reader(str(small)), "")
    assert scene is not None
    fields = [column["field"] for column in columns(scene.seen, scene.report)]
    assert {"trial", "miou", "latency_ms", "size_bytes", "ships", "param:width", "param:block", "design"} <= set(fields)


# ---- the reader


def test_nothing_is_read_again_while_nothing_changed(small: Path) -> None:
    reader = Reader(str(small))
    first = reader.look().seen
    reader.forget()
    assert reader.look().seen is first


def test_a_growing_study_is_followed(small: Path) -> None:
    reader = Reader(str(small))
    before = reader.look().seen
    assert before is not None
    with open_store(small) as store:
        many.grow(store, store.study(), range(40, 60))
    after = reader.look().seen
    assert after is not None
    assert len(after.trials) == len(before.trials) + 20
    assert after.mark != before.mark
    assert after.trials[:40] == before.trials
    assert after == Reader(str(small)).look().seen  # what was put together is what is there


def test_a_pick_and_its_undo_are_followed(small: Path) -> None:
    reader = Reader(str(small))
    with open_store(small) as store:
        study = store.study().name
        store.add_pick(study, Pick(1, "one"))
        store.add_pick(study, Pick(2, "two"))
        seen = reader.look().seen
        assert seen is not None
        assert seen.picked is not None
        assert seen.picked.pick.trial == 2
        with pytest.raises(StudyError, match="newest"):
            store.undo_pick(study, seen.picks[0].number)
        store.undo_pick(study, seen.picked.number)
        seen = reader.look().seen
        assert seen is not None
        assert [row.pick.trial for row in seen.picks] == [1]


def test_what_is_wrong_is_said_and_what_was_read_stands(small: Path) -> None:
    reader = Reader(str(small))
    assert reader.look().wrong is None
    small.rename(small.with_suffix(".away"))
    looked = reader.look()
    assert "no such database" in (looked.wrong or "")
    assert looked.seen is not None
    small.with_suffix(".away").rename(small)
    assert reader.look().wrong is None


AT_WORK = """
import sys, time
from segsearch.store import open_store
from segsearch.store.worker import at_work
with open_store(sys.argv[1]) as store, at_work(store, store.study().name):
    print("at work", flush=True)
    time.sleep(60)
"""


def test_a_worker_that_dies_is_no_longer_at_work(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(str(small))
    with subprocess.Popen([sys.executable, "-c", AT_WORK, str(small)], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "at work\n"
        seen = reader.look().seen
        worker.kill()
    assert seen is not None
    assert seen.workers == 1
    time.sleep(SETTLED_SECONDS)
    monkeypatch.setattr("segsearch.dashboard.reading.AGAIN_SECONDS", 0.0)
    after = reader.look()
    assert after.seen is not None
    assert after.seen.workers == 0
    assert reader.look() is after


@pytest.mark.parametrize(
    "change",
    [
        "update segsearch_trials set candidate = '{}' where number = 3",
        "update segsearch_trials set \"values\" = 'no json' where number = 3",
        'update segsearch_machines set json = \'{"of": "the future"}\'',
    ],
)
def test_a_row_that_cannot_be_read_is_said(small: Path, client: Callable[..., Any], change: str) -> None:
    running = client(small)
    with sqlite3.connect(small) as connection:
        connection.execute(change)
    connection.close()
    started = client(small)
    for server in (running, started):
        assert server.get("/").status_code == 200
        assert server.get("/models.csv").status_code in (200, 409)
    assert "a row cannot be read" in started.get("/_dash-layout").get_data(as_text=True)


def test_a_lock_that_is_given_back_is_seen(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsearch.dashboard.reading.AGAIN_SECONDS", 0.0)
    time.sleep(SETTLED_SECONDS)
    reader = Reader(str(small))
    connection = sqlite3.connect(small, isolation_level=None)
    connection.execute("pragma locking_mode=exclusive")
    connection.execute("begin exclusive")
    assert reader.look().wrong is not None
    connection.execute("rollback")
    connection.close()
    assert reader.look().wrong is None


def test_an_undone_picks_number_is_not_its_successors(small: Path) -> None:
    reader = Reader(str(small))
    with open_store(small) as store:
        study = store.study().name
        store.add_pick(study, Pick(1, "first"))
        old = reader.look()
        assert old.seen is not None
        before = old.seen.picked
        assert before is not None
        store.undo_pick(study, before.number)
        store.add_pick(study, Pick(2, "second"))
        assert reader.look().mark != old.mark
        with pytest.raises(StudyError, match="changed meanwhile"):
            store.undo_pick(study, before.number, created=before.created)
        assert [row.pick.trial for row in store.picks(study)] == [2]


def test_a_time_that_no_calendar_has(small: Path) -> None:
    with sqlite3.connect(small) as connection:
        connection.execute("insert into segsearch_picks values (1, 'streets', 3, 'why', 1e300)")
    connection.close()
    assert "at an unknown time" in str(picked_of(Reader(str(small)).look()))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from(["miou", "latency_ms", "size_bytes"]),
    st.floats(1e-3, 1e9),
    st.floats(1.0001, 1000),
)
def test_a_slider_keeps_its_step_and_at_its_end_the_best(name: str, low: float, ratio: float) -> None:
    scale = Scale(OBJECTIVES[name], low, low * ratio)
    best, strictest = (scale.high, STEPS) if name == "miou" else (scale.low, 0)
    limit = scale.limit(strictest, None)
    assert limit is not None
    assert limit.excess(best) <= 0
    for step in range(0, STEPS + 1, 7):
        assert abs(scale.step(scale.value(step)) - step) <= (1 if scale.logarithmic else 0)


def test_a_newer_schema_is_said(small: Path) -> None:
    with sqlite3.connect(small) as connection:
        connection.execute("insert into segsearch_migrations values (99, 0)")
    connection.close()
    scene, trouble = set_scene(Reader(str(small)), "")
    assert scene is None
    assert trouble is not None
    assert "its schema is 99" in trouble.text


def test_a_locked_database_is_said(small: Path) -> None:
    connection = sqlite3.connect(small, isolation_level=None)
    connection.execute("pragma locking_mode=exclusive")
    connection.execute("begin exclusive")
    connection.execute("update segsearch_studies set created = created + 1")
    _, trouble = set_scene(Reader(str(small)), "")
    connection.close()
    assert trouble is not None
    assert "locked" in trouble.text


@pytest.mark.parametrize("content", [b"", b"not a database at all", b"SQLite format 3\0" + b"\0" * 200])
def test_a_file_that_is_no_database_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.db"
    path.write_bytes(content)
    scene, trouble = set_scene(Reader(str(path)), "")
    assert scene is None
    assert trouble is not None
    assert trouble.text


def test_several_machines_ask_which(small: Path) -> None:
    many.time_elsewhere(small, range(20))
    scene, trouble = set_scene(Reader(str(small)), "")
    assert scene is None
    assert trouble is not None
    assert {value for value, _ in trouble.choices} == {many.MACHINE.short, many.OTHER.short}
    scene, trouble = set_scene(Reader(str(small)), f"?machine={many.OTHER.short}")
    assert trouble is None
    assert scene is not None
    assert scene.report.machine == many.OTHER.key
    scene, _ = set_scene(Reader(str(small), machine=many.MACHINE.short), "")
    assert scene is not None


def test_several_studies_ask_which(tmp_path: Path) -> None:
    many.fill(tmp_path, 5, name="first")
    many.fill(tmp_path, 5, name="second")
    scene, trouble = set_scene(Reader(str(tmp_path / "study.db")), "")
    assert scene is None
    assert trouble is not None
    assert [value for value, _ in trouble.choices] == ["first", "second"]
    scene, _ = set_scene(Reader(str(tmp_path / "study.db")), "?study=second")
    assert scene is not None
    scene, trouble = set_scene(Reader(str(tmp_path / "study.db")), "?study=third")
    assert scene is None
    assert trouble is not None
    assert "holds no study" in trouble.text


@pytest.mark.parametrize(
    "texts",
    [
        (),
        ("latency_ms<=9",),
        ("latency_ms<=9", "miou>=0.3", "size_bytes<=20000"),
        ("params<=5000",),
        ("latency_ms>=9", "macs<=9000000"),
        ("latency_ms<=40", "miou>=0.99"),
    ],
)
def test_a_report_narrowed_is_the_report_made_under_the_limits(small: Path, texts: tuple[str, ...]) -> None:
    seen = Reader(str(small)).look().seen
    assert seen is not None
    limits = [read_limit(text) for text in texts]
    plain = make_report(seen.study, seen.trials, seen.timings, machine=many.MACHINE.key)
    whole = make_report(seen.study, seen.trials, seen.timings, limits, machine=many.MACHINE.key)
    assert narrowed(plain, limits) == whole


# ---- words


def test_a_difference_says_what_is_gained_and_what_it_costs() -> None:
    goals = (OBJECTIVES["miou"], OBJECTIVES["latency_ms"])
    here, there = {"miou": 0.5, "latency_ms": 10.0}, {"miou": 0.519, "latency_ms": 13.1}
    assert difference(goals, here, there) == "+1.9 mIoU points for +3.1 ms"
    assert difference(goals, there, here) == "−3.1 ms for −1.9 mIoU points"
    assert difference(goals, here, here) == "the same in every objective"
    assert difference(goals, here, here | {"miou": 0.51}) == "+1 mIoU points and the same latency"


def test_neighbours_are_the_next_on_the_front(small: Path) -> None:
    report = report_of(small)
    members = report.front
    assert neighbours(report, members[0]) == (None, members[1])
    assert neighbours(report, members[2]) == (members[1], members[3])
    assert neighbours(report, members[-1]) == (members[-2], None)
