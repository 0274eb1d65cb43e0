from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from segsearch.errors import StudyError
from segsearch.evidence.objectives import Limit
from segsearch.settings.train import START_RATE
from segsearch.study import ONCE, Study, as_begun, dump_study, flat, load_study, parse_study, read_study, study_from

WHOLE = """
name = "streets"
seed = 7
trials = 24
space = "mobile"
objectives = ["miou", "latency_ms"]
limits = ["latency_ms <= 12.0"]

[data]
kind = "folders"
root = "data/streets"
height = 180
width = 240
void = 11

[train]
epochs = 8
height = 96
width = 128
learning_rate = 1
device = "cpu"

[teacher]
epochs = 20
choices = { width_multiplier = 2.0, stage1_depth = 3, decoder = "concat" }

[timing]
threads = 2

[search]
sampler = "nsga2"
"""

SMALLEST: dict[str, Any] = {
    "name": "a",
    "trials": 3,
    "space": "mobile",
    "data": {"kind": "synthetic", "height": 64, "width": 96},
    "train": {"epochs": 4, "height": 64, "width": 96},
}


def changed(key: str, value: Any) -> dict[str, Any]:
    """The smallest study with one value set; `...` takes the key away."""
    raw = copy.deepcopy(SMALLEST)
    *sections, last = key.split(".")
    place = raw
    for section in sections:
        place = place.setdefault(section, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return raw


def refused(raw: dict[str, Any]) -> str:
    with pytest.raises(StudyError) as caught:
        parse_study(raw, where="x.toml")
    message = str(caught.value)
    assert message.startswith("x.toml: ")
    assert message.count("\n") <= 1
    assert len(message) < 400
    return message.removeprefix("x.toml: ")


def test_a_whole_study_is_read(tmp_path: Path) -> None:
    file = tmp_path / "streets.toml"
    file.write_text(WHOLE)
    study = read_study(file)
    assert study.seed == 7
    assert study.limits == ("latency_ms<=12",)
    assert study.bounds == (Limit("latency_ms", "<=", 12.0),)
    assert [goal.name for goal in study.goals] == ["miou", "latency_ms"]
    assert study.data.root == str(tmp_path / "data/streets")
    assert study.space == "mobile"
    assert study.teacher is not None
    assert study.teacher.choices["width_multiplier"] == 2.0
    assert study.teacher.choices["stage1_depth"] == 3
    assert study.timing.threads == 2
    assert study.train.learning_rate == 1.0


def test_defaults_are_those_of_the_words() -> None:
    study = parse_study(SMALLEST, where="x")
    assert study.objectives == ("miou", "latency_ms")
    assert study.limits == ()
    assert study.teacher is None
    assert study.search.sampler == "tpe"
    assert study.seed == 0


@pytest.mark.parametrize("raw", [SMALLEST, changed("limits", ["size_bytes<=1234567", "miou>=0.333333333"])])
def test_a_stored_study_is_the_same_study(raw: dict[str, Any]) -> None:
    study = parse_study(raw, where="x")
    assert load_study(dump_study(study)) == study
    assert dump_study(load_study(dump_study(study))) == dump_study(study)


def test_a_whole_study_survives_the_database(tmp_path: Path) -> None:
    file = tmp_path / "streets.toml"
    file.write_text(WHOLE)
    study = read_study(file)
    back = load_study(dump_study(study))
    assert back == study
    assert back.teacher is not None
    assert type(back.teacher.choices["stage1_depth"]) is int
    assert type(back.teacher.choices["width_multiplier"]) is float
    assert type(back.teacher.choices["decoder"]) is str


def test_a_study_that_is_carried_on_means_what_it_meant_where_its_file_says_nothing() -> None:
    new = parse_study(SMALLEST, where="test")
    assert (new.output, new.train.recipe) == ("mask", 2)
    once = {"output": "scores", "train": SMALLEST["train"] | {"recipe": 1}, "search": {"startup_on_top": False}}
    old = parse_study(SMALLEST | once, where="test")
    assert as_begun(new, old) == old
    assert as_begun(new, new) == new
    said = parse_study(changed("output", "mask"), where="test")
    assert as_begun(said, old).output == "mask", "what a file says is a change, and refused as one"
    assert as_begun(new.model_copy(update={"trials": 9}), old).trials == 9


def test_what_newer_settings_would_change_is_named_with_what_it_was() -> None:
    """A setting whose default changes what a study is needs an entry, and an entry needs such a setting."""
    settings = parse_study(SMALLEST, where="test").model_dump()
    for key, value in ONCE.items():
        assert flat(settings)[key] != value


def test_a_limit_is_stored_exactly() -> None:
    assert parse_study(changed("limits", ["size_bytes<=1234567"]), where="x").bounds[0].bound == 1234567


def test_a_study_is_frozen() -> None:
    study = parse_study(SMALLEST, where="x")
    with pytest.raises(ValidationError, match="frozen"):
        study.trials = 5  # type: ignore[misc]


def test_relative_paths_are_made_absolute_from_the_study(tmp_path: Path) -> None:
    folder = tmp_path / "studies"
    folder.mkdir()
    file = folder / "a.toml"
    text = WHOLE.replace('"mobile"', '"../spaces/own.py"').replace('"data/streets"', '"../data"')
    file.write_text(text)
    study = read_study(file)
    assert study.space == str(tmp_path / "spaces/own.py")
    assert study.data.root == str(tmp_path / "data")
    file.write_text(WHOLE.replace('"data/streets"', '"/abs/data"').replace('"mobile"', '"/abs/own.py"'))
    assert (read_study(file).space, read_study(file).data.root) == ("/abs/own.py", "/abs/data")


def test_a_home_folder_is_known_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    file = tmp_path / "a.toml"
    file.write_text(WHOLE.replace('"mobile"', '"~/own.py"').replace('"data/streets"', '"~/data"'))
    study = read_study(file)
    assert study.data.root == "/home/someone/data"
    assert study.space == "/home/someone/own.py"


def test_weights_by_name_stay_a_name_and_by_path_become_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    file, own = tmp_path / "a.toml", "own.safetensors"
    for said, meant in (
        ("none", "none"),
        ("efficientnet-lite1", "efficientnet-lite1"),
        (own, str(tmp_path / own)),
        (f"weights/{own}", str(tmp_path / "weights" / own)),
        ("weights/resnet", str(tmp_path / "weights/resnet")),
        (f"~/{own}", f"/home/someone/{own}"),
    ):
        file.write_text(WHOLE.replace("epochs = 8", f'epochs = 8\npretrained = "{said}"'))
        assert read_study(file).train.pretrained == meant
        assert load_study(dump_study(read_study(file))) == read_study(file)


def test_layers_that_inherit_learn_at_a_rate_of_their_own_where_there_are_any() -> None:
    assert parse_study(SMALLEST, where="x").train.start_rate is None
    named = changed("train.pretrained", "efficientnet-lite0")
    assert parse_study(named, where="x").train.start_rate == START_RATE
    named["train"]["start_rate"] = 0.1
    assert parse_study(named, where="x").train.start_rate == 0.1


def test_a_study_that_was_stored_before_there_were_weights_to_start_from_has_none() -> None:
    stored = json.loads(dump_study(parse_study(SMALLEST, where="x")))
    for key in ("pretrained", "start_rate"):
        del stored["train"][key]
    assert load_study(json.dumps(stored)) == parse_study(SMALLEST, where="x")


# Every way a study file can be wrong: one line that names the file, the key and what was found.


TAKEN = {"epochs": 4, "fine_tune_epochs": 4, "fine_tune_on_top": False, "height": 64, "width": 64}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        # a wrong key
        ("trails", 3, ["unknown key 'trails'", "known here: name, seed, trials"]),
        ("data.hieght", 64, ["unknown key 'data.hieght'", "known here: kind, height"]),
        ("search.samplr", "tpe", ["unknown key 'search.samplr'", "known here: sampler"]),
        ("timing.thread", 1, ["unknown key 'timing.thread'", "known here: threads"]),
        # a wrong type
        ("trials", "3", ["trials:", "valid integer", "got '3'"]),
        ("trials", 3.0, ["trials:", "valid integer", "got 3.0"]),
        ("trials", True, ["trials:", "valid integer", "got True"]),
        ("seed", False, ["seed:", "valid integer", "got False"]),
        ("train.epochs", True, ["train.epochs:", "valid integer", "got True"]),
        ("train.learning_rate", True, ["train.learning_rate:", "valid number", "got True"]),
        ("train.learning_rate", "fast", ["train.learning_rate:", "valid number", "got 'fast'"]),
        ("name", 3, ["name:", "valid string", "got 3"]),
        ("data", 3, ["data:", "got 3"]),
        ("search", [1], ["search:", "got [1]"]),
        ("objectives", "miou", ["objectives:", "got 'miou'"]),
        ("objectives", [1], ["objectives.0:", "valid string", "got 1"]),
        ("limits", "miou>=1", ["limits:", "got 'miou>=1'"]),
        ("limits", [3], ["limits.0:", "valid string", "got 3"]),
        ("teacher", {"epochs": 2, "choices": 3}, ["teacher.choices:", "got 3"]),
        ("data.root", 3, ["data.root:", "valid string", "got 3"]),
        # a wrong range
        ("trials", 0, ["trials:", "greater than or equal to 1", "got 0"]),
        ("trials", -1, ["trials:", "greater than or equal to 1", "got -1"]),
        ("seed", -1, ["seed:", "got -1"]),
        ("seed", 2**31, ["seed:", "less than 2147483648", "got 2147483648"]),
        ("name", "", ["name:", "got ''"]),
        ("name", "../up", ["name:", "got '../up'"]),
        ("name", "a b", ["name:", "got 'a b'"]),
        ("name", "a\n", ["name:", r"got 'a\n'"]),
        ("name", "x" * 65, ["name:"]),
        ("space", "", ["space:", "got ''"]),
        ("data.height", 31, ["data.height:", "greater than or equal to 32", "got 31"]),
        ("data.width", 10**9, ["data.width:", "less than or equal to 8192"]),
        ("data.void", 256, ["data.void:", "less than or equal to 255", "got 256"]),
        ("train.batch_size", 1, ["train.batch_size:", "greater than or equal to 2", "got 1"]),
        ("train.learning_rate", 0.0, ["train.learning_rate:", "greater than 0", "got 0.0"]),
        ("train.learning_rate", 2.0, ["train.learning_rate:", "less than or equal to 1", "got 2.0"]),
        ("timing.interval", 0.0, ["timing.interval:", "greater than 0", "got 0.0"]),
        ("timing.max_seconds", 0.1, ["timing.max_seconds:", "greater than or equal to 0.5", "got 0.1"]),
        ("timing.cores", [0, -1], ["timing.cores", "greater than or equal to 0", "got -1"]),
        ("timing", {"threads": 3, "cores": [0]}, ["timing", "at least as many cores as threads (3), got 1"]),
        ("timing.warmup_runs", 0, ["timing.warmup_runs:", "got 0"]),
        ("search.give_up_after", 0, ["search.give_up_after:", "got 0"]),
        ("train.learning_rate", float("nan"), ["train.learning_rate:", "finite number", "got nan"]),
        ("train.learning_rate", float("inf"), ["train.learning_rate:", "got inf"]),
        ("train.weight_decay", float("nan"), ["train.weight_decay:", "finite number", "got nan"]),
        # a wrong choice
        ("search.sampler", "gp", ["search.sampler:", "'tpe', 'nsga2' or 'random'", "got 'gp'"]),
        ("data.kind", "coco", ["data.kind:", "got 'coco'"]),
        ("train.threads", 0, ["train.threads:", "greater than or equal to 1", "got 0"]),
        ("train.threads", 257, ["train.threads:", "less than or equal to 256", "got 257"]),
        ("train.threads", 1.5, ["train.threads:", "integer", "got 1.5"]),
        ("train.threads", "all", ["train.threads:", "integer", "got 'all'"]),
        ("train.device", "tpu", ["train.device:", "'auto', 'cpu' or 'cuda'", "got 'tpu'"]),
        # something missing
        ("trials", ..., ["'trials' is missing"]),
        ("data", ..., ["'data' is missing"]),
        ("train.epochs", ..., ["train: exactly one of epochs and steps", "got neither; steps = 800"]),
        ("teacher.epochs", 3, ["exactly one of choices", "got none of them"]),
        # parts that do not fit
        ("teacher", {"first": 0, "file": "a.onnx"}, ["exactly one of choices", "got first and file"]),
        ("teacher", {"reference": "unet-mobile"}, ["epochs must say how long the teacher of reference is trained"]),
        ("teacher", {"epochs": 2, "file": "a.onnx"}, ["epochs are of a teacher that is trained, and file names one"]),
        (
            "teacher",
            {"epochs": 2, "reference": "unet-mobil"},
            ["teacher.reference: no reference is named 'unet-mobil'"],
        ),
        ("teacher", {"trial": 3}, ["trial = 3 must say whose it is: add database = FILE"]),
        ("teacher", {"first": 0, "database": "a.db"}, ["say where a trial lies, and no trial is named"]),
        ("teacher", {"trial": 3, "database": "postgresql://me:secret@host/a"}, ["must hold no password"]),
        ("teacher", {"file": "a.pth"}, ["file must end in .onnx or .safetensors, got 'a.pth'"]),
        ("teacher", {"first": 7}, ["teacher.first must be one of the study's", "got 7"]),
        ("teacher.better_by", -0.1, ["teacher.better_by:", "greater than or equal to 0"]),
        ("teacher.unlabelled_share", 1.0, ["teacher.unlabelled_share:", "less than 1"]),
        ("data", {"kind": "synthetic", "height": 64, "width": 96, "unlabelled": "more"}, ["unlabelled is a folder"]),
        ("train", TAKEN, ["fine_tune_epochs must be smaller than epochs (4), got 4; leave out fine_tune_on_top"]),
        ("train.fine_tune_share", 0.3, ["for a study that counts steps", "got 0.3; write fine_tune_epochs"]),
        ("train.steps", 900, ["exactly one of epochs and steps", "got epochs = 4 and steps = 900"]),
        ("train", {"steps": 1}, ["steps must lie in [2, 10000000], got 1"]),
        ("train", {"steps": 10**7 + 1}, ["steps must lie in [2, 10000000], got 10000001"]),
        ("train", {"steps": 2.0}, ["train.steps:", "valid integer", "got 2.0"]),
        ("train", {"steps": 9, "fine_tune_epochs": 2}, ["counts steps; got 2; write fine_tune_share = 0.25"]),
        ("train", {"steps": 9, "fine_tune_share": 1.0}, ["train.fine_tune_share:", "less than 1", "got 1.0"]),
        ("train.crop", 1.0, ["share of the image", "got crop = 1 and height = 64, width = 96"]),
        ("train", {"steps": 9, "crop": 0.5, "height": 64}, ["got crop = 0.5 and height = 64;"]),
        ("train.width", ..., ["given together, got height = 64 alone; add width, or write crop"]),
        ("train", {"steps": 9, "width": 64}, ["given together, got width = 64 alone; add height"]),
        ("train", {"steps": 9, "crop": 0.0}, ["train.crop:", "greater than 0", "got 0.0"]),
        ("train", {"steps": 9, "crop": 1.1}, ["train.crop:", "less than or equal to 1", "got 1.1"]),
        (
            "train",
            {"steps": 9, "crop": 0.5},
            ["at least 32 pixels of data.height (64)", "leaves 16; write crop = 1 or"],
        ),
        (
            "train",
            {"steps": 9, "hold": "steps", "batch_size": 2},
            ["train:", "'steps' takes from the batch", "4 or more, got 2", "write hold = 'seconds'"],
        ),
        ("train.hold", "steps", ["cost the same at every input scale, got hold = 'steps' with 64 x 96; leave it out"]),
        ("train", {"steps": 9, "hold": "money"}, ["train.hold:", "'images', 'steps' or 'seconds'", "got 'money'"]),
        ("train.recipe", 3, ["train.recipe:", "1 or 2", "got 3"]),
        ("train.pretrained", 3, ["train.pretrained:", "valid string", "got 3"]),
        ("train.pretrained", "", ["train.pretrained:", "one of efficientnet-lite0, ", "got ''"]),
        ("train.pretrained", "resnet-18", ["efficientnet-lite2 or none, or the path of a file", "got 'resnet-18'"]),
        ("train.start_rate", 0.5, ["none do, got 0.5; leave it out, or write pretrained = 'efficientnet-lite0'"]),
        ("train", {"steps": 9, "pretrained": "a.pth", "start_rate": 0.0}, ["train.start_rate:", "greater than 0"]),
        ("train", {"steps": 9, "pretrained": "a.pth", "start_rate": 1.5}, ["less than or equal to 1", "got 1.5"]),
        ("objectives", [], ["one or more different names, got []"]),
        ("objectives", ["miou", "miou"], ["one or more different names", "got ['miou', 'miou']"]),
        ("objectives", ["latency"], ["An objective must be one of miou, latency_ms", "got 'latency'"]),
        ("limits", ["latency<=3"], ["An objective must be one of", "got 'latency'"]),
        ("limits", ["latency_ms<3"], ["must look like latency_ms<=12", "got 'latency_ms<3'"]),
        ("limits", ["latency_ms<=nan"], ["must look like latency_ms<=12", "got 'latency_ms<=nan'"]),
        ("limits", ["latency_ms<=1e999"], ["finite number", "got 'latency_ms<=1e999'"]),
    ],
    ids=lambda value: str(value)[:40] if not isinstance(value, list) else "",
)
def test_what_is_wrong_is_named_with_what_was_found(key: str, value: Any, expected: list[str]) -> None:
    message = refused(changed(key, value))
    for part in expected:
        assert part in message


