"""What people's files do: each oddity is taken as it is meant and said, or refused with the rule and the cure."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from segsearch.errors import StudyError
from segsearch.own.header import Kept, header_of
from segsearch.own.made import made_again, unpacked
from segsearch.own.reading import read_network
from segsearch.own.sources import hidden, is_library
from tests.own import brought

HEAD = """\
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self, classes=8, channels=3):
        super().__init__()
        self.first = nn.Conv2d(channels, 16, 3, 2, 1)
        self.bn = nn.BatchNorm2d(16)
        self.last = nn.Conv2d(16, classes, 1)

    def body(self, x):
        return self.last(F.relu(self.bn(self.first(x))))

    forward = body
"""


def source(tmp_path: Path, tail: str, name: str = "mine") -> Path:
    path = tmp_path / f"{name}.py"
    path.write_text(HEAD + textwrap.dedent(tail))
    return path


REFUSED = {
    "another function": ("def model():\n    return Net()\n", r"must define network\(\), .* it has model; name one"),
    "arguments": ("def network(path):\n    return Net()\n", "must need no argument, and it needs path"),
    "a state dict": (
        "def network():\n    return Net().state_dict()\n",
        "must return a torch.nn.Module, got OrderedDict",
    ),
    "TorchScript inside": (
        """
        class Half(Net):
            def __init__(self):
                super().__init__()
                self.last = torch.jit.script(nn.Conv2d(16, 8, 1))

        def network():
            return Half()
        """,
        "got TorchScript; export it to ONNX",
    ),
    "several sigmoids": (
        """
        class Sigmoids(Net):
            def forward(self, x):
                return self.body(x).sigmoid()

        def network():
            return Sigmoids()
        """,
        "must answer with logits, got what a sigmoid made",
    ),
    "TorchScript": ("def network():\n    return torch.jit.script(Net())\n", "got TorchScript; export it to ONNX"),
    "no parameters": ("def network():\n    return nn.Identity()\n", "must return a network with parameters"),
    "its own error": (
        'def network():\n    raise RuntimeError("no weights")\n',
        r"mine.py:17: RuntimeError: no weights\.",
    ),
    "bad syntax": ("def network(:\n", "mine.py:16: invalid syntax"),
    "an error of forward": (
        """
        class Bad(Net):
            def forward(self, x):
                return self.body(x)[:, :, 0].view(1, 2, 3, 4)

        def network():
            return Bad()
        """,
        r"mine.py:19: RuntimeError: shape .* is invalid",
    ),
    "two inputs": (
        """
        class Two(Net):
            def forward(self, image, depth):
                return self.body(image)

        def network():
            return Two()
        """,
        "one input, an image, and its forward takes 2: image, depth",
    ),
    "grey images": (
        "def network():\n    return Net(channels=1)\n",
        "3 channels, RGB, and its first convolution takes 1",
    ),
    "other classes": ("def network():\n    return Net(21)\n", "tells 21 classes apart, and the data set has 8"),
    "NaN": (
        """
        class Bad(Net):
            def __init__(self):
                super().__init__()
                self.bn.running_var.fill_(float("nan"))

        def network():
            return Bad()
        """,
        "finite, got NaN or infinity, first from the layer bn",
    ),
    "a mask": (
        """
        class Mask(Net):
            def forward(self, x):
                return self.body(x).argmax(1)

        def network():
            return Mask()
        """,
        "got 1x32x48 of int64; return the scores before the argmax",
    ),
    "softmax": (
        """
        class Soft(Net):
            def forward(self, x):
                return self.body(x).softmax(1)

        def network():
            return Soft()
        """,
        "must answer with logits, got what a softmax made",
    ),
    "cut borders": (
        """
        class Cut(Net):
            def forward(self, x):
                return F.interpolate(self.body(x), scale_factor=2)[:, :, 3:-3, 3:-3]

        def network():
            return Cut()
        """,
        "it answers 58x90 for 64x96. Pad its convolutions",
    ),
    "chance": (
        """
        class Chance(Net):
            def forward(self, x):
                return self.body(F.dropout(x, 0.5))

        def network():
            return Chance()
        """,
        "must answer alike each time in evaluation",
    ),
    "a size that it takes": (
        """
        class Picky(Net):
            def forward(self, x):
                if x.shape[-1] % 64:
                    raise ValueError("multiples of 64, please")
                return self.body(x)

        def network():
            return Picky()
        """,
        "takes no image of 64x96 .*multiples of 64, please.*add --size 64x128",
    ),
    "a list of nothing": (
        """
        class Empty(Net):
            def forward(self, x):
                return [self.body(x).mean()]

        def network():
            return Empty()
        """,
        "its list holds none",
    ),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_searched_is_refused_in_a_line(case: str, tmp_path: Path) -> None:
    tail, words = REFUSED[case]
    with pytest.raises(StudyError, match=words) as refused:
        brought.read(source(tmp_path, tail))
    assert str(refused.value).startswith("mine.py")
    assert len(str(refused.value).splitlines()) == 1


def taken(tmp_path: Path, answer: str, *, classes: int = 8, entry: str | None = None) -> brought.Brought:
    tail = f"class Own(Net):\n    def forward(self, x):\n        y = self.body(x)\n        return {answer}\n"
    tail += f"def network():\n    return Own({classes if classes != 2 else 1})\n"
    return brought.read(source(tmp_path, tail), classes=classes, entry=entry)


@pytest.mark.parametrize(
    ("answer", "entry", "said"),
    [
        ("{'aux': y, 'out': y}", "out", "'out' is taken"),
        ("{'seg': y}", "seg", "'seg' is the only map"),
        ("(y, y)", 0, "a tuple of 2 maps (0 8x32x48, 1 8x32x48): 0 is taken"),
        ("[y]", 0, "0 is the only map"),
    ],
)
def test_a_dict_or_a_tuple_is_read_and_said(answer: str, entry: str | int, said: str, tmp_path: Path) -> None:
    found = taken(tmp_path, answer)
    assert found.header.entry == entry
    assert said in " ".join(found.notes)
    assert "its scores are 32x48 for 64x96: they are resized" in " ".join(found.notes)


def test_another_map_is_taken_where_somebody_says_so(tmp_path: Path) -> None:
    assert taken(tmp_path, "(y[:, :3], y)", entry="1").header.entry == 1
    with pytest.raises(StudyError, match=r"--answer must name a map of what it returns \(0 .*\), got 7"):
        taken(tmp_path, "(y[:, :3], y)", entry="7")


def test_one_logit_tells_two_classes_apart(tmp_path: Path) -> None:
    found = taken(tmp_path, "y", classes=2)
    assert found.header.binary
    brought.pack(found.module, found.header, tmp_path / "b.safetensors")
    network = brought.network(tmp_path / "b.safetensors", tmp_path / "code")
    image = torch.rand(1, 3, *brought.SIZE) * 255
    with torch.no_grad():
        logit = network.inner(network.taken(image))
        assert torch.equal(network.scores(image).argmax(1), (logit[:, 0] > 0).long())


def test_a_module_is_made_ready_to_learn(tmp_path: Path) -> None:
    """Wrapped, in half precision, frozen, with batch norm over devices and a buffer that no state dict holds."""
    path = source(
        tmp_path,
        """
        def network():
            net = Net().half()
            net.bn = nn.SyncBatchNorm(16).half()
            net.register_buffer("scale", torch.full((1,), 3.0), persistent=False)
            for value in net.parameters():
                value.requires_grad = False
            return nn.DataParallel(net)
        """,
    )
    found = brought.read(path)
    assert [type(found.module.get_submodule(name)) for name in ("first", "bn")] == [nn.Conv2d, nn.BatchNorm2d]
    assert all(one.requires_grad and one.dtype == torch.float32 for one in found.module.parameters())
    assert "scale" in found.module.state_dict()
    for words in ("were float16", "several devices", "were frozen"):
        assert words in " ".join(found.notes)


# ---- kept with its sources


def test_made_again_it_needs_neither_sources_nor_weights(tmp_path: Path) -> None:
    """A package with relative imports, settings beside it, and safetensors: all gone."""
    users = brought.users(tmp_path / "users")
    header = brought.packed(users / "nets" / "hrnet.py", tmp_path / "h.safetensors")
    names = ("__init__.py", "exchange.py", "hrnet.json", "hrnet.py", "hrnet.safetensors", "layers.py")
    assert {f"nets/{name}" for name in names} <= {one.path for one in header.files}
    image = torch.rand(1, 3, *brought.SIZE)
    with torch.no_grad():
        expected = made_again(tmp_path / "h.safetensors", tmp_path / "code")(image)["out"]
        (tmp_path / "users").rename(tmp_path / "gone")
        brought.forget("nets")
        assert torch.equal(made_again(tmp_path / "h.safetensors", tmp_path / "other")(image)["out"], expected)


@pytest.mark.parametrize(
    "load",
    [
        "torch.load(HERE / 'w.pt', weights_only=True)['state']",
        "{k: v for k, v in torch.load(HERE / 'w.pt')['state'].items()}",
        "load_file(HERE / 'w.safetensors')",
        "opened(HERE / 'w.safetensors')",
        "{k: torch.from_numpy(v) for k, v in arrays(HERE / 'w.npz')}",
    ],
)
def test_weights_of_any_reader_are_kept_once(load: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = source(
        tmp_path,
        f"""
        from pathlib import Path
        import numpy as np
        from safetensors import safe_open
        from safetensors.torch import load_file

        HERE = Path(__file__).parent

        def opened(path):
            with safe_open(path, "pt") as file:
                return {{name: file.get_tensor(name) for name in file.keys()}}

        def arrays(path):
            with np.load(path) as file:
                return [(name, file[name]) for name in file.files]

        def network():
            state = {load}
            net = Net(classes=state["last.weight"].shape[0])
            net.load_state_dict(state)
            return net
        """,
    )
    torch.manual_seed(5)
    namespace: dict[str, object] = {}
    exec(HEAD, namespace)
    state = namespace["Net"]().state_dict()  # type: ignore[operator]
    torch.save({"epoch": 3, "state": state}, tmp_path / "w.pt")
    save_file(state, tmp_path / "w.safetensors")
    np.savez(tmp_path / "w.npz", **{name: value.numpy() for name, value in state.items()})
    found = brought.read(path)
    brought.pack(found.module, found.header, tmp_path / "packed.safetensors")
    for name in ("w.pt", "w.safetensors", "w.npz"):
        (tmp_path / name).unlink()
    again = made_again(tmp_path / "packed.safetensors", tmp_path / "code")
    assert torch.equal(again.state_dict()["first.weight"], state["first.weight"])


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(3, 8, 1), tmp_path / "whole.pt")
    path = source(
        tmp_path,
        f"def network():\n    return torch.load({str(tmp_path / 'whole.pt')!r}, weights_only=False)\n",
    )
    with pytest.raises(StudyError, match="must hold a state dict, got a whole Conv2d, pickled"):
        brought.read(path)


def test_settings_that_lie_elsewhere_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    (tmp_path / "far" / "net.yaml").write_text("classes: 8")
    place = str(tmp_path / "far" / "net.yaml")
    path = source(
        tmp_path / "near",
        f"def network():\n    from pathlib import Path\n    Path({place!r}).read_text()\n    return Net()\n",
    )
    with pytest.raises(StudyError, match=r"reads .*net.yaml, which lies neither beside it nor below"):
        brought.read(path)


@pytest.mark.parametrize("here", ["near", ""])
def test_settings_that_are_reached_upwards_are_refused_or_would_land_elsewhere(here: str, tmp_path: Path) -> None:
    """`dirname(__file__)/../configs`: below the current folder it can be kept, and not be found again from there."""
    for name in ("near", "configs"):
        (tmp_path / name).mkdir()
    (tmp_path / "configs" / "net.yaml").write_text("classes: 8")
    path = source(
        tmp_path / "near",
        """
        import os

        def network():
            with open(os.path.join(os.path.dirname(__file__), "..", "configs", "net.yaml")) as file:
                file.read()
            return Net()
        """,
    )
    why = "which lies neither beside it nor below" if here else r"through '\.\.', which leads nowhere"
    brought.forget("mine")
    with pytest.raises(StudyError, match=why):
        read_network(path, "network", size=brought.SIZE, classes=8, entry=None, here=tmp_path / here)


def test_weights_that_are_looked_for_before_they_are_read_are_missed(tmp_path: Path) -> None:
    """The study goes on without them, and would not begin again: that is seen while the file is still there."""
    path = source(
        tmp_path,
        f"""
        from pathlib import Path

        WEIGHTS = Path({str(tmp_path / "w.pt")!r})

        def network():
            if not WEIGHTS.is_file():
                raise FileNotFoundError(WEIGHTS)
            net = Net()
            net.load_state_dict(torch.load(WEIGHTS))
            return net
        """,
    )
    namespace: dict[str, object] = {}
    exec(HEAD, namespace)
    torch.save(namespace["Net"]().state_dict(), tmp_path / "w.pt")  # type: ignore[operator]
    found = brought.read(path)
    brought.pack(found.module, found.header, tmp_path / "packed.safetensors")
    made_again(tmp_path / "packed.safetensors", tmp_path / "code")
    assert tmp_path / "w.pt" in found.files
    with hidden(set(found.files)), pytest.raises(StudyError, match=r"made again .* without the files that its weights"):
        made_again(tmp_path / "packed.safetensors", tmp_path / "code")
    assert (tmp_path / "w.pt").is_file()


def test_a_packed_file_cannot_write_elsewhere(tmp_path: Path) -> None:
    header = brought.read(source(tmp_path, "def network():\n    return Net()\n")).header
    for wrong in ("../evil.py", "/tmp/evil.py", "a/../../evil.py"):
        with pytest.raises(StudyError, match="must lie in the network's own folder"):
            unpacked(replace(header, files=(*header.files, Kept(wrong, ""))), tmp_path / "code" / "deep")
    assert not list(tmp_path.rglob("evil.py"))


def test_a_name_with_a_dot_cannot_be_imported(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"net-v1\.2\.py: .* no dot in its name; rename it"):
        brought.read(source(tmp_path, "def network():\n    return Net()\n", name="net-v1.2"))


@pytest.mark.parametrize(
    ("place", "library"),
    [("/usr/lib/a.py", True), ("/usr/src/app/a.py", False), ("/dev/shm/a.py", False), ("/proc/a", True)],
)
def test_where_people_keep_their_own_is_no_systems(place: str, library: bool) -> None:
    assert is_library(Path(place)) is library


def test_a_name_of_a_library_is_refused(tmp_path: Path) -> None:
    path = source(tmp_path, "def network():\n    return Net()\n", name="textwrap")
    with pytest.raises(StudyError, match="must not have the name of a library, and 'textwrap' is one"):
        read_network(path, "network", size=brought.SIZE, classes=8, entry=None, here=tmp_path)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(StudyError, match="must be a file that `segsearch compress` wrote"):
        header_of(tmp_path / "a.safetensors")
    with pytest.raises(StudyError, match="no such file"):
        header_of(tmp_path / "b.safetensors")


def test_changed_code_in_the_cache_is_written_anew(tmp_path: Path) -> None:
    found = taken(tmp_path, "y")
    brought.pack(found.module, found.header, tmp_path / "a.safetensors")
    brought.network(tmp_path / "a.safetensors", tmp_path / "code")
    (kept,) = (tmp_path / "code").glob("network-*/mine.py")
    kept.write_text("raise RuntimeError('changed')")
    brought.network(tmp_path / "a.safetensors", tmp_path / "code")
    assert kept.read_text() == (tmp_path / "mine.py").read_text()
