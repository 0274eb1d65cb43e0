"""The weights of a network as an artifact."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch

from segsearch.networks import Network
from segsearch.workshop import Artifacts


def save_weights(network: Network, artifacts: Artifacts) -> str:
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    first: dict[int, str] = {}
    for name, value in state.items():  # a layer that has several names is held once, and stored under each
        if first.setdefault(value.data_ptr(), name) != name and value.numel():
            state[name] = value.clone()
    return artifacts.keep_bytes(safetensors.torch.save(state), ".safetensors")


def load_weights(network: Network, path: Path) -> None:
    network.load_state_dict(safetensors.torch.load_file(path), strict=True)
