"""Parents: a file's network and ours make the same maps, and a kept one is the same again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from segsearch.errors import DatabaseError, StudyError
from segsearch.pretrained.header import HEADER, header_of
from segsearch.pretrained.packages import PACKAGES, file_of, is_installed
from segsearch.pretrained.parent import keep, kept, parent_of
from segsearch.space.keys import to_json
from segsearch.workshop import Artifacts
from tests.conftest import absent
from tests.pretrained.files import KINDS, File, maps_of, picture, state_of, write


@pytest.mark.parametrize("kind", KINDS)
def test_our_network_makes_the_maps_of_the_files(kind: str, tmp_path: Path) -> None:
    """The last map of every stage, or every block's where stages were cut apart, against a pass written by hand."""
    name, by_hand = KINDS[kind]
    file = File()
    by_hand(file, picture())
    parent = parent_of(write(file.state, tmp_path))
    assert parent.name == name
    image = picture().double()
    demand_alike(maps_of(parent.network.double(), image), by_hand(file.precise(), image))


@pytest.mark.parametrize("name", PACKAGES)
def test_our_network_makes_the_maps_of_the_real_files(name: str) -> None:
    if not is_installed(name):
        # The extra brings the first of them; the others are for those who install them.
        (absent if name == "efficientnet-lite0" else pytest.skip)(f"{PACKAGES[name].name} is not installed")
    state = torch.load(file_of(name), weights_only=True)
    expected = KINDS[f"lite{name[-1]}"][1](File(dict(state)), picture(64, 96))
    parent = parent_of(file_of(name))
    assert parent.name.lower() == name
    demand_alike(maps_of(parent.network, picture(64, 96)), expected)


def demand_alike(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    """Every expected map is the next of the found ones that has its shape and its values."""
    left = iter(found)
    for wanted in expected:
        scale = float(wanted.abs().max())
        assert any(one.shape == wanted.shape and float((one - wanted).abs().max()) < 1e-3 * scale for one in left), (
            tuple(wanted.shape)
        )
    assert next(left, None) is None  # the last one is the last


def test_a_half_precision_file_is_read_as_float32(tmp_path: Path) -> None:
    state = {name: value.half() if value.is_floating_point() else value for name, value in state_of("lite0").items()}
    parent = parent_of(write(state, tmp_path))
    assert {value.dtype for value in parent.network.parameters()} == {torch.float32}
    assert torch.equal(
        parent.network.get_submodule("encoders.0.stages.1.0.expand.0").weight,  # type: ignore[arg-type]
        state["_blocks.1._expand_conv.weight"].float(),
    )


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    state = state_of("lite0")
    state["_blocks.3._expand_conv.weight"][0, 0] = torch.nan
    with pytest.raises(StudyError, match=r"must be finite numbers, got others in encoders\.0\.stages\.2\.0\.expand"):
        parent_of(write(state, tmp_path))


# ---- kept with a study


def test_a_kept_parent_is_the_same_again_and_has_one_name(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    parent = parent_of(write(state_of("lite0"), tmp_path))
    name = keep(parent, artifacts)
    assert keep(parent_of(write(state_of("lite0"), tmp_path, "again.pth")), artifacts) == name
    again = kept(artifacts.path(name))
    assert (again.name, again.architecture) == (parent.name, parent.architecture)
    for one, other in zip(maps_of(again.network, picture()), maps_of(parent.network, picture()), strict=True):
        assert torch.equal(one, other)
    assert header_of(artifacts.path(name)).architecture == parent.architecture


def test_only_the_encoder_is_kept(tmp_path: Path) -> None:
    """A whole file holds a classifier of 1.3 million weights besides."""
    state = state_of("lite0")
    state["_fc.weight"] = torch.zeros(1000, 1280)
    artifacts = Artifacts(tmp_path / "artifacts")
    path = artifacts.path(keep(parent_of(write(state, tmp_path)), artifacts))
    assert path.stat().st_size < sum(4 * one.numel() for one in state.values()) - 4 * 1000 * 1280


@pytest.mark.parametrize("metadata", [None, {"segsearch": "{}"}, {"other": "x"}])
def test_a_changed_artifact_says_so(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"encoders.0.stem.0.0.weight": torch.zeros(1)}, tmp_path / "w.safetensors", metadata)
    with pytest.raises(DatabaseError, match="must say which network they are of"):
        kept(tmp_path / "w.safetensors")


def test_an_artifact_that_lacks_weights_says_so(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    path = artifacts.path(keep(parent_of(write(state_of("lite0"), tmp_path)), artifacts))
    header = header_of(path)
    save_file({"encoders.0.stem.0.1.bias": torch.zeros(32)}, path, {HEADER: to_json(header)})
    with pytest.raises(DatabaseError, match="must hold all of its network"):
        kept(path)
