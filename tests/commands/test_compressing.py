"""`segsearch compress`: a study of somebody's network that needs none of their files; its first trial is untouched."""

from __future__ import annotations

import json
import shutil
import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from segsearch.commands.compressing import _pixels, _question
from segsearch.errors import SpaceError, StudyError
from segsearch.own.header import Header
from segsearch.own.made import Maker
from segsearch.own.reading import pack
from segsearch.own.start import keep_network
from segsearch.runtimes import RUNTIMES
from segsearch.settings.network import PRESETS, WAYS, NetworkSettings
from segsearch.space.candidate import Named
from segsearch.space.load import load_space
from segsearch.space.own import OwnNetwork, Pixels
from segsearch.store import open_store
from segsearch.study import Study, parse_study, read_study
from segsearch.survey.brought import study_text, untouched
from segsearch.trial.bring_orders import Tried
from segsearch.trial.score import to_input
from segsearch.trial.types import facts_of
from segsearch.workshop import Artifacts
from tests.conftest import Command
from tests.scenes import tiny_split

DATA = """
name = "data"
trials = 3
space = "mobile"
limits = ["latency_ms<=500"]

[data]
kind = "synthetic"
height = 64
width = 96
train_count = 8
validation_count = 4

[train]
epochs = 2
batch_size = 4
threads = 1

[timing]
max_seconds = 0.5
"""

# A package of two files that loads its weights; wide enough to be pruned.
LAYERS = """
from torch import nn

def block(inp, out):
    return nn.Sequential(nn.Conv2d(inp, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True))
"""
MODEL = """
from pathlib import Path
import torch
from torch import nn
from torch.nn import functional as F
from layers import block

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.deep, self.head = block(3, 16), block(16, 32), nn.Conv2d(48, 8, 1)

    def forward(self, x):
        a = self.down(x)
        b = F.interpolate(self.deep(a), size=a.shape[-2:])
        return {"out": self.head(torch.cat([a, b], 1))}

def network():
    net = Net()
    net.load_state_dict(torch.load(Path(__file__).with_name("weights.pt"), weights_only=True))
    return net
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with somebody's network and a study of the data, and the current one."""
    monkeypatch.chdir(tmp_path)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "layers.py").write_text(LAYERS)
    (theirs / "my_model.py").write_text(MODEL)
    namespace: dict[str, object] = {}
    exec(LAYERS + MODEL.replace("from layers import block", ""), namespace)
    torch.manual_seed(2)
    torch.save(namespace["Net"]().state_dict(), theirs / "weights.pt")  # type: ignore[operator]
    (tmp_path / "data.toml").write_text(DATA)
    return theirs / "my_model.py"


