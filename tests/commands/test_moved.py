"""A study that is carried on where its own folder, with its lists, lies elsewhere than where it began."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.store import open_store
from tests.conftest import Command
from tests.survey.trees import save, scene

pytestmark = pytest.mark.usefixtures("quick")
LISTS = ("train", "val", "classes")


@pytest.fixture
def begun(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a study with lists of its own, begun with one trial, and moved to `moved` as it is."""
    monkeypatch.chdir(tmp_path)
    for seed in range(6):
        image, label = scene(seed)
        save(tmp_path / f"data/images/{seed:03d}.png", image)
        save(tmp_path / f"data/masks/{seed:03d}.png", label)
    assert command("new", "data", "--out", "studies/mine.toml").code == 0
    assert command("run", "studies/mine.toml", "--trials", "1").code == 0
    return (tmp_path / "studies").rename(tmp_path / "moved")


def rewrite(study: Path, old: str, new: str) -> None:
    text = study.read_text()
    assert old in text
    study.write_text(text.replace(old, new))


def test_the_moved_file_goes_on_by_the_lists_that_were_kept(command: Command, begun: Path) -> None:
    for name in LISTS:
        (begun / f"mine.{name}.txt").unlink()
    said = command("check", begun / "mine.toml")
    assert said.code == 0, said.err
    said = command("run", begun / "mine.toml", "--trials", "2")
    assert said.code == 0, said.err


def test_lists_that_say_the_same_elsewhere_are_the_same(command: Command, begun: Path) -> None:
    rewrite(begun / "mine.toml", "/studies/mine.", "/moved/mine.")
    (begun / "mine.val.txt").write_text((begun / "mine.val.txt").read_text() + "\n")
    said = command("check", begun / "mine.toml")
    assert said.code == 0, said.err
    said = command("run", begun / "mine.toml", "--trials", "2")
    assert said.code == 0, said.err
    with open_store("runs/mine/study.db") as store:
        row = store.study()
        assert row.texts is not None
        assert row.texts.keys() == {row.study.data.train, row.study.data.validation, row.study.data.classes}
    assert command("resume", "runs/mine/study.db", "--trials", "3").code == 0


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_says_something_else_elsewhere_is_refused_with_its_line(
    command: Command, begun: Path, name: str
) -> None:
    rewrite(begun / "mine.toml", "/studies/mine.", "/moved/mine.")
    path = begun / f"mine.{name}.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], "other", *lines[-1:]]) + "\n")
    said = command("run", begun / "mine.toml", "--trials", "2")
    assert said.code == 2
    key = {"train": "train", "val": "validation", "classes": "classes"}[name]
    assert f"{path}: a study is carried on as it began; line {len(lines)} of data.{key} is 'other'" in said.err
    assert f"and {lines[-1]!r} in {begun.parent / 'studies' / path.name}" in said.err
    with open_store("runs/mine/study.db") as store:
        assert store.study().study.trials == 1


def test_another_list_in_the_place_of_the_old_one_is_not_read(command: Command, begun: Path) -> None:
    rewrite(begun / "mine.toml", "/studies/mine.", "/moved/mine.")
    (begun.parent / "studies").mkdir()
    (begun.parent / "studies/mine.train.txt").write_text("nothing.png\n")
    said = command("run", begun / "mine.toml", "--trials", "2")
    assert said.code == 0, said.err


def test_a_list_that_is_nowhere_is_named(command: Command, begun: Path) -> None:
    rewrite(begun / "mine.toml", "/studies/mine.train", "/nowhere/mine.train")
    said = command("run", begun / "mine.toml", "--trials", "2")
    assert said.code == 2
    assert "nowhere/mine.train.txt: the list of a split must be there" in said.err