def test_folders_need_a_root_and_the_message_does_not_spill_the_section() -> None:
    message = refused(changed("data.kind", "folders"))
    assert "root must name the folder" in message
    assert "{" not in message


@pytest.mark.parametrize("value", [[1], True, float("nan"), {"b": 1}])
def test_a_teachers_choice_is_a_plain_value_and_the_key_is_the_users_own(value: Any) -> None:
    message = refused(changed("teacher", {"epochs": 2, "choices": {"width": value}}))
    assert message.startswith("teacher.choices.width:")


def test_a_misspelt_key_is_shown_before_the_one_it_leaves_missing() -> None:
    raw = changed("trials", ...) | {"trails": 3}
    assert "unknown key 'trails'" in refused(raw)


def test_a_study_of_one_epoch_need_not_fit_the_fine_tuning() -> None:
    assert parse_study(changed("train.epochs", 1), where="x").train.epochs == 1


# ---- what [train] means where it says little


def test_a_study_that_says_little_has_whole_images_and_its_own_share_after_pruning() -> None:
    train = parse_study(changed("train", {"epochs": 6}), where="x").train
    assert (train.crop, train.height, train.fine_tune_epochs, train.fine_tune_share) == (1.0, None, 2, None)
    assert (train.hold, train.recipe) == ("images", 2)
    assert train.share_after_pruning == pytest.approx(2 / 6)
    train = parse_study(changed("train", {"steps": 800}), where="x").train
    assert (train.fine_tune_epochs, train.share_after_pruning) == (None, 0.25)
    train = parse_study(SMALLEST, where="x").train
    assert (train.crop, train.height, train.width) == (None, 64, 96)


