"""Four networks as their users write them: made again, pruned, factorised, exported; the function stays what it was."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from segsearch.compression import MODEL_STEPS
from segsearch.compression.graph_module import float_module
from segsearch.networks.own import OwnModule
from segsearch.own.prunable import RANKS, fault_after, left_whole, takes_nothing
from segsearch.runtimes import RUNTIMES
from segsearch.space.steps import Factorize, Prune
from segsearch.trial.export import check_parity, count_macs, count_params, export
from segsearch.trial.state import load_weights, save_weights
from segsearch.trial.tried import _idle
from segsearch.workshop import Artifacts
from tests.own import brought

cases = pytest.mark.parametrize("name", brought.NETWORKS)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OwnModule]:
    folder = tmp_path_factory.mktemp("own")
    users = brought.users(folder / "users")
    found = {}
    for name, file in brought.NETWORKS.items():
        target = folder / f"{name}.safetensors"
        brought.packed(users / file, target)
        network = found[name] = brought.network(target, folder / "code")
        network.kept = tuple(f"inner.{one.layer}" for one in left_whole(network))
    return found


def image(count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, *brought.SIZE, generator=torch.Generator().manual_seed(0)) * 255


def pruned(network: OwnModule, ratio: float) -> OwnModule:
    cut = copy.deepcopy(network)
    MODEL_STEPS[Prune](cut, Prune(ratio), protected=cut.protected)
    return cut


def kill_every_other_channel(network: nn.Module) -> None:
    """Half of the channels of every layer say nothing, and weigh nothing."""
    for part in network.modules():
        if isinstance(part, (nn.Conv2d, nn.BatchNorm2d)) and part.weight.shape[0] % 8 == 0:
            part.weight.data[::2] = 0
            if part.bias is not None:
                part.bias.data[::2] = 0


@cases
def test_without_channels_that_say_nothing_it_says_the_same(built: dict[str, OwnModule], name: str) -> None:
    """Whoever takes the wrong channels of a concatenation, an exchange or a shared layer changes the answer."""
    network = copy.deepcopy(built[name])
    kill_every_other_channel(network)
    cut = pruned(network, 0.5)
    assert count_macs(cut, brought.SIZE) < 0.5 * count_macs(network, brought.SIZE)
    with torch.no_grad():
        expected, found = network(image()), cut(image())
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


@cases
@pytest.mark.parametrize("step", [Prune(0.25, "taylor"), Factorize(0.25)], ids=["pruned", "factorized"])
def test_what_is_compressed_learns_is_kept_and_says_in_its_file_what_torch_says(
    built: dict[str, OwnModule], name: str, step: Prune | Factorize, tmp_path: Path
) -> None:
    cut = copy.deepcopy(built[name])
    MODEL_STEPS[type(step)](cut, step, protected=cut.protected)
    assert sum(one.numel() for one in cut.parameters()) < sum(one.numel() for one in built[name].parameters())
    scores, extra = cut.train().scores_and_auxiliary(image(2))
    assert extra == []
    scores.mean().backward()
    cut.eval()
    artifacts = Artifacts(tmp_path / "artifacts")
    again = copy.deepcopy(built[name])
    MODEL_STEPS[type(step)](again, step, protected=again.protected)
    load_weights(again, artifacts.path(save_weights(cut, artifacts)))
    target = tmp_path / "model.onnx"
    export(again, brought.SIZE, target, output="mask")
    images = [np.asarray(image(), dtype=np.float32)]
    assert check_parity(cut, target, RUNTIMES["onnxruntime"], *images, output="mask") < 1e-3


def test_layers_that_cannot_be_pruned_are_named_with_why(built: dict[str, OwnModule]) -> None:
    assert set(built["reused"].kept) == {"inner.left", "inner.right"}
    assert built["hrnet"].kept == ()


def test_classes_are_never_pruned(tmp_path: Path) -> None:
    """With so many classes that a share of them would go; two heads are added to one answer."""
    source = tmp_path / "added.py"
    source.write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.a = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU())\n"
        "        self.b = nn.Conv2d(32, 32, 3, padding=1)\n"
        "        self.one, self.two = nn.Conv2d(32, 24, 1), nn.Conv2d(32, 24, 1)\n"
        "    def forward(self, x):\n"
        "        x = self.a(x)\n"
        "        return self.one(x) + self.two(self.b(x))\n"
        "def network():\n"
        "    return Net()\n"
    )
    found = brought.read(source, classes=24)
    brought.pack(found.module, found.header, tmp_path / "a.safetensors")
    network = brought.network(tmp_path / "a.safetensors", tmp_path / "code")
    assert {one.layer: one.why for one in left_whole(network)} == dict.fromkeys(
        ("one", "two"), "its channels are those of the answer"
    )


NARROW = """
from torch import nn

