"""`segsearch new`: every plain layout becomes a study whose data opens as written."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.datasets import open_dataset
from segsearch.errors import DatabaseError, DataError, StudyError
from segsearch.launch import check_designs
from segsearch.pretrained import packages
from segsearch.pretrained.families import LAYOUTS
from segsearch.pretrained.match import match
from segsearch.readings.types import Wanted
from segsearch.space.candidate import Named
from segsearch.space.load import load_space
from segsearch.store import open_store
from segsearch.study import Study, flat, read_study
from segsearch.survey.beginnings import FROM_LITE0, FROM_NOTHING, PRETRAINED_RATE, Beginning
from segsearch.survey.look import look
from segsearch.survey.scaffold import write_study
from segsearch.survey.template import Budget, budget_for
from segsearch.trial.prepare import schedule_of
from tests.conftest import Command


def picture(path: Path, *, height: int = 60, width: int = 90, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, *path.stem.encode()]).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def mask(path: Path, *, height: int = 60, width: int = 90, values: tuple[int, ...] = (0, 1, 2, 255)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.resize(np.array(values, dtype=np.uint8), (height, width))
    Image.fromarray(pixels).save(path)


def fill(
    images: Path,
    masks: Path,
    count: int = 5,
    *,
    first: int = 0,
    ending: str = "",
    suffix: str = ".jpg",
    values: tuple[int, ...] = (0, 1, 2, 255),
) -> None:
    for number in range(first, first + count):
        picture(images / f"frame {number:02d}{suffix}")
        mask(masks / f"frame {number:02d}{ending}.png", values=values)


def opened(root: Path, tmp_path: Path) -> tuple[Study, int, int]:
    """Write a study for `root`, read it back and open its data; the lengths of its splits."""
    out = tmp_path / "studies" / "mine.toml"
    write_study(look(root), out)
    study = read_study(out)
    dataset = open_dataset(study.data, cache=tmp_path / "cache")
    assert not set(dataset.train.names) & set(dataset.validation.names)
    return study, len(dataset.train), len(dataset.validation)


def test_splits_by_folder_need_no_lists(tmp_path: Path) -> None:
    root = tmp_path / "data"
    fill(root / "images" / "train", root / "masks" / "train", 4)
    fill(root / "images" / "val", root / "masks" / "val", 2, first=4)
    (root / "classes.txt").write_text("sky\nroad\ncar\n")
    study, train, validation = opened(root, tmp_path)
    assert (train, validation) == (4, 2)
    assert (study.data.train, study.data.validation, study.data.classes) == ("train", "val", "classes.txt")
    assert study.data.void == 255
    assert [path.name for path in (tmp_path / "studies").iterdir()] == ["mine.toml"]


def test_the_split_may_come_first(tmp_path: Path) -> None:
    root = tmp_path / "data"
    fill(root / "training" / "Images", root / "training" / "Labels", 4)
    fill(root / "validation" / "Images", root / "validation" / "Labels", 2, first=4)
    study, train, validation = opened(root, tmp_path)
    assert (train, validation) == (4, 2)
    assert study.data.train == "training"


@pytest.mark.parametrize("ending", ["", "_mask", "_L"])
def test_a_flat_folder_gets_a_holdout(ending: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    fill(root / "images", root / "masks", 10, ending=ending)
    before = sorted(root.rglob("*"))
    study, train, validation = opened(root, tmp_path)
    assert (train, validation) == (8, 2)
    assert sorted(root.rglob("*")) == before, "the user's folder is not changed"
    assert Path(study.data.train).name == "mine.train.txt"
    assert Path(study.data.classes).read_text() == "class_0\nclass_1\nclass_2\n"
    again = tmp_path / "again" / "mine.toml"
    write_study(look(root), again)
    assert again.with_name("mine.val.txt").read_text() == Path(study.data.validation).read_text()


@pytest.mark.parametrize(("ending", "suffix"), [("", ".jpg"), ("_mask", ".png")])
def test_images_and_masks_may_lie_together(ending: str, suffix: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    fill(root, root, 6, ending=ending, suffix=suffix)
    assert opened(root, tmp_path)[1:] == (5, 1)


def test_only_a_training_split_gets_a_holdout(tmp_path: Path) -> None:
    root = tmp_path / "data"
    fill(root / "train" / "images", root / "train" / "masks", 5)
    assert opened(root, tmp_path)[1:] == (4, 1)


def test_the_value_beyond_the_classes_is_void_where_the_user_says_so(tmp_path: Path) -> None:
    root = tmp_path / "data"
    fill(root / "images", root / "masks", values=(0, 1, 2, 3))
    (root / "classes.txt").write_text("sky\nroad\ncar\n")
    with pytest.raises(DataError, match="3 ways"):
        look(root)
    write_study(look(root, Wanted(void=3)), tmp_path / "mine.toml")
    data = read_study(tmp_path / "mine.toml").data
    assert (data.void, data.map, data.classes) == (3, None, "classes.txt")


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(360, 480, (352, 480)), (1024, 2048, (256, 512)), (60, 90, (32, 64)), (20, 24, (32, 32)), (500, 100, (480, 96))],
)
def test_the_size_keeps_the_shape_and_never_enlarges(
    height: int, width: int, expected: tuple[int, int], tmp_path: Path
) -> None:
    root = tmp_path / "data"
    for number in range(4):
        picture(root / "images" / f"{number}.png", height=height, width=width)
        mask(root / "masks" / f"{number}.png", height=height, width=width)
    assert look(root).size == expected


BEGINNINGS = pytest.mark.parametrize("beginning", [FROM_NOTHING, FROM_LITE0], ids=lambda one: one.space)


def written(tmp_path: Path, beginning: Beginning) -> Path:
    """A study of a small folder."""
    root = tmp_path / "data"
    fill(root / "images", root / "masks")
    out = tmp_path / "studies" / "mine.toml"
    write_study(look(root), out, beginning=beginning)
    return out


@BEGINNINGS
def test_the_study_says_what_can_be_changed_and_the_teacher_in_its_comments_fits_the_space(
    tmp_path: Path, beginning: Beginning
) -> None:
    file = written(tmp_path, beginning)
    study = read_study(file)
    check_designs(study, load_space(study.space))
    text = file.read_text()
    assert "limits" in tomllib.loads(text)
    assert study.teacher is None
    text = text.replace("# distill_die", "distill_die")
    head, mark, example = text.partition("# [teacher]\n")
    file.write_text(head + "".join(line.removeprefix("# ") for line in (mark + example).splitlines(keepends=True)))
    study = read_study(file)
    assert study.teacher is not None
    space = load_space(study.space)
    check_designs(study, space)
    teacher = space.draw(Named(study.teacher.choices))
    assert teacher.distill is None
    assert teacher.bits == 32


def test_a_study_from_pretrained_weights_has_their_space_their_rate_and_designs_that_all_inherit(
    tmp_path: Path,
) -> None:
    study = read_study(written(tmp_path, FROM_LITE0))
    assert (study.train.pretrained, study.train.learning_rate) == ("efficientnet-lite0", PRETRAINED_RATE)
    space, (layout,) = load_space(study.space), [one for one in LAYOUTS if one.name == "EfficientNet-Lite0"]
    designs = [space.draw(Named(choices)).architecture for choices in study.search.first]
    assert all(not match(design, layout.architecture).left for design in designs)
    assert {design.input_scale for design in designs} == {0.5, 0.75, 1.0}
    first = designs[0].paths[0]
    assert (first.stem, first.stages) == (layout.path.stem, layout.path.stages[:5])


def test_a_study_from_pretrained_weights_says_how_to_train_from_nothing(tmp_path: Path) -> None:
    """Following its words leads to the study that begins with nothing."""
    file = written(tmp_path, FROM_LITE0)
    text = file.read_text()
    words = " ".join(line.removeprefix("# ") for line in text.splitlines())
    assert 'To train from nothing write space = "mobile", leave out the next two lines and the designs at the' in words
    (rate,) = re.findall(r"and take learning_rate = ([\d.]+)\.", words)
    lines = text.splitlines(keepends=True)
    told = next(number for number, line in enumerate(lines) if line.startswith("# learning_rate ="))
    assert [line.split(" ")[0] for line in lines[told + 1 : told + 3]] == ["pretrained", "start_rate"]
    text = "".join(lines[: told + 1] + lines[told + 3 :]).partition("\n[[search.first]]")[0]
    text = text.replace('space = "efficientnet_lite"', 'space = "mobile"')
    file.write_text(re.sub(r"^learning_rate = .*$", f"learning_rate = {rate}", text, flags=re.MULTILINE))
    other = tmp_path / "nothing" / "mine.toml"
    write_study(look(tmp_path / "data"), other)
    found, expected = (flat(read_study(path).model_dump()) for path in (file, other))
    assert {key: found[key] for key in found if not key.startswith("data.")} == {
        key: expected[key] for key in expected if not key.startswith("data.")
    }


@pytest.mark.parametrize("there", [True, False])
def test_new_begins_with_pretrained_weights_where_they_are_installed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(packages, "is_installed", lambda name: there)
    fill(tmp_path / "data" / "images", tmp_path / "data" / "masks")
    said = command("new", tmp_path / "data", "--out", tmp_path / "mine.toml")
    assert said.code == 0, said.err
    study = read_study(tmp_path / "mine.toml")
    assert study.train.pretrained == ("efficientnet-lite0" if there else "none")
    assert study.space == ("efficientnet_lite" if there else "mobile")
    assert ("Encoders begin with the weights of efficientnet-lite0." in said.out) == there


# ---- the budget


@pytest.mark.parametrize(
    ("images", "steps", "batch", "rate", "zooms"),
    [
        (2, 800, 2, 3e-3, (1.0, 1.5)),
        (3, 800, 2, 3e-3, (1.0, 1.5)),
        (12, 800, 2, 3e-3, (1.0, 1.5)),
        (23, 800, 2, 3e-3, (1.0, 1.5)),
        (24, 800, 4, 4e-3, (1.0, 1.5)),
        (400, 800, 4, 4e-3, (1.0, 1.5)),
        (1600, 2000, 4, 4e-3, (1.0, 2.0)),
        (4000, 5000, 4, 4e-3, (1.0, 2.0)),
    ],
)
def test_a_budget_has_steps_enough_for_few_images_and_an_end_for_many(
    images: int, steps: int, batch: int, rate: float, zooms: tuple[float, float]
) -> None:
    assert budget_for(images) == Budget(steps, batch, rate, zooms)
    # Views times pixels, of which one at input scale 0.5 has 1: 12 epochs of crops of half of each side, as it was.
    views = steps * batch * (1 + 1.5**2 + 2**2) / 3
    if images >= 1000:
        assert views <= 1.02 * 12 * images


@pytest.mark.parametrize("count", [12, 40, 400, 4000])
@pytest.mark.usefixtures("quick")
def test_what_new_writes_passes_check_without_a_warning(
    count: int, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many training images, all of them links to one file."""
    monkeypatch.chdir(tmp_path)
    for split, images in (("train", count), ("val", 2)):
        for number in range(images):
            for folder, make in (("images", picture), ("masks", mask)):
                path = tmp_path / "data" / folder / split / f"{split}{number:04d}.png"
                first = path.with_name(f"{split}0000.png")
                if path == first:
                    make(path, height=32, width=48)
                else:
                    path.hardlink_to(first)
    said = command("new", "data", "--out", "mine.toml")
    assert said.code == 0, said.err
    budget = budget_for(count)
    assert f"Each trial trains for {budget.steps} steps of {budget.batch_size} images (" in said.out
    assert ") on whole images." in said.out
    said = command("check", "mine.toml")
    assert said.code == 0, said.err
    assert f"{count} training and 2 validation images" in said.out
    assert "Warning" not in said.out
    schedule = schedule_of(read_study(tmp_path / "mine.toml").train, seed=0, images=count)
    assert (schedule.steps_for(count), schedule.crop, schedule.recipe) == (budget.steps, 1.0, 2)


