"""Somebody's networks as tests bring them: read in this process, packed, made again."""

from __future__ import annotations

import copy
import shutil
import sys
from pathlib import Path

import torch
from torch import nn

from segsearch.networks.own import OwnModule
from segsearch.own.header import Header, header_of
from segsearch.own.made import facts_of, made_again
from segsearch.own.reading import Brought, pack, read_network
from segsearch.space.own import OwnNetwork, Pixels

USERS = Path(__file__).with_name("users")
SIZE = (64, 96)
CLASSES = 8
# Of each: the file, and whether it is a package's.
NETWORKS = {"unet": "unet.py", "hrnet": "nets/hrnet.py", "deeplab": "deeplab.py", "reused": "reused.py"}
IMAGENET = Pixels((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), top=1.0)


def users(folder: Path) -> Path:
    """A copy of the users' files, with the weights that one of them loads, as if they had been trained."""
    shutil.copytree(USERS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    sys.path.insert(0, str(folder))
    try:
        forget("nets")
        from nets.hrnet import build  # type: ignore[import-not-found]
        from safetensors.torch import save_file

        torch.manual_seed(3)
        save_file(worn(build()).state_dict(), folder / "nets" / "hrnet.safetensors")
    finally:
        sys.path.remove(str(folder))
        forget("nets")
    return folder


def forget(*names: str) -> None:
    """As a new process has not loaded them."""
    for name in [name for name in sys.modules if name.split(".")[0] in names]:
        del sys.modules[name]


def worn(module: nn.Module) -> nn.Module:
    """Norms as training leaves them: equal ones would fold into equal biases, which the exporter shares."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for value, low, high in (
                (part.weight.data, 0.5, 1.5),
                (part.bias.data, -0.2, 0.5),
                (part.running_mean, -0.2, 0.2),
                (part.running_var, 0.5, 1.5),
            ):
                assert value is not None
                value.uniform_(low, high, generator=generator)
    return module


def read(path: Path, function: str = "network", *, entry: str | None = None, classes: int = CLASSES) -> Brought:
    forget(path.stem)
    return read_network(path, function, size=SIZE, classes=classes, entry=entry, here=path.parent)


def packed(path: Path, target: Path) -> Header:
    """A user's file, read, worn in and packed."""
    found = read(path)
    pack(worn(found.module), found.header, target)
    return header_of(target)


def network(target: Path, folder: Path, pixels: Pixels = IMAGENET) -> OwnModule:
    """The network of a packed file."""
    header = header_of(target)
    own = OwnNetwork(f"{'0' * 64}.safetensors", pixels)
    return OwnModule(copy.deepcopy(made_again(target, folder)), own, facts_of(header)).eval()