@pytest.mark.parametrize(
    "train", [{"steps": 800}, {"epochs": 6, "height": 64, "width": 96}, {"epochs": 1, "crop": 1.0}]
)
def test_what_was_left_out_is_not_found_twice_in_a_stored_study(train: dict[str, Any]) -> None:
    study = parse_study(changed("train", train), where="x")
    assert load_study(dump_study(study)) == study
    assert as_begun(study, study) == study


def test_a_stored_study_of_before_means_what_it_meant() -> None:
    stored = json.loads(dump_study(parse_study(SMALLEST, where="x")))
    for key in ("steps", "crop", "fine_tune_share", "hold", "recipe"):
        del stored["train"][key]
    stored["train"]["recipe"] = 1
    begun = load_study(json.dumps(stored))
    assert (begun.train.recipe, begun.train.hold, begun.train.crop, begun.train.fine_tune_epochs) == (
        1,
        "images",
        None,
        2,
    )
    assert as_begun(parse_study(SMALLEST, where="x"), begun).train == begun.train


def test_references_are_looked_up_when_a_study_is_read_and_never_when_it_is_stored() -> None:
    study = parse_study(changed("search", {"references": ["unet-mobile", "icnet"]}), where="x")
    assert study.search.references == ("unet-mobile", "icnet")
    with pytest.raises(
        StudyError, match=r"^x: search\.references: no reference is named 'unet-mobil'; the nearest are"
    ):
        parse_study(changed("search", {"references": ["icnet", "unet-mobil"]}), where="x")
    with pytest.raises(StudyError, match=r"^x: search\.references"):
        parse_study(changed("search", {"references": "icnet"}), where="x")
    stored = json.loads(dump_study(study))
    stored["search"]["references"] = ["one that a newer segsearch knows"]
    assert load_study(json.dumps(stored)).search.references == ("one that a newer segsearch knows",)
    del stored["search"]["references"]  # a study of before
    begun = load_study(json.dumps(stored))
    assert begun.search.references == ()
    assert as_begun(parse_study(SMALLEST, where="x"), begun) == begun