@pytest.mark.slow
def test_from_a_module_to_a_front_without_its_files(command: Command, mine: Path, tmp_path: Path) -> None:
    asked = command("compress", mine, "--data", "data.toml")
    assert asked.code == 2
    for name in PRESETS:
        assert f"--pixels {name}" in asked.err
    assert not list(tmp_path.glob("my_model*"))

    said = command("compress", mine, "--data", "data.toml", "--pixels", "0..1")
    assert said.code == 0, said.err
    assert "it returns a dict, of which 'out' is the only map" in said.out
    assert "its scores are 32x48 for 64x96" in said.out
    assert command("compress", mine, "--data", "data.toml", "--pixels", "0..1").code == 2, "it is there already"
    shutil.rmtree(mine.parent)

    written = tmp_path / "my_model-compressed.toml"
    text = written.read_text()
    for was, now in (("trials = 12", "trials = 2"), ("siblings = 8", "siblings = 0"), ("screen = 8", "screen = 0")):
        assert was in text
        text = text.replace(was, now)
    # Two steps of training; the second design is pruned and rounded.
    text = text.replace("steps = 800", "steps = 8").replace("startup_trials = 3", "startup_trials = 1")
    text = text.replace("tails = 1", "tails = 0")
    first = untouched(read_study(written).network.ways, "mask")  # type: ignore[union-attr]
    second = {**first, "pruned": "0.5", "criterion": "taylor", "multiple": "8", "bits": "8"}
    text += "\n[[search.first]]\n" + "".join(f'{key} = "{value}"\n' for key, value in second.items())
    written.write_text(text)
    ran = command("run", written)
    assert ran.code == 0, ran.err
    database = tmp_path / "runs" / "my_model-compressed" / "study.db"
    written.unlink()
    (tmp_path / "my_model-compressed.network.safetensors").unlink()

    with open_store(database, read_only=True) as store:
        row = store.study(None)
        rows = {one.number: one for one in store.trials(row.name)}
        stages = [stage.name for stage in store.stages(row.name)]
    assert {one.state for one in rows.values()} == {"trained"}
    assert dict(rows[0].params) == first
    assert stages.count("fine-tune") >= 1
    assert rows[1].candidate.before_export
    assert rows[1].values["params"] < 0.5 * rows[0].values["params"]
    _demand_untouched(row.artifacts, rows[0].candidate.architecture, rows[0].artifact, tmp_path)

    front = json.loads(command("front", database, "--json").out)
    assert len(front) == len(rows)
    assert command("resume", database, "--trials", 2).code == 0
    assert "Picked trial 0" in command("pick", database, "--trial", 0).out
    assert command("export", database, "--out", tmp_path / "model").code == 0
    refused = command("retrain", database, "--trial", 0)
    assert "must learn something, and this one is the network as it was brought" in refused.out + refused.err


def test_ways_that_would_take_nothing_of_a_narrow_network_are_not_offered(command: Command, mine: Path) -> None:
    """Each would be a trial that trains the very network again."""
    for name in ("layers.py", "my_model.py"):
        file = mine.with_name(name)
        file.write_text(file.read_text().replace("16", "4").replace("32", "8").replace("48", "12"))
    mine.write_text(mine.read_text().replace("net.load_state_dict", "(lambda weights: None)"))
    said = command("compress", mine, "--data", "data.toml", "--pixels", "0..1")
    assert said.code == 0, said.err
    assert "without pruning: each layer that can lose channels has too few" in said.out
    assert "without factorization: no convolution is large enough to save time by it" in said.out
    network = read_study(Path("my_model-compressed.toml")).network
    assert network is not None
    assert network.ways == ("int8", "mixed", "trained")


