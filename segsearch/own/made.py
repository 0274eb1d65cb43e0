"""A module made again from the file that it is kept in: its code runs, its weights come from that file alone."""

from __future__ import annotations

import base64
import contextlib
import copy
import os
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from segsearch.errors import StudyError
from segsearch.networks.own import Facts, OwnModule, Reading
from segsearch.own.header import Header, header_of
from segsearch.own.recall import recalling
from segsearch.own.sources import imported, importing_from, raised
from segsearch.space.own import OwnNetwork
from segsearch.workshop import scratch_folder


@dataclass
class Maker:
    """Makes the networks of one kept file; its code is unpacked below `folder` and runs once."""

    path: Path
    folder: Path
    _first: nn.Module | None = field(default=None, repr=False)

    def network(self, own: OwnNetwork) -> OwnModule:
        """A network with the weights that it was brought with. Raises `StudyError` where it cannot be made."""
        if self._first is None:
            self._first = made_again(self.path, self.folder)
        return OwnModule(copy.deepcopy(self._first), own, facts_of(header_of(self.path), own.input_scale)).eval()


def facts_of(header: Header, input_scale: float = 1.0) -> Facts:
    """What is known of a kept module, at an input scale."""
    height, width = (max(1, round(side * input_scale)) for side in header.size)
    return Facts(
        (height, width),
        Reading(header.entry, header.binary),
        tuple(f"inner.{one.layer}" for one in header.left),
        tuple(f"inner.{name}" for name in header.idle),
    )


def made_again(path: Path, folder: Path) -> nn.Module:
    """The module that a file keeps, with its weights. Raises `StudyError` where its code or its weights do not fit."""
    header = header_of(path)
    root = unpacked(header, folder)
    _forget(header)
    files = [root / one.path for one in header.files]
    try:
        with importing_from([root]), recalling(header.loads), _seeded(), contextlib.chdir(root):
            module = imported(header.module, _file_of(header, root))
            inner = settled(getattr(module, header.function)())
    except Exception as error:
        cure = "It is made again from what was kept of it, without the files that its weights were read from."
        raise raised(error, files, shown=header.name, cure=cure) from error
    state = {name.removeprefix("inner."): value for name, value in safetensors.torch.load_file(path).items()}
    try:
        inner.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise StudyError(
            f"{header.name}: a network must be made alike each time, and these weights do not fit what was made now: "
            f"{' '.join(str(error).split())[:200]}"
        ) from None
    return inner


def settled(module: nn.Module) -> nn.Module:
    """The module as it is searched: on the CPU in float32, everything learns, and all that it holds is in its state."""
    # Wrappers for several devices and of the compiler.
    for name in ("_orig_mod", "module"):
        inner = getattr(module, name, None)
        if isinstance(inner, nn.Module) and type(module).__name__ in _WRAPPERS:
            return settled(inner)
    module = _one_device(module).to("cpu", torch.float32).requires_grad_(True)
    for part in module.modules():
        part._non_persistent_buffers_set.clear()
    return module.eval()


_WRAPPERS = ("OptimizedModule", "DataParallel", "DistributedDataParallel")


def _one_device(module: nn.Module) -> nn.Module:
    """Batch norm over several devices as that of one: the same function of the same weights."""
    if isinstance(module, nn.SyncBatchNorm):
        plain = nn.BatchNorm2d(
            module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
        )
        plain.load_state_dict(module.state_dict())
        return plain
    for name, child in module.named_children():
        setattr(module, name, _one_device(child))
    return module


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """Everything that a module holds, as a network of ours names it; each value in memory of its own."""
    return {f"inner.{name}": value.detach().cpu().clone().contiguous() for name, value in module.state_dict().items()}


def unpacked(header: Header, folder: Path) -> Path:
    """The folder that holds a network's code and what else it reads, below `folder`: written once, as it was kept."""
    from segsearch.space.keys import content_key

    root = folder.resolve() / f"network-{content_key(list(header.files), header.module)[:32]}"
    if wrong := next((one.path for one in header.files if not _is_inside(one.path)), None):
        raise StudyError(f"{header.name}: a kept file must lie in the network's own folder, got {wrong}.")
    wanted = {root / one.path: base64.b64decode(one.content) for one in header.files}
    if all(path.is_file() and path.read_bytes() == content for path, content in wanted.items()) and root.is_dir():
        return root
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder) as scratch:
        for path, content in wanted.items():
            target = scratch / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        shutil.rmtree(root, ignore_errors=True)  # one that was changed
        with contextlib.suppress(OSError):  # another process was as quick
            os.replace(scratch, root)
    return root


def _is_inside(path: str) -> bool:
    return not path.startswith("/") and ".." not in PurePosixPath(path).parts


def _file_of(header: Header, root: Path) -> Path:
    path = root.joinpath(*header.module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _forget(header: Header) -> None:
    """Another network's modules of the same names must not stand in for this one's."""
    names = {Path(one.path).parts[0].removesuffix(".py") for one in header.files if one.path.endswith(".py")}
    for name in [name for name in sys.modules if name.split(".")[0] in names]:
        del sys.modules[name]


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """Weights that the code draws before it loads its own are drawn alike each time, and nobody else's are moved."""
    states: Sequence[Any] = (random.getstate(), np.random.get_state())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


seeded = _seeded