def test_paths_with_quotes_and_spaces_survive(tmp_path: Path) -> None:
    root = tmp_path / 'my "best" data \\ ü'
    fill(root / "images", root / "masks")
    assert opened(root, tmp_path)[1:] == (4, 1)


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    root, out = tmp_path / "data", tmp_path / "mine.toml"
    fill(root / "images", root / "masks")
    found = look(root)
    (tmp_path / "mine.val.txt").write_text("mine")
    with pytest.raises(StudyError, match="not overwritten"):
        write_study(found, out)
    assert not out.exists()
    assert out in write_study(found, out, force=True)


def test_layouts_that_are_not_understood(tmp_path: Path) -> None:
    root = tmp_path / "data"
    with pytest.raises(DataError, match="must be a folder"):
        look(root)
    root.mkdir()
    with pytest.raises(DataError, match="an empty folder"):
        look(root)
    (root / "notes").mkdir()
    with pytest.raises(DataError, match="got notes"):
        look(root)
    fill(root / "images", root / "masks", 2)
    with pytest.raises(DataError, match="at least 4"):
        look(root)
    fill(root / "images", root / "masks", 5)
    (root / "masks" / "frame 03.png").unlink()
    with pytest.raises(DataError, match=r"frame 03\.jpg: every image must have a mask"):
        look(root)