@pytest.mark.slow
def test_from_an_onnx_file_and_a_folder_to_a_front_of_all_there_is(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for pixels first, what was written of the folder serves again; nothing is trained."""
    monkeypatch.chdir(tmp_path)
    split = tiny_split(20, seed=3)
    for index, (image, mask) in enumerate(zip(split.images, split.masks, strict=True)):
        for name, pixels in (("images", image), ("masks", mask)):
            (tmp_path / "my_data" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "my_data" / name / f"{index}.png")
    namespace: dict[str, Any] = {}
    exec(LAYERS + MODEL.replace("from layers import block", "").replace("48, 8", "48, 3"), namespace)
    network = namespace["Net"]().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.zeros(1, 3, 64, 96),), str(tmp_path / "net.onnx"), dynamo=False)
    asked = command("compress", "net.onnx", "--data", "my_data")
    assert (asked.code, "--pixels imagenet" in asked.err) == (2, True)
    assert "Wrote net-compressed-data.toml" in asked.out
    written = tmp_path / "net-compressed-data.toml"
    written.write_text(written.read_text().replace("[timing]\n", "[timing]\nmax_seconds = 0.5\nwarmup_runs = 1\n"))
    said = command("compress", "net.onnx", "--data", "my_data", "--pixels", "0..1")
    assert said.code == 0, said.err
    assert "max_seconds = 0.5" in (tmp_path / "net-compressed.toml").read_text(), "as it was changed"
    assert "Read my_data as net-compressed-data.toml says, which is there" in said.out
    assert "without pruning, factorization and learning" in said.out
    checked = command("check", "net-compressed.toml")
    assert "Train    nothing: what becomes of the network is quantized alone" in checked.out
    ran = command("run", "net-compressed.toml")
    assert ran.code == 0, ran.err
    assert "Done: 1 of 1 trials are trained" in ran.out
    with open_store(tmp_path / "runs" / "net-compressed" / "study.db", read_only=True) as store:
        row = store.study(None)
        rows = store.trials(row.name)
        assert {stage.name for stage in store.stages(row.name)}.isdisjoint({"fine-tune", "qat"})
    shipped = {(one.candidate.architecture.answer_scale, one.candidate.after_export) for one in rows}
    assert len(shipped) == len(rows) == 9, "three precisions, classes chosen at three sizes"
    assert {one.state for one in rows} == {"trained"}
    file = RUNTIMES["onnxruntime"].open(row.artifacts.path(rows[0].artifact or ""), threads=1)
    image = to_input(np.random.default_rng(0).integers(0, 255, (64, 96, 3)).astype(np.uint8))
    with torch.no_grad():
        inner = network(torch.from_numpy(image) / 255)["out"]
    expected = torch.nn.functional.interpolate(inner, size=(64, 96), mode="bilinear").argmax(1).numpy()
    assert np.mean(file.run(image) == expected) > 0.999

    (tmp_path / "other").mkdir()
    refused = command("compress", "net.onnx", "--data", "other", "--pixels", "0..1", "--out", "net-compressed.toml")
    assert "is not overwritten" in refused.err
    (tmp_path / "net-compressed.toml").unlink()
    (tmp_path / "net-compressed.network.onnx").unlink()
    refused = command("compress", "net.onnx", "--data", "other", "--pixels", "0..1")
    assert "net-compressed-data.toml: must be about other, got a study of" in refused.err


def _demand_untouched(artifacts: Artifacts, own: object, model: str | None, folder: Path) -> None:
    """The first trial's file says of an image what the module says with the weights that it was brought with."""
    assert isinstance(own, OwnNetwork)
    assert model is not None
    network = Maker(artifacts.path(own.artifact), folder / "again").network(own)
    image = to_input(np.random.default_rng(0).integers(0, 255, (64, 96, 3)).astype(np.uint8))
    with torch.no_grad():
        inner = network.inner(torch.from_numpy(image) / 255)["out"]
        expected = torch.nn.functional.interpolate(inner, size=(64, 96), mode="bilinear").argmax(1)
    found = RUNTIMES["onnxruntime"].open(artifacts.path(model), threads=1).run(image)
    assert np.mean(found == expected.numpy()) > 0.999


# ---- what is said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pixels", "0..1", "--mean", "0.5"], "--pixels says all of --mean, --std and --range"),
        (["--mean", "0.5,0.5,0.5"], "--mean and --std need --range: 1"),
        (["--mean", "0.5,0.5", "--range", "1"], "--mean must be three numbers"),
        (["--std", "0,1,1", "--range", "1"], "std positive"),
        (["--pixels", "imagenet", "--bgr"], "may mean two things"),
        (["--bgr"], "--bgr says the order of the channels alone"),
        (["--size", "big"], "--size must be height and width such as 384x480"),
        (["--out", "mine.txt"], "must name a study file that ends in .toml"),
    ],
)
def test_a_slip_is_told_before_anything_is_read(command: Command, mine: Path, arguments: list[str], words: str) -> None:
    said = command("compress", mine, "--data", "data.toml", *arguments)
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert len(said.err.splitlines()) == (3 if "imagenet" in arguments else 1)


@pytest.mark.parametrize(("name", "words"), [("a.pt", "or an ONNX file"), ("no.py", "no such file")])
def test_what_is_no_network_is_refused(command: Command, mine: Path, name: str, words: str) -> None:
    assert words in command("compress", name, "--data", "data.toml").err


