"""Fixtures of the doors: a filled database, a study file, and commands whose evaluations cost nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from segsearch.commands.app import main
from segsearch.search import run_search
from segsearch.study import load_study
from segsearch.trial.child import Task
from segsearch.trial.contained import Looked, unwatched
from segsearch.trial.types import Estimate
from segsearch.workshop import Progress
from tests import browsing, fakes, servers

STUDY = """
name = "tiny"
trials = 3
space = "mobile"

[data]
kind = "synthetic"
height = 64
width = 64
train_count = 4
validation_count = 2

[train]
epochs = 2
fine_tune_epochs = 1
height = 64
width = 64
"""


def absent(reason: str) -> NoReturn:
    """Skip a test for which something is not installed; a failure where everything must be (SEGSEARCH_TEST_ALL=1)."""
    if os.environ.get("SEGSEARCH_TEST_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What needs a database runs on both kinds, but for tests of what only a file has."""
    if "backend" in metafunc.fixturenames:
        only_sqlite = metafunc.definition.get_closest_marker("sqlite") is not None
        kinds = ["sqlite"] if only_sqlite else ["sqlite", "postgresql"]
        metafunc.parametrize("backend", kinds, indirect=True)


@pytest.fixture(scope="session")
def server() -> Iterator[servers.Server]:
    """A PostgreSQL server of this process; skipped, with what to install, where there is none."""
    reason = servers.missing()
    if reason is not None:
        absent(reason)
    with servers.running() as started:
        yield started


@pytest.fixture
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where `fakes.start` and `fakes.where` put databases: in files, or on a server, one for each folder."""
    kind: str = request.param
    if kind == "sqlite":
        yield kind
        return
    started: servers.Server = request.getfixturevalue("server")
    monkeypatch.setattr(fakes, "where", lambda folder: started.database(servers.name_of(folder)))
    yield kind
    started.drop_all()


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What segsearch keeps for its user is the tests' own, one for all workers, and holds reference times."""
    from tests.models import keep_times

    shared = tmp_path_factory.getbasetemp().parent / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(shared))
        keep_times()
        yield


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process, as the console script does."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY)
    return path


def fake_room(in_training: Callable[[], object] = fakes.nothing) -> ModuleType:
    """Stands in for `segsearch.trial.contained`: no child and no torch, milliseconds a trial."""
    room: Any = ModuleType("segsearch.trial.contained")
    found = Estimate(
        gate_seconds=2.0, seconds_per_trial=30.0, teacher_seconds=60.0, bytes_per_trial=1_000_000, looked=5, within=4
    )

    @contextmanager
    def contained(order: Task, *, progress: Progress, looked: Looked = unwatched) -> Iterator[SimpleNamespace]:
        evaluate = fakes.make_evaluate(load_study(order.study).bounds, in_training=in_training)
        yield SimpleNamespace(
            evaluate=evaluate,
            finish=evaluate,
            gate=fakes.make_gate(load_study(order.study).bounds),
            teach=lambda workshop: None,
            estimate=lambda candidates, artifacts: found,
            train_again=fakes.make_train_again(progress, in_training=in_training),
            grow=fakes.make_grow(progress, looked, in_training=in_training),
        )

    room.contained = contained
    return cast(ModuleType, room)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations cost nothing."""
    monkeypatch.setitem(sys.modules, "segsearch.trial.contained", fake_room())
    monkeypatch.setattr("segsearch.launch.machine_here", lambda store, study, progress: fakes.MACHINE)


@pytest.fixture(scope="session")
def tiny_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tiny import make

    return make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(tiny_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study that was really run, one's own to write to, and the current one."""
    folder = tmp_path / "tiny"
    shutil.copytree(tiny_once, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def filled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    study = fakes.make_study(trials=8, limits=["latency_ms<=20"])
    store, row = fakes.start(folder, study)
    evaluate = fakes.make_evaluate(study.bounds, fails=lambda number: number == 2)
    with store:
        run_search(store, row.name, draw=fakes.draw, evaluate=evaluate)
    return folder


@pytest.fixture
def filled(filled_once: Path, tmp_path: Path) -> Path:
    """A finished study's database with eight trained trials, one's own to write to."""
    folder = tmp_path / "filled"
    shutil.copytree(filled_once, folder)
    return folder / "study.db"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium; skipped, with what to install, where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        absent("pip install playwright to test in a browser")
    if browsing.CHROMIUM is None:
        absent("no Chromium on this machine: apt-get install chromium to test the dashboard in a real browser")
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=browsing.CHROMIUM, args=browsing.SWITCHES)
        yield opened
        opened.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[browsing.Page]:
    """A fresh page; at the end nothing may have gone wrong on it."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = browsing.Page(context.new_page())
    yield page
    page.page.unroute_all(behavior="ignoreErrors")  # an answer that is late for the end of its test
    context.close()
    assert page.wrong == []