def test_a_split_without_masks_is_named(tmp_path: Path) -> None:
    root = tmp_path / "data"
    fill(root / "images" / "train", root / "masks" / "train")
    picture(root / "images" / "val" / "a.jpg")
    with pytest.raises(DataError, match=r"images/val/a\.jpg: every image must have a mask, got none"):
        look(root)


@pytest.mark.parametrize(
    ("values", "classes", "count", "absent"),
    [
        ((0, 1, 255), None, 2, ()),
        ((0, 3, 255), None, 4, (1, 2)),
        ((0, 2, 255), "sky\nroad\ncar\n", 3, (1,)),
        ((0, 15, 255), "\n".join(f"thing {number}" for number in range(16)), 16, tuple(range(1, 15))),
    ],
)
def test_classes_that_no_mask_holds_are_warned_of(
    values: tuple[int, ...], classes: str | None, count: int, absent: tuple[int, ...], command: Command, tmp_path: Path
) -> None:
    root = tmp_path / "data"
    fill(root / "images", root / "masks", values=values)
    if classes:
        (root / "classes.txt").write_text(classes)
    said = command("new", root, "--out", tmp_path / "warned.toml")
    assert said.code == 0, said.err
    text = " ".join(said.out.split())
    assert ("Warning: No training mask holds" in text) == bool(absent)
    names = look(root).reading.classes
    assert len(names) == count
    for value in absent[:6]:
        assert f"{names[value]} ({value})" in text
    assert ("and 8 more" in text) == (len(absent) > 6)
    assert opened(root, tmp_path)[1:] == (4, 1)


