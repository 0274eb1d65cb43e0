"""The model of a trial: the very file, the very weights, and an image's mask as it was scored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import segsearch
from segsearch.errors import DatabaseError, DataError
from segsearch.masks import MaskCache, open_gallery, predict
from segsearch.networks import answering
from segsearch.space.keys import to_json
from segsearch.store import open_store
from segsearch.store.grown import keep_grown
from segsearch.trial.origin import made_of
from segsearch.trial.types import recipe_of
from tests.tiny import CLASSES, HEIGHT, WIDTH

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tiny: Path) -> Iterator[segsearch.Run]:
    with segsearch.open("runs/mine") as opened:
        yield opened


def trial_of(run: segsearch.Run, ships: str) -> segsearch.Trial:
    return next(trial for trial in run.trials if trial.ships == ships and trial.state == "trained")


def pictures(tiny: Path) -> list[Path]:
    return sorted((tiny / "my_data" / "images" / "val").iterdir())


def test_the_run_holds_a_float_file_and_a_pruned_int8_one(run: segsearch.Run) -> None:
    assert [trial.ships for trial in run.trials] == ["fp32", "int8"]
    assert trial_of(run, "int8").candidate.before_export
    assert run.classes == CLASSES
    for trial in run.trials:
        low, high = trial.intervals["latency_ms"]
        assert low <= trial.values["latency_ms"] <= high


@pytest.mark.parametrize("ships", ["fp32", "int8"])
def test_a_picture_is_answered_as_it_was_scored(ships: str, run: segsearch.Run, tiny: Path) -> None:
    """From a file, a picture and an array alike, and by the very masks that the trial's mIoU was counted on."""
    trial = trial_of(run, ships)
    gallery = open_gallery(run.source.row, cache=tiny / "cache")
    assert trial.artifact is not None
    seen = set[int]()
    for index, path in enumerate(pictures(tiny)):
        expected = predict(gallery, trial.artifact.name, index, MaskCache())
        found = trial.predict(path)
        assert (found.dtype, found.shape) == (np.uint8, (HEIGHT, WIDTH))
        assert np.array_equal(found, expected)
        with Image.open(path) as picture:
            assert np.array_equal(trial.predict(picture), expected)
            assert np.array_equal(trial.predict(np.asarray(picture.convert("RGB"))), expected)
        assert np.array_equal(trial.predict(str(path)), expected)
        seen |= set(np.unique(found).tolist())
    assert len(seen) > 1, "one class everywhere would prove nothing"


def test_a_picture_is_turned_as_its_file_is(run: segsearch.Run, tiny: Path) -> None:
    """A camera held upright: what EXIF says counts for the file and for the opened picture alike."""
    trial, turned = trial_of(run, "fp32"), tiny / "turned.png"
    with Image.open(pictures(tiny)[0]) as picture:
        exif = picture.getexif()
        exif[0x0112] = 6
        picture.save(turned, exif=exif)
    found = trial.predict(turned)
    assert found.shape == (WIDTH, HEIGHT)
    with Image.open(turned) as picture:
        assert np.array_equal(trial.predict(picture), found)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((4, 4), np.uint8), "uint8 RGB"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((3, 4, 4), np.uint8), r"\(3, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), "uint8 RGB"),
        (7, "got int"),
        ("none.png", "none.png"),
    ],
)
def test_what_is_no_image_is_refused(picture: object, words: str, run: segsearch.Run) -> None:
    with pytest.raises(DataError, match=words):
        trial_of(run, "fp32").predict(picture)  # type: ignore[arg-type]


def test_a_session_is_of_the_very_bytes(run: segsearch.Run) -> None:
    trial = trial_of(run, "int8")
    session = trial.session(threads=1)
    assert session.get_inputs()[0].shape == [1, 3, 64, 96]
    assert trial.artifact is not None
    trial.artifact.write_bytes(trial.artifact.read_bytes() + b"\0")
    for ask in (trial.session, lambda: trial.predict("street.jpg")):
        with pytest.raises(DatabaseError, match="it was changed"):
            ask()
    trial.artifact.unlink()
    with pytest.raises(DatabaseError, match="is gone"):
        trial.session()


def test_the_module_says_what_the_float_file_says(run: segsearch.Run, tiny: Path) -> None:
    trial = trial_of(run, "fp32")
    module = trial.module()
    assert not module.training
    pixels = np.asarray(Image.open(pictures(tiny)[0]).convert("RGB").resize((96, 64)))
    image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32)
    with torch.no_grad():
        mask = answering(module, "mask")(torch.from_numpy(image)).numpy()
    session = trial.session()
    (answer,) = session.run(None, {session.get_inputs()[0].name: image})
    assert (mask != answer).mean() < 0.001
    assert len(np.unique(mask)) > 1


def test_the_module_of_a_pruned_trial_has_the_pruned_shape(run: segsearch.Run) -> None:
    module = trial_of(run, "int8").module()
    widths = {layer.out_channels for layer in module.modules() if isinstance(layer, torch.nn.Conv2d)}
    assert 16 in widths
    assert 32 not in widths
    with torch.no_grad():
        assert module(torch.zeros(1, 3, 64, 96)).shape == (1, len(CLASSES), 64, 96)


