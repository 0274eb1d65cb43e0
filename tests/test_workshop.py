from __future__ import annotations

import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from segsearch.errors import DatabaseError, StorageFull, UserError
from segsearch.workshop import Artifacts, artifact_names, raise_if_full, sha256_of

NAME = "0" * 64 + ".onnx"


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "runs" / "artifacts")


def test_bytes_are_kept_under_their_hash(artifacts: Artifacts) -> None:
    name = artifacts.keep_bytes(b"weights", ".safetensors")
    assert name == hashlib.sha256(b"weights").hexdigest() + ".safetensors"
    assert artifacts.path(name).read_bytes() == b"weights"
    assert artifacts.has(name)
    assert [file.name for file in artifacts.folder.iterdir()] == [name]


def test_keeping_twice_keeps_one_file(artifacts: Artifacts) -> None:
    first = artifacts.keep_bytes(b"weights", ".bin")
    assert artifacts.keep_bytes(b"weights", ".bin") == first
    assert artifacts.keep_bytes(b"other", ".bin") != first
    assert artifacts.keep_bytes(b"weights", ".npy") != first
    assert len(list(artifacts.folder.iterdir())) == 3


def test_a_finished_file_is_moved_in(artifacts: Artifacts) -> None:
    scratch = artifacts.scratch(".onnx")
    scratch.write_bytes(b"model")
    assert scratch.name.startswith(".tmp-")
    assert scratch.parent == artifacts.folder
    name = artifacts.keep(scratch)
    assert not scratch.exists()
    assert name == sha256_of(artifacts.path(name)) + ".onnx"


def test_nothing_is_a_content_too(artifacts: Artifacts) -> None:
    assert artifacts.path(artifacts.keep_bytes(b"", ".bin")).read_bytes() == b""


def test_scratch_paths_differ(artifacts: Artifacts) -> None:
    assert len({artifacts.scratch(".onnx") for _ in range(5)}) == 5


@pytest.mark.parametrize(
    "name",
    [
        "",
        "model.onnx",
        "../" + NAME,
        "/etc/passwd",
        "0" * 64,
        "0" * 63 + ".onnx",
        "0" * 65 + ".onnx",
        "g" * 64 + ".onnx",
        "A" * 64 + ".onnx",
        "0" * 64 + "./onnx",
        "0" * 64 + ".onnx/../x",
        "0" * 64 + ".onnx\n",
        "0" * 64 + ".onnx\0",
        "0" * 64 + ".",
        "0" * 64 + "." + "a" * 13,
        ".tmp-abc.onnx",
        "..",
    ],
)
def test_a_name_that_is_not_ours_is_refused(artifacts: Artifacts, name: str) -> None:
    assert not artifacts.has(name)
    with pytest.raises(DatabaseError, match=r"An artifact's name must be <sha256>.<suffix>; got"):
        artifacts.path(name)


@pytest.mark.parametrize("suffix", ["", ".ONNX", ".on nx", ".7z", "." + "a" * 13, "/../../x"])
def test_a_suffix_that_is_not_ours_keeps_nothing(artifacts: Artifacts, suffix: str) -> None:
    with pytest.raises((DatabaseError, OSError)):
        artifacts.keep_bytes(b"x", suffix)
    assert not list(artifacts.folder.parent.rglob("*x*"))
    assert not list(artifacts.folder.glob("*"))


def test_an_artifact_that_is_gone_says_so(artifacts: Artifacts) -> None:
    assert not artifacts.has(NAME)
    with pytest.raises(DatabaseError, match=rf"{NAME} is gone\. Copy it back\.") as caught:
        artifacts.path(NAME)
    assert str(artifacts.folder) in str(caught.value)


def test_a_folder_of_that_name_is_no_artifact(artifacts: Artifacts) -> None:
    (artifacts.folder / NAME).mkdir(parents=True)
    assert not artifacts.has(NAME)
    with pytest.raises(DatabaseError, match="is gone"):
        artifacts.path(NAME)


def test_sweep_takes_what_a_killed_writer_left_and_nothing_else(artifacts: Artifacts) -> None:
    kept = artifacts.keep_bytes(b"kept", ".bin")
    artifacts.scratch(".onnx").write_bytes(b"half")
    artifacts.scratch(".npy")
    artifacts.sweep()
    assert len(list(artifacts.folder.iterdir())) == 3  # young: another worker may be writing them
    artifacts.sweep(min_age_seconds=0)
    assert [file.name for file in artifacts.folder.iterdir()] == [kept]
    artifacts.sweep(min_age_seconds=0)


def test_sweep_of_a_folder_that_is_not_there_yet_does_nothing(artifacts: Artifacts) -> None:
    artifacts.sweep()
    assert not artifacts.folder.exists()


