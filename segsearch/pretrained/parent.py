"""A parent: one of our own networks with the weights of a file, and the artifact that keeps it with a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from segsearch.errors import DatabaseError, StudyError
from segsearch.networks import Network, build
from segsearch.networks.build import PIXEL_MEAN, PIXEL_STD
from segsearch.pretrained.anatomy import IMAGE
from segsearch.pretrained.header import HEADER, Header, header_of
from segsearch.pretrained.layouts import Key, Layout
from segsearch.pretrained.read import read_state
from segsearch.pretrained.recognise import CLASSES, State, recognise
from segsearch.space.architecture import Architecture
from segsearch.space.keys import to_json
from segsearch.workshop import Artifacts


@dataclass(frozen=True)
class Parent:
    """A network of ours that was trained elsewhere: `network` is that of `architecture`, its head is as drawn."""

    name: str
    architecture: Architecture
    network: Network


def parent_of(path: Path) -> Parent:
    """The network whose weights a file holds, found by its keys. Raises `StudyError`."""
    state = read_state(path)
    layout = recognise(state, where=str(path))
    network = build(layout.architecture, CLASSES)
    with torch.no_grad():
        for key in layout.convolutions():
            _fill(network, key, layout, state)
    for name, value in network.state_dict().items():
        if not torch.isfinite(value).all():
            raise StudyError(
                f"{path}: weights must be finite numbers, got others in {name}; take a file that is whole."
            )
    return Parent(layout.name, layout.architecture, network)


def keep(parent: Parent, artifacts: Artifacts) -> str:
    """Keep a parent as an artifact; returns its name. Equal parents have equal names."""
    state = {
        name: value.contiguous() for name, value in parent.network.state_dict().items() if name.startswith("encoders.")
    }
    # One entry: of several the order in the file is not settled, and with it the name of the file.
    metadata = {HEADER: to_json(Header(parent.name, parent.architecture))}
    return artifacts.keep_bytes(safetensors.torch.save(state, metadata), ".safetensors")


def kept(path: Path) -> Parent:
    """The parent of an artifact that `keep` wrote."""
    header = header_of(path)
    network = build(header.architecture, CLASSES)
    state = safetensors.torch.load_file(path)
    missing, unexpected = network.load_state_dict(state, strict=False)
    if unexpected or any(name.startswith("encoders.") for name in missing):
        raise DatabaseError(
            f"{path}: an artifact of pretrained weights must hold all of its network; it was changed. Copy it back."
        )
    return Parent(header.name, header.architecture, network)


def _fill(network: Network, key: Key, layout: Layout, state: State) -> None:
    """Write one convolution of a file, and the norm after it, into our network.

    The first one reads pixels as our networks do: what the parent's own normalisation does beyond that goes into its
    weights and its bias, or its norm's mean. (Zeros that pad the image then stand for another grey: its edge is seen
    a little differently.) A bias before a norm goes into the norm's mean, its other epsilon into the variance.
    """
    added = torch.zeros(()).double()
    if key.layer.conv is not None:
        conv = network.get_submodule(key.layer.conv)
        assert isinstance(conv, nn.Conv2d)
        weight = state[f"{key.conv}.weight"].double()
        if f"{key.conv}.bias" in state:
            added = state[f"{key.conv}.bias"].double()
        if key.layer.reads == (IMAGE,):
            mean, std = (torch.tensor(values).double() for values in (layout.pixels.mean, layout.pixels.std))
            added = added + (weight.sum(dim=(2, 3)) * ((PIXEL_MEAN - mean) / std)).sum(dim=1)
            weight = weight * (PIXEL_STD / std)[:, None, None]
        conv.weight.copy_(weight)
        if conv.bias is not None:
            conv.bias.copy_(added)
    if key.norm is None or key.layer.norm is None:
        return
    norm = network.get_submodule(key.layer.norm)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.weight.copy_(state[f"{key.norm}.weight"])
    norm.bias.copy_(state[f"{key.norm}.bias"])
    norm.running_mean.copy_(state[f"{key.norm}.running_mean"].double() - added)
    norm.running_var.copy_(state[f"{key.norm}.running_var"].double() + (layout.epsilon - norm.eps))