def test_each_file_is_made_of_weights_of_its_own(run: segsearch.Run) -> None:
    """No two trials here share a training, and a twin of another design is never taken."""
    found = {}
    for trial in run.trials:
        evidence = run.source.store.evidence(run.name, trial.number)
        assert evidence is not None
        assert trial.artifact is not None
        found[trial.number] = list(
            made_of(run.source.store, run.source.row, trial.candidate, trial.artifact.name, evidence)
        )
        other = next(one for one in run.trials if one.number != trial.number)
        assert not list(made_of(run.source.store, run.source.row, other.candidate, trial.artifact.name, evidence))
    assert [len(pairs) for pairs in found.values()] == [1, 1]
    assert len({weights for pairs in found.values() for weights, _ in pairs}) == 2


def test_a_file_that_was_trained_on_in_int8_is_made_of_what_it_began_as(tiny: Path) -> None:
    after = f"{'f' * 64}.onnx"
    with segsearch.open("runs/mine") as run:
        trial = trial_of(run, "int8")
        evidence = run.source.store.evidence(run.name, trial.number)
        assert evidence is not None
        assert trial.artifact is not None
        before = list(made_of(run.source.store, run.source.row, trial.candidate, trial.artifact.name, evidence))
        assert not list(made_of(run.source.store, run.source.row, trial.candidate, after, evidence))
        began = trial.artifact.name
    columns = "study, trial, seconds, finished"
    with open_store("runs/mine/study.db") as store, store.writing() as connection:
        connection.exec_driver_sql(
            f"insert into segsearch_stages (name, key, outcome, {columns}) "
            f"select 'quantize-train', '0', ?, {columns} from segsearch_stages where name = 'quantize'",
            (json.dumps({"model": after, "calibrated": began}),),
        )
    with segsearch.open("runs/mine") as run:
        assert list(made_of(run.source.store, run.source.row, trial.candidate, after, evidence)) == before


def test_weights_that_are_gone_are_said_to_be(run: segsearch.Run, tiny: Path) -> None:
    for file in (tiny / "runs" / "mine" / "artifacts").glob("*.safetensors"):
        file.unlink()
    trial = trial_of(run, "fp32")
    with pytest.raises(DatabaseError, match=r"the weights of trial 0.*are gone"):
        trial.module()
    assert trial.predict("street.jpg").shape == (HEIGHT, WIDTH)


def test_weights_that_were_changed_are_refused(run: segsearch.Run, tiny: Path) -> None:
    for file in (tiny / "runs" / "mine" / "artifacts").glob("*.safetensors"):
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    with pytest.raises(DatabaseError, match="it was changed"):
        trial_of(run, "fp32").module()


def test_stages_that_are_not_told_are_no_guess(tiny: Path) -> None:
    """A database without its stages, or one whose keys another version made: no weights are taken at a venture."""
    with open_store("runs/mine/study.db") as store, store.writing() as connection:
        connection.exec_driver_sql("update segsearch_stages set key = 'x' || key where name = 'export'")
    with segsearch.open("runs/mine") as run, pytest.raises(DatabaseError, match="is not told by any stage"):
        trial_of(run, "int8").module()


def test_a_network_that_another_version_builds_is_refused(run: segsearch.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that no longer fit, and weights that fit a network which answers something else."""
    from segsearch.networks import blocks, build
    from segsearch.networks.blocks import conv

    trial = trial_of(run, "fp32")

    def wider(place: blocks.Place, stage: object) -> torch.nn.Module:
        return torch.nn.Sequential(conv(place, stage), torch.nn.BatchNorm2d(place.outputs))  # type: ignore[arg-type]

    def colder(place: blocks.Place, stage: object) -> torch.nn.Module:
        made = conv(place, stage)  # type: ignore[arg-type]
        made[2] = torch.nn.Hardtanh(0, 0.1)  # type: ignore[index]
        return made

    for other in (wider, colder):
        monkeypatch.setitem(blocks.BLOCKS, "conv", other)  # type: ignore[arg-type]
        with pytest.raises(DatabaseError, match=r"were made with segsearch .*, torch .*makes another network"):
            trial.module()
    monkeypatch.undo()
    assert build is not None


def test_a_retrained_trial_tells_what_became_of_it(tiny: Path) -> None:
    shutil.copytree("runs/mine", "runs/grown")
    with open_store("runs/grown/study.db") as store:
        row = store.study()
        evidence = store.evidence(row.name, 0)
        assert evidence is not None
        recipe = recipe_of(row.study, 8, epochs=3, train_on="train")
        keep_grown(store, row.name, 0, recipe, 5, evidence, test=None, looks=[(1, 0.5, 0.25)], train_seconds=2.0)
    with segsearch.open("runs/grown") as run:
        (grown,) = run.trials[0].grown
        assert (grown.seed, to_json(grown.recipe)) == (5, to_json(recipe))
        assert grown.values["miou"] == run.trials[0].values["miou"]
        assert run.trials[1].grown == ()
