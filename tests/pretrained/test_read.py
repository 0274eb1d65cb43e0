"""Files of weights that cannot be read: each refusal is one clear error, and nothing of a file is ever run."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from segsearch.errors import StudyError
from segsearch.pretrained.read import read_state

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


class Harmful:
    """An object that leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_a_state_dict_is_read_as_it_is(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pth")
    save_file(STATE, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        found = read_state(tmp_path / name)
        assert found.keys() == STATE.keys()
        assert all(torch.equal(found[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize(
    "held",
    [
        {"state_dict": STATE, "epoch": 3},
        {"model": STATE, "optimizer": {}},
        {f"module.{key}": value for key, value in STATE.items()},
        {"state_dict": {f"module.{key}": value for key, value in STATE.items()}},
    ],
)
def test_what_training_scripts_wrap_around_it_is_taken_off(tmp_path: Path, held: object) -> None:
    torch.save(held, tmp_path / "w.pth")
    assert read_state(tmp_path / "w.pth").keys() == STATE.keys()


@pytest.mark.parametrize("by", ["torch", "pickle", "torch, in a state dict"])
def test_a_pickled_object_is_refused_and_not_run(tmp_path: Path, by: str) -> None:
    harmful, path = Harmful(tmp_path / "mark"), tmp_path / "w.pth"
    if by == "pickle":
        path.write_bytes(pickle.dumps(harmful))
    else:
        torch.save({**STATE, "b": harmful} if "in" in by else harmful, path)
    with pytest.raises(StudyError, match=r"got objects, which are never unpickled; write one with torch\.save"):
        read_state(path)
    assert not (tmp_path / "mark").exists()
    torch.load(path, weights_only=False) if by != "pickle" else pickle.loads(path.read_bytes())
    assert (tmp_path / "mark").exists()  # it would have


def test_a_whole_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(StudyError, match=r"must hold a state dict .* got objects"):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ([1, 2], "got a list"),
        ({}, "got an empty one"),
        ({"state_dict": {}}, "got an empty one"),
        ({"a": 1.5}, "got 'a', which is a float"),
        ({1: torch.zeros(1)}, "got 1, which is a Tensor"),
        (torch.zeros(3), "got a Tensor"),
    ],
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, held: object, words: str) -> None:
    torch.save(held, tmp_path / "w.pth")
    with pytest.raises(StudyError, match=words):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.bin", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"plain text", b"\x80", b"PK\x03\x04 half an archive", bytes(range(256)) * 9])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StudyError, match=r"must hold a state dict \(tensors by name\), got") as raised:
        read_state(tmp_path / name)
    assert len(str(raised.value).splitlines()) == 1


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pth")
    save_file(STATE, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(StudyError, match="must hold a state dict"):
            read_state(path)


def test_a_path_that_leads_nowhere_or_to_a_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"absent\.pth: train\.pretrained must name a file .* No such file"):
        read_state(tmp_path / "absent.pth")
    with pytest.raises(StudyError, match="Is a directory; correct the path"):
        read_state(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "w.pth")
    (tmp_path / "w.pth").chmod(0)
    with pytest.raises(StudyError, match="Permission denied"):
        read_state(tmp_path / "w.pth")