def network():
    return nn.Sequential(nn.Conv2d(3, WIDE, 3, padding=1), nn.ReLU(), nn.Conv2d(WIDE, 8, 3, padding=1))
"""


@pytest.mark.parametrize(("wide", "pruned", "factorised"), [(8, False, False), (16, True, False), (64, True, True)])
def test_a_network_is_not_cut_by_steps_that_would_take_nothing_of_it(
    tmp_path: Path, wide: int, pruned: bool, factorised: bool
) -> None:
    source = tmp_path / "narrow.py"
    source.write_text(NARROW.replace("WIDE", str(wide)))
    brought.packed(source, tmp_path / "a.safetensors")
    network = brought.network(tmp_path / "a.safetensors", tmp_path / "code")
    if pruned:
        assert left_whole(network) == ()
    else:
        with pytest.raises(ValueError, match="has too few channels to lose 50% in multiples of 8"):
            left_whole(network)
    assert takes_nothing(network, Factorize(min(RANKS)), ()) is not factorised


AIDED = """
import torch
from torch import nn
from torch.nn import functional as F

class Fold(nn.Module):
    fold = 3  # of a cross-validation

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)

    def merge(self, one, other):
        return torch.cat([one, other], 1)

    def forward(self, x):
        return F.relu(self.conv(x))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.fold, self.last = nn.Conv2d(3, 8, 3, padding=1), Fold(), nn.Conv2d(8, 8, 1)
        self.aid = nn.Sequential(nn.Conv2d(8, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 8, 1))

    def forward(self, x):
        x = self.fold(F.relu(self.first(x)))
        y = self.last(x)
        return {"out": ANSWER, "aux": self.aid(x)}

def network():
    return Net()
"""
LIGHTER, AID = 27 * 8 + 9 * 64 + 64, 9 * 8 * 32 + 32 * 8


@pytest.mark.parametrize(
    ("answer", "ships"), [("y", LIGHTER), ("y * (self.aid(x).argmax(1, True) + 1)", LIGHTER + AID)]
)
def test_heads_that_run_and_do_not_ship_are_not_counted(answer: str, ships: int, tmp_path: Path) -> None:
    """A head that the answer needs by a choice alone has no slope, and ships; the names of their parts are theirs."""
    source = tmp_path / "aided.py"
    source.write_text(AIDED.replace("ANSWER", answer))
    found = brought.read(source)
    brought.pack(found.module, found.header, tmp_path / "a.safetensors")
    network = brought.network(tmp_path / "a.safetensors", tmp_path / "code")
    before = copy.deepcopy(network.state_dict())
    idle = tuple(f"inner.{name}" for name in _idle(network))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.idle = frozenset(idle)
    assert (len(idle), {name.split(".")[1] for name in idle}) == ((4, {"aid"}) if ships == LIGHTER else (0, set()))
    pixels = brought.SIZE[0] * brought.SIZE[1]
    again = AID if ships > LIGHTER else 0  # it is run for the other answer, too
    assert count_macs(network, brought.SIZE) == (ships + again) * pixels
    assert count_params(network) == ships + 8 + 8 + 8 + (40 if ships > LIGHTER else 0)
    assert fault_after(network, Factorize(0.5), ()) is None


def test_a_choice_within_a_network_is_not_the_choice_of_the_classes(tmp_path: Path) -> None:
    source = tmp_path / "gated.py"
    source.write_text(AIDED.replace("ANSWER", "y + 0.5 * y.argmax(1, True) * y"))
    found = brought.read(source)
    brought.pack(found.module, found.header, tmp_path / "a.safetensors")
    network = brought.network(tmp_path / "a.safetensors", tmp_path / "code")
    images = np.asarray(image(), dtype=np.float32)
    for output in ("scores", "mask"):
        target = tmp_path / f"{output}.onnx"
        export(network, brought.SIZE, target, output=output)  # type: ignore[arg-type]
        assert check_parity(network, target, RUNTIMES["onnxruntime"], images, output=output) < 1e-4  # type: ignore[arg-type]
        with torch.no_grad():
            scores = float_module(target).scores(torch.from_numpy(images))
            torch.testing.assert_close(scores, network(torch.from_numpy(images)), atol=1e-4, rtol=1e-4)
