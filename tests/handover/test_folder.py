"""A folder that is there whole or not at all, whatever ends the work."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from segsearch.errors import StorageFull, StudyError
from segsearch.handover.folder import demand_empty, whole_folder


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("there", [False, True])
def test_a_new_or_an_empty_folder_is_filled(tmp_path: Path, there: bool) -> None:
    out = tmp_path / "deep" / "model"
    if there:
        out.mkdir(parents=True)
    with whole_folder(out) as folder:
        (folder / "a.txt").write_text("a")
        assert not (out / "a.txt").exists()
    assert names(tmp_path) == {"deep", "deep/model", "deep/model/a.txt"}
    assert out.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), StorageFull("x")])
def test_what_ends_the_work_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def work() -> None:
        with whole_folder(tmp_path / "deep" / "model") as folder:
            (folder / "a.txt").write_text("a")
            raise error

    with pytest.raises(type(error)):
        work()
    assert names(tmp_path) == set()


KILLED = """
import os, signal, sys
from pathlib import Path
from segsearch.handover.folder import whole_folder
with whole_folder(Path(sys.argv[1])) as folder:
    (folder / "a.txt").write_text("a")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_kill_leaves_goes_with_the_next_once_nobody_can_be_at_it(tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "model")]).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    (tmp_path / ".segsearch.toml").write_text("mine")
    with whole_folder(tmp_path / "one"):
        assert left.is_dir(), "another process may be writing it"
    for path in (left, *left.iterdir(), tmp_path / ".segsearch.toml"):
        os.utime(path, (1e9, 1e9))
    with whole_folder(tmp_path / "two"):
        pass
    assert names(tmp_path) == {".segsearch.toml", "one", "two"}


def test_an_empty_folder_stays_where_the_work_ends_early(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(ValueError, match="x"), whole_folder(tmp_path / "model"):
        raise ValueError("x")
    assert names(tmp_path) == {"model"}


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    for _ in range(2):
        with pytest.raises(StudyError, match="--out must be a new or an empty folder, and files lie there"):
            demand_empty(tmp_path / "model")
    assert names(tmp_path) == {"model", "model/mine.txt"}


def test_a_file_and_a_link_to_nowhere_are_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(StudyError, match="and a file is there"):
            demand_empty(tmp_path / name)


def test_a_link_to_an_empty_folder_leads_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with whole_folder(tmp_path / "link") as folder:
        (folder / "a.txt").write_text("a")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "a"


def test_what_somebody_puts_there_meanwhile_stays(tmp_path: Path) -> None:
    out = tmp_path / "model"

    def work() -> None:
        with whole_folder(out) as folder:
            (folder / "a.txt").write_text("a")
            out.mkdir()
            (out / "theirs.txt").write_text("theirs")

    with pytest.raises(StudyError, match="files lie there"):
        work()
    assert names(tmp_path) == {"model", "model/theirs.txt"}


def test_no_room_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageFull, match="no room left"), whole_folder(tmp_path / "model") as folder:
            (folder / "large.bin").write_bytes(b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == set()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(StudyError, match="--out must be a folder that can be written"),
        whole_folder(tmp_path / "file" / "model"),
    ):
        pass
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o555)
        with (
            pytest.raises(StudyError, match="--out must be a folder that can be written"),
            whole_folder(tmp_path / "closed" / "model"),
        ):
            pass