def test_names_are_found_anywhere_in_an_outcome() -> None:
    one, two, three = "1" * 64 + ".onnx", "2" * 64 + ".npy", "3" * 64 + ".safetensors"
    outcome = {"model": one, "deep": [{"logits": two}, "plain", 3, None, 0.5], "pair": (three, "x" + one)}
    assert list(artifact_names(outcome)) == [one, two, three]
    assert list(artifact_names({})) == []
    assert list(artifact_names({one: "as a key"})) == []


def _python(code: str, *arguments: str, stdout: int | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=stdout, text=True)


ENDLESS = """
import sys
from pathlib import Path
from segsearch.workshop import Artifacts
artifacts = Artifacts(Path(sys.argv[1]))
kept, count = artifacts.keep_bytes(b"first", ".bin"), 0
while True:
    count += 1
    with artifacts.scratch(".bin").open("wb") as stream:
        stream.write(b"half")
        stream.flush()
        print(count, flush=True)
        for _ in range(50):
            artifacts.keep_bytes(str(count).encode() * 100_000, ".bin")
"""


def test_a_killed_writer_leaves_whole_files_and_scratch_only(tmp_path: Path) -> None:
    with _python(ENDLESS, str(tmp_path), stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(2):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    artifacts = Artifacts(tmp_path)
    left = {file.name for file in tmp_path.iterdir()}
    assert any(name.startswith(".tmp-") for name in left)
    kept = {name for name in left if not name.startswith(".tmp-")}
    assert len(kept) >= 2
    assert all(name.startswith(sha256_of(tmp_path / name)) for name in kept)
    artifacts.sweep(min_age_seconds=0)
    assert {file.name for file in tmp_path.iterdir()} == kept


def test_workers_that_keep_the_same_file_at_once_agree(artifacts: Artifacts) -> None:
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda: names.append(artifacts.keep_bytes(b"x" * 200_000, ".bin"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 8
    assert len(set(names)) == 1
    assert [file.name for file in artifacts.folder.iterdir()] == [names[0]]


FILL = """
import resource, sys
from pathlib import Path
from segsearch.errors import StorageFull
from segsearch.workshop import Artifacts
artifacts = Artifacts(Path(sys.argv[1]))
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
kept = artifacts.keep_bytes(b"small", ".bin")
try:
    for index in range(100):
        artifacts.keep_bytes(bytes([index]) * 300_000, ".bin")
except StorageFull as error:
    print(error)
    assert artifacts.path(kept).read_bytes() == b"small"
    sys.exit(7)
"""


def _assert_full_is_told(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(folder), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 7, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    assert f"{folder}: no room left (" in done.stdout
    assert "nothing finished is lost" in done.stdout
    names = [file.name for file in folder.iterdir()]
    assert all(name.startswith(sha256_of(folder / name)) for name in names), "only whole files are left"


def test_a_file_too_large_for_the_system_is_told_as_a_full_storage(tmp_path: Path) -> None:
    _assert_full_is_told(tmp_path, "200000")


def test_a_full_file_system_is_told_as_a_full_storage(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("a small tmpfs cannot be mounted here: no mount command; the RLIMIT_FSIZE test stands in")
    if mounted.returncode:
        pytest.skip(f"a small tmpfs cannot be mounted here ({mounted.stderr.strip()}); the RLIMIT_FSIZE test stands in")
    try:
        _assert_full_is_told(tmp_path)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_failed_write_leaves_no_scratch(artifacts: Artifacts) -> None:
    kept = artifacts.keep_bytes(b"small", ".bin")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageFull):
            artifacts.keep_bytes(b"x" * 5000, ".bin")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.name for file in artifacts.folder.iterdir()] == [kept]


def test_other_trouble_is_not_a_full_storage(tmp_path: Path) -> None:
    raise_if_full(PermissionError(13, "Permission denied"), tmp_path)
    with pytest.raises(StorageFull, match="Free some space") as caught:
        raise_if_full(OSError(28, "No space left on device"), tmp_path)
    assert isinstance(caught.value, UserError)
    with pytest.raises(FileNotFoundError):
        Artifacts(tmp_path).keep(tmp_path / "absent.bin")


def test_an_artifact_can_be_read_by_whoever_can_read_its_folder(artifacts: Artifacts) -> None:
    old = os.umask(0o022)
    try:
        name = artifacts.keep_bytes(b"x", ".bin")
    finally:
        os.umask(old)
    assert artifacts.path(name).stat().st_mode & 0o777 == 0o644


def test_a_file_where_the_folder_should_be_is_the_users_to_cure(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("in the way")
    with pytest.raises(UserError):
        Artifacts(tmp_path / "artifacts").keep_bytes(b"x", ".bin")


def test_a_folder_that_is_closed_is_the_users_to_cure(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("root may write everywhere")
        with pytest.raises(UserError, match="artifacts need a folder that can be written: Permission denied"):
            Artifacts(tmp_path).demand_writable()
    finally:
        tmp_path.chmod(0o755)


def test_a_place_that_was_tried_holds_nothing_of_it(artifacts: Artifacts) -> None:
    artifacts.demand_writable()
    assert list(artifacts.folder.iterdir()) == []