def test_pixels_as_they_are_said() -> None:
    assert _pixels(None, None, None, None, bgr=False) is None
    assert _pixels("imagenet", None, None, None, bgr=False) == PRESETS["imagenet"]
    assert _pixels(None, "1,2,3", "4", 255.0, bgr=True) == Pixels((1.0, 2.0, 3.0), (4.0, 4.0, 4.0), 255.0, "bgr")
    assert _pixels("0..1", None, None, None, bgr=True) == Pixels(top=1.0, channels="bgr")
    with pytest.raises(StudyError, match=r"--mean 0\.406,0\.456,0\.485 --std 0\.225,0\.224,0\.229"):
        _pixels("imagenet", None, None, None, bgr=True)
    shift, factor = PRESETS["imagenet"].of_stored
    assert (255 - shift[0]) * factor[0] == pytest.approx((1 - 0.485) / 0.229)


def test_the_likeliest_way_of_giving_pixels_stands_first() -> None:
    mious = tuple((name, 0.7 if name == "caffe" else 0.1) for name in PRESETS)
    lines = _question("net.py", Tried(12, mious)).splitlines()
    assert lines[1].strip().startswith("--pixels caffe     0.700")
    assert all(line.startswith("  ") for line in lines[1:])


# ---- what is written and kept


@pytest.fixture
def data(tmp_path: Path) -> Study:
    (tmp_path / "data.toml").write_text(DATA)
    return read_study(tmp_path / "data.toml")


@pytest.mark.parametrize("ways", [WAYS, ("int8", "mixed"), ()])
@pytest.mark.parametrize("output", ["mask", "scores"])
def test_the_study_begins_with_the_network_untouched(data: Study, ways: tuple[str, ...], output: str) -> None:
    settings = data.model_dump(mode="json", exclude_unset=True) | {"output": output}
    settings["data"] |= {"kind": "folders", "root": "/d", "map": {"1": 0, "2-9": "void"}, "levels": [0.5, 4095]}
    other = parse_study(settings, where="test")
    text = study_text(
        other,
        name="n",
        shown="a.py: network()",
        file='a "b".safetensors',
        pixels=PRESETS["imagenet"],
        ways=ways,  # type: ignore[arg-type]
        notes=["a note " * 40],
        images=20,
        source="data.toml",
    )
    assert max(map(len, text.splitlines())) <= 140
    study = parse_study(tomllib.loads(text), where="test")
    assert (study.data, study.limits, study.timing) == (other.data, other.limits, other.timing)
    assert study.network is not None
    assert study.network.pixels == PRESETS["imagenet"]
    facts = facts_of(study, classes=3, start=f"{'0' * 64}.safetensors")
    candidate = load_space(study.space).draw(Named(study.search.first[0]), facts)
    assert candidate.architecture == facts.network
    assert (candidate.before_export, candidate.after_export) == ((), ())
    # What is only rounded is among the siblings of one trial, and nothing learns.
    assert (study.trials, "[train]" in text, "trained anew" in text) == (
        (12, True, True) if ways == WAYS else (1, False, False)
    )


def test_the_space_needs_a_network() -> None:
    with pytest.raises(SpaceError, match=r"needs a study with a \[network\] table; `segsearch compress MODEL.py`"):
        load_space("compress_only").draw(Named({}))


def test_a_network_is_kept_once_and_must_know_the_datas_classes(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    pack(torch.nn.Conv2d(3, 5, 1), Header("a.py: network()", "a", "network", 5, (64, 64)), file)
    settings = NetworkSettings(file=str(file), top=1.0, channels="rgb")
    artifacts = Artifacts(tmp_path / "artifacts")
    with pytest.raises(StudyError, match="tells 5 classes apart, and the data set has 8"):
        keep_network(settings, artifacts, begun=None, classes=8)
    name = keep_network(settings, artifacts, begun=None, classes=5)
    assert keep_network(settings, artifacts, begun=name, classes=5) == name
    file.unlink()
    assert keep_network(settings, artifacts, begun=name, classes=5) == name
    with pytest.raises(StudyError, match="no such file; `segsearch compress` writes it"):
        keep_network(settings, artifacts, begun=None, classes=5)
