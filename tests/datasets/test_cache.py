from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from PIL import Image

from segsearch import workshop
from segsearch.datasets import cache as cache_module
from segsearch.datasets.cache import Layout, Sample, cached
from segsearch.datasets.folders import open_folders
from segsearch.datasets.types import Dataset
from segsearch.errors import DataError, StorageFull
from tests.datasets.conftest import MakeSettings

LAYOUT = Layout(classes=("a", "b"), void=255, height=2, width=3, train=("t0", "t1"), validation=("v0", "v1"))


def samples() -> Iterator[Sample]:
    for index in range(4):
        label = np.full((index, 4), 9, dtype=np.uint8) if index > 1 else None
        yield Sample(np.full((2, 3, 3), index, np.uint8), np.full((2, 3), 10 + index, np.uint8), label)


def untouched() -> Iterator[Sample]:
    pytest.fail("a cached data set must not be decoded again")
    yield


def make(cache: Path, *, source: str = "x", layout: Layout = LAYOUT) -> Dataset:
    return cached(cache, source={"name": source}, layout=layout, samples=samples())


def test_splits_hold_the_samples(cache: Path) -> None:
    dataset = make(cache)
    assert dataset.train.images[:, 0, 0, 0].tolist() == [0, 1]
    assert dataset.train.masks[:, 1, 2].tolist() == [10, 11]
    assert dataset.validation.images[:, 1, 2, 2].tolist() == [2, 3]
    assert dataset.validation.label(0).shape == (2, 4)
    assert dataset.validation.label(1).tolist() == [[9] * 4] * 3
    assert dataset.train.label(1).tolist() == [[11] * 3] * 2


def test_second_opening_reads_the_first(cache: Path) -> None:
    first = make(cache)
    second = cached(cache, source={"name": "x"}, layout=LAYOUT, samples=untouched())
    assert second.key == first.key
    np.testing.assert_array_equal(second.train.images, first.train.images)


def test_finished_cache_is_read_where_nothing_can_be_written(cache: Path) -> None:
    make(cache)
    cache.chmod(0o500)
    try:
        cached(cache, source={"name": "x"}, layout=LAYOUT, samples=untouched())
    finally:
        cache.chmod(0o700)


def test_arrays_are_mapped_and_read_only(cache: Path) -> None:
    dataset = make(cache)
    with pytest.raises(ValueError, match="read-only"):
        dataset.train.images[0, 0, 0, 0] = 1


def test_equal_pixels_have_equal_keys_whatever_their_source(cache: Path) -> None:
    assert make(cache, source="x").key == make(cache, source="y").key
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("change", ["pixel", "mask", "void", "classes", "height", "file name"])
def test_any_change_is_seen(root: Path, settings: MakeSettings, cache: Path, change: str) -> None:
    first = open_folders(settings(), cache=cache)
    changes: dict[str, Any] = {}
    if change in ("pixel", "mask"):
        path = root / ("images" if change == "pixel" else "masks") / "train/train1.png"
        pixels = np.array(Image.open(path))
        pixels[0, 0] = 1 if pixels[0, 0].max() != 1 else 2
        Image.fromarray(pixels).save(path)
    elif change == "classes":
        (root / "classes.txt").write_text("a\nb\nd\n")
    elif change == "file name":
        for kind in ("images", "masks"):
            (root / kind / "train/train1.png").rename(root / kind / "train/train1b.png")
    elif change == "void":
        for path in (root / "masks").rglob("*.png"):
            pixels = np.array(Image.open(path))
            Image.fromarray(np.where(pixels == 255, 254, pixels).astype(np.uint8)).save(path)
        changes = {"void": 254}
    else:
        changes = {"height": 33}
    second = open_folders(settings(**changes), cache=cache)
    assert len(list(cache.iterdir())) == 2
    # A name is no pixel: what was learned from them stays true.
    assert (second.key == first.key) == (change == "file name")


@pytest.mark.parametrize("damage", ["truncate", "remove", "garble"])
def test_damaged_cache_is_made_again(cache: Path, damage: str) -> None:
    first = make(cache)
    folder = next(cache.iterdir())
    if damage == "truncate":
        os.truncate(folder / "images.bin", 10)
    elif damage == "remove":
        (folder / "masks.bin").unlink()
    else:
        (folder / "meta.json").write_text("{")
    second = make(cache)
    assert second.key == first.key
    assert [path.name for path in cache.iterdir()] == [folder.name]


def test_writer_that_comes_second_uses_what_is_there(cache: Path) -> None:
    def slow() -> Iterator[Sample]:
        yield from samples()
        make(cache)

    dataset = cached(cache, source={"name": "x"}, layout=LAYOUT, samples=slow())
    assert dataset.key == make(cache).key
    assert len(list(cache.iterdir())) == 1


def test_failed_samples_leave_nothing(cache: Path) -> None:
    def broken() -> Iterator[Sample]:
        yield next(samples())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(cache, source={"name": "x"}, layout=LAYOUT, samples=broken())
    assert not list(cache.iterdir())


def test_samples_that_belie_the_layout_are_a_bug(cache: Path) -> None:
    with pytest.raises(ValueError, match="samples must be as many and as large as the layout says"):
        cached(cache, source={}, layout=LAYOUT, samples=iter([next(samples())]))


WRITER = """
import sys, time
from pathlib import Path
from tests.datasets.test_cache import LAYOUT, samples
from segsearch.datasets.cache import cached

def stuck():
    yield from samples()
    print("written", flush=True)
    time.sleep(60)

cached(Path(sys.argv[1]), source={"name": "x"}, layout=LAYOUT, samples=stuck())
"""


def test_killed_writer_leaves_nothing_wrong(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(cache)],
        stdout=subprocess.PIPE,
        cwd=here,
        env={**os.environ, "PYTHONPATH": "."},
    ) as writer:
        stdout: IO[bytes] | None = writer.stdout
        assert stdout is not None
        assert stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)
    left = list(cache.iterdir())
    assert [path.name.startswith(".segsearch-") for path in left] == [True]
    dataset = make(cache)
    assert dataset.train.images[:, 0, 0, 0].tolist() == [0, 1]
    # What it left may belong to a living writer, so it goes only when nobody has written for an hour.
    assert left[0].exists()
    monkeypatch.setattr(workshop.time, "time", lambda start=time.time(): start + 3700)
    make(cache, source="y")
    assert not left[0].exists()


def test_full_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(cache_module.os, "fsync", full)
    with pytest.raises(StorageFull, match="no room left"):
        make(cache)
    assert not list(cache.iterdir())


def test_cache_that_is_a_file(cache: Path) -> None:
    cache.write_text("")
    with pytest.raises(DataError, match=r"cache: the cache of decoded images must be writable; got: .*Choose another"):
        make(cache)