def test_steps_of_a_trial_by_hand() -> None:
    train = parse_study(changed("train", {"epochs": 6, "batch_size": 8}), where="x").train
    assert (train.steps_for(192), train.steps_for(199), train.steps_for(5)) == (144, 144, 6)
    assert parse_study(changed("train", {"steps": 77}), where="x").train.steps_for(192) == 77


@pytest.mark.parametrize(
    ("side", "crop", "cure"),
    [(64, 1.0, None), (32, 1.0, None), (128, 0.5, None), (128, 0.49, "0.5"), (100, 0.5, "0.64")],
)
def test_a_crop_leaves_enough_of_an_image_unless_it_is_the_whole(side: int, crop: float, cure: str | None) -> None:
    raw = changed("train", {"steps": 800, "crop": crop}) | {"data": {"kind": "synthetic", "height": 256, "width": side}}
    if cure is None:
        assert parse_study(raw, where="x").train.crop == crop
    else:
        message = refused(raw)
        assert message.startswith("train.crop must leave ")
        assert f"at least 32 pixels of data.width ({side}) at input scale 0.5, got {crop:g}" in message
        assert f"write crop = {cure} or more" in message
        raw["train"]["crop"] = float(cure)
        assert parse_study(raw, where="x").train.crop == float(cure)


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(
        StudyError, match=r"a.toml: no such study file; `segsearch new DATA --out .*a.toml` writes one\."
    ):
        read_study(tmp_path / "a.toml")