@pytest.mark.parametrize(
    ("values", "classes"), [((255,), None), ((0, 1, 7, 9), "a\nb\n"), ((0, 1, 254), "a\nb\n"), ((0, 4, 6), "a\nb\n")]
)
def test_masks_that_fit_no_list_are_refused(values: tuple[int, ...], classes: str | None, tmp_path: Path) -> None:
    root = tmp_path / "data"
    fill(root / "images", root / "masks", values=values)
    if classes:
        (root / "classes.txt").write_text(classes)
    with pytest.raises(DataError):
        look(root)


def test_what_is_refused_leaves_nothing_behind(command: Command, tmp_path: Path) -> None:
    fill(tmp_path / "data" / "images", tmp_path / "data" / "masks", values=(0, 1, 2, 3))
    (tmp_path / "data" / "classes.txt").write_text("sky\nroad\ncar\n")
    said = command("new", tmp_path / "data", "--out", tmp_path / "mine.toml")
    assert said.code == 2
    assert "--void 0" in said.err
    assert "Traceback" not in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    said = command("new", tmp_path / "data", "--out", tmp_path / "mine.toml", "--void", "zero")
    assert said.code == 2
    assert "--void must be a stored value" in said.err


@pytest.mark.usefixtures("quick")
def test_new_then_check_then_run(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "data" / "images", tmp_path / "data" / "masks", 6)
    said = command("new", "data", "--out", "studies/mine.toml")
    assert said.code == 0, said.err
    assert "5 training and 1 validation images" in said.out
    assert "segsearch run studies/mine.toml" in said.out
    assert command("check", "studies/mine.toml").code == 0
    assert command("run", "studies/mine.toml", "--trials", "1").code == 0
    assert command("new", "data", "--out", "studies/mine.toml").code == 2
    assert command("new", "data", "--out", "studies/mine.txt").code == 2
    assert command("new", "nowhere", "--out", "studies/x.toml").code == 2


@pytest.mark.usefixtures("quick")
def test_the_data_may_move(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "data" / "images", tmp_path / "data" / "masks", 6)
    command("new", "data", "--out", "mine.toml")
    assert command("run", "mine.toml", "--trials", "1").code == 0
    (tmp_path / "data").rename(tmp_path / "moved")
    gone = command("run", "mine.toml", "--trials", "2")
    assert gone.code == 2
    assert "data" in gone.err
    said = command("run", "mine.toml", "--trials", "2", "--data", "moved")
    assert said.code == 0, said.err
    assert command("resume", "runs/mine/study.db", "--trials", "3").code == 0


@pytest.mark.usefixtures("quick")
def test_a_run_goes_on_where_the_folder_of_studies_is_gone(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "data" / "images", tmp_path / "data" / "masks", 6)
    assert command("new", "data", "--out", "studies/mine.toml").code == 0
    assert command("run", "studies/mine.toml", "--trials", "1").code == 0
    shutil.rmtree(tmp_path / "studies")
    said = command("resume", "runs/mine/study.db", "--trials", "2")
    assert said.code == 0, said.err
    with open_store("runs/mine/study.db") as store:
        row = store.study()
        assert row.texts is not None
        assert row.texts[row.study.data.classes] == "class_0\nclass_1\nclass_2\n"
        row.artifacts.path(str(row.kept)).write_text("{}")
        with pytest.raises(DatabaseError, match="must hold the bytes it is named after"):
            _ = row.texts


def test_names_that_a_list_cannot_hold_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "data"
    fill(root / "images", root / "masks", 6)
    for kind, suffix in (("images", "jpg"), ("masks", "png")):
        (root / kind / f"frame 03.{suffix}").rename(root / kind / f"frame\t03.{suffix}")
    with pytest.raises(DataError, match="a list holds names in UTF-8 without tabs"):
        write_study(look(root), tmp_path / "mine.toml")
    assert not (tmp_path / "mine.toml").exists()