def test_a_folder_is_not_a_study(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot be read as a study file"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "cannot be read as a study file"),
        (b"\x00\x01\x02", "not valid TOML"),
        (b"name = ", "not valid TOML"),
        (b"name: streets\ntrials: 3\n", "not valid TOML.*line 1"),
        (b"<html>", "not valid TOML"),
        (b"trials = 3\ntrials = 4\n", "not valid TOML.*line 2"),
        (b"", "'name' is missing"),
        (b"[train]\nlearning_rate = nan\n", "is missing|finite"),
    ],
    ids=["png", "zeros", "cut", "yaml", "html", "twice", "empty", "nan"],
)
def test_what_is_not_a_study_file_is_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(content)
    with pytest.raises(StudyError, match=expected) as caught:
        read_study(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "+nan"])
def test_a_nan_written_in_toml_is_refused(tmp_path: Path, number: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(WHOLE.replace("learning_rate = 1", f"learning_rate = {number}"))
    with pytest.raises(StudyError, match=r"train.learning_rate: .*, got [-+]?(nan|inf)\."):
        read_study(file)


def test_a_byte_order_mark_of_a_windows_editor_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbf" + WHOLE.encode())
    assert read_study(file).name == "streets"


def test_dates_are_not_numbers(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(WHOLE.replace("trials = 24", "trials = 2024-01-01"))
    with pytest.raises(StudyError, match=r"trials: .*valid integer"):
        read_study(file)


def test_a_stored_study_with_a_foreign_key_is_refused() -> None:
    text = dump_study(parse_study(SMALLEST, where="x")).replace('"seed"', '"sead"')
    with pytest.raises(ValidationError):
        load_study(text)
    assert isinstance(parse_study(SMALLEST, where="x"), Study)


def test_a_teacher_lies_where_the_studys_file_says_and_nobody_else_does(tmp_path: Path) -> None:
    settings = {**SMALLEST, "teacher": {"trial": 3, "database": "../old/study.db"}}
    found = study_from(settings, tmp_path / "studies").teacher
    assert found is not None
    assert found.database == str(tmp_path / "old" / "study.db")
    url = {**SMALLEST, "teacher": {"trial": 3, "database": "postgresql://me@host/a"}}
    found = study_from(url, tmp_path).teacher
    assert found is not None
    assert found.words == "trial 3 of postgresql://me@host/a"
    folder = {"kind": "folders", "root": "there", "unlabelled": "more"}
    with pytest.raises(StudyError, match=r"data\.unlabelled names images that only a teacher speaks of"):
        parse_study({**SMALLEST, "data": {**SMALLEST["data"], **folder}}, where="s")


def test_a_study_of_before_a_teacher_had_to_be_better_goes_on_so() -> None:
    now = parse_study({**SMALLEST, "teacher": {"epochs": 2, "choices": {"width": 3}}}, where="s")
    assert now.teacher is not None
    assert now.teacher.better_by == 0.03
    old = json.loads(dump_study(now))
    for later in ("better_by", "unlabelled_share", "first", "reference", "trial", "database", "study", "file"):
        del old["teacher"][later]
    del old["data"]["unlabelled"]
    stored = load_study(json.dumps(old))
    assert stored.teacher is not None
    assert stored.teacher.better_by == 0
    carried = as_begun(now, stored)
    assert carried.teacher == stored.teacher
    said = parse_study({**SMALLEST, "teacher": {"epochs": 2, "choices": {"width": 3}, "better_by": 0.1}}, where="s")
    assert as_begun(said, stored).teacher != stored.teacher, "what is said is refused where it is carried on"
