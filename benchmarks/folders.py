"""`segsearch new` on large folders, and on folders that something is wrong with.

    python benchmarks/folders.py speed --pairs 2000 16000     seconds and peak memory of the command
    python benchmarks/folders.py fuzz --count 2000            how mutated folders end: a study, a refusal, anything else

`speed` makes pairs of 640x480 JPEG images and PNG masks in a folder that is removed afterwards (copies of 200 different
ones, each image with bytes of its own at its end). `fuzz` changes right folders of nine layouts by a fixed seed: names,
modes, sizes, truncations, links, lists, class lists; a study that is written is opened as a run opens it.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from segsearch.datasets import open_dataset
from segsearch.errors import UserError
from segsearch.readings.types import Wanted
from segsearch.study import read_study
from segsearch.survey.look import look
from segsearch.survey.scaffold import write_study

DIFFERENT = 200


def scene(seed: int, height: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Textured ground and one rectangle of each other class."""
    draw = np.random.default_rng(seed)
    label = np.zeros((height, width), np.uint8)
    for value in range(1, classes):
        tall, wide = int(draw.integers(height // 4, height // 2)), int(draw.integers(width // 4, width // 2))
        top, left = int(draw.integers(0, height - tall)), int(draw.integers(0, width - wide))
        label[top : top + tall, left : left + wide] = value
    image = (label[..., None] * 37 % 200 + 30 + draw.integers(0, 40, (height, width, 3))).astype(np.uint8)
    return image, label


def speed(pairs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="segsearch-folders-") as scratch:
        root = Path(scratch) / "data"
        for kind in ("images", "masks"):
            (root / kind).mkdir(parents=True)
        made = []
        for seed in range(DIFFERENT):
            image, label = scene(seed, 480, 640, 6)
            smooth = Image.fromarray(image).resize((160, 120)).resize((640, 480))
            smooth.save(Path(scratch) / "one.jpg", quality=90)
            Image.fromarray(label).save(Path(scratch) / "one.png")
            made.append(((Path(scratch) / "one.jpg").read_bytes(), (Path(scratch) / "one.png").read_bytes()))
        for number in range(pairs):
            jpeg, png = made[number % DIFFERENT]
            (root / f"images/IMG_{number:06d}.jpg").write_bytes(jpeg + number.to_bytes(4, "little"))
            (root / f"masks/IMG_{number:06d}_mask.png").write_bytes(png)
        command = [sys.executable, "-m", "segsearch", "new", str(root), "--out", str(Path(scratch) / "mine.toml")]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        took = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(
            f"{pairs:>7} pairs  {took:6.1f} s  {peak:6.0f} MiB at most of any child so far  exit code {done.returncode}"
        )
        if done.returncode:
            print(done.stderr)


def base(root: Path, draw: random.Random) -> None:
    """A folder that is right, of one of several layouts."""
    layout = draw.choice(["flat", "splits", "beside", "endings", "lists", "voc", "rgb", "split first", "binary"])
    height, width, classes = draw.randrange(8, 40), draw.randrange(8, 40), 2 if layout == "binary" else 3
    names = []
    for number in range(draw.randrange(4, 12)):
        image, label = scene(draw.randrange(10**6), height, width, classes)
        split = "train" if number % 4 else "val"
        where = {
            "splits": (f"images/{split}/{number}.png", f"masks/{split}/{number}.png"),
            "split first": (f"{split}/images/{number}.jpg", f"{split}/masks/{number}.png"),
            "beside": (f"{number}.jpg", f"{number}.png"),
            "endings": (f"images/{number}_leftImg8bit.png", f"labels/{number}_gt.png"),
            "voc": (f"JPEGImages/{number}.jpg", f"SegmentationClass/{number}.png"),
        }.get(layout, (f"images/{number}.png", f"masks/{number}.png"))
        pixels = label
        if layout == "rgb":
            pixels = np.array([[0, 0, 0], [200, 10, 10], [10, 200, 10]], np.uint8)[label]
        if layout == "binary":
            pixels = label * np.uint8(255)
        for inner, content in zip(where, (image, pixels), strict=True):
            path = root / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(path)
        names.append(where)
    if layout == "lists":
        (root / "train.txt").write_text("".join(f"{a} {b}\n" for a, b in names[1:]))
        (root / "val.txt").write_text("".join(f"{a} {b}\n" for a, b in names[:1]))
    if layout == "voc":
        (root / "ImageSets/Segmentation").mkdir(parents=True)
        (root / "ImageSets/Segmentation/train.txt").write_text("".join(f"{Path(a).stem}\n" for a, _ in names[1:]))
    if draw.random() < 0.4:
        (root / "classes.txt").write_text("\n".join(["ground", "car", "tree", "sky"][: draw.randrange(1, 5)]))


def cut(path: Path, root: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content) + 1)])


def rubbish(path: Path, root: Path, draw: random.Random) -> None:
    path.write_bytes(bytes(draw.randrange(256) for _ in range(draw.randrange(200))))


def one_byte(path: Path, root: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes() or b" ")
    content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content)


def removed(path: Path, root: Path, draw: random.Random) -> None:
    path.unlink()


def emptied(path: Path, root: Path, draw: random.Random) -> None:
    path.write_bytes(b"")


def renamed(path: Path, root: Path, draw: random.Random) -> None:
    names = ["\u00fc \u00df", "a.b", "-", "x" * 200, "mask", "0", "\udce4", "a\tb", " "]
    path.rename(path.with_name(draw.choice(names) + path.suffix))


def other_suffix(path: Path, root: Path, draw: random.Random) -> None:
    path.rename(path.with_suffix(draw.choice([".PNG", ".tif", ".txt", "", ".jpeg", ".gif"])))


def copied(path: Path, root: Path, draw: random.Random) -> None:
    shutil.copy(path, path.with_name(f"copy_{path.name}"))


def linked(path: Path, root: Path, draw: random.Random) -> None:
    link = path.parent / draw.choice(["loop", "masks", "images"])
    if not link.exists() and not link.is_symlink():
        link.symlink_to(draw.choice([root, path.parent, root / "nowhere"]), target_is_directory=True)


def listed_classes(path: Path, root: Path, draw: random.Random) -> None:
    names = ["classes.txt", "labels.txt", "labelmap.txt", "_classes.csv", "class_dict.csv", "dataset.json"]
    texts = ["", "a\n\nb\n", "a\na\n", "0 a\n1 b\n", "name,r,g,b\na,1,2\n", '{"labels": 3}', "\ufeffa\r\nb", "[" * 5000]
    (root / draw.choice(names)).write_text(draw.choice(texts))


def listed_splits(path: Path, root: Path, draw: random.Random) -> None:
    texts = ["nothing here\n", "0\n0\n", "../../etc/passwd x\n", "images/1.png\n", "\0\n", ""]
    (root / draw.choice(["train.txt", "val.txt", "test.txt"])).write_text(draw.choice(texts))


def folder_made(path: Path, root: Path, draw: random.Random) -> None:
    names = [".ipynb_checkpoints", "@eaDir", "test", "train", "SegmentationObject"]
    (path.parent / draw.choice(names)).mkdir(exist_ok=True)


def other_size(path: Path, root: Path, draw: random.Random) -> None:
    with contextlib.suppress(OSError, ValueError), Image.open(path) as picture:
        picture.resize((draw.randrange(1, 50), draw.randrange(1, 50))).save(path)


def turned(path: Path, root: Path, draw: random.Random) -> None:
    exif = Image.Exif()
    exif[0x0112] = draw.randrange(0, 12)
    with contextlib.suppress(OSError, ValueError), Image.open(path) as picture:
        picture.copy().save(path, exif=exif)


def other_mode(path: Path, root: Path, draw: random.Random) -> None:
    mode = draw.choice(["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I", "F", "I;16", "HSV"])
    suffix = draw.choice([path.suffix, ".png", ".tif", ".jpg"])
    with contextlib.suppress(OSError, ValueError), Image.open(path) as picture:
        picture.convert(mode).save(path.with_suffix(suffix))


MUTATIONS = (
    cut,
    rubbish,
    one_byte,
    removed,
    emptied,
    renamed,
    other_suffix,
    copied,
    linked,
    listed_classes,
    listed_splits,
    folder_made,
    other_size,
    turned,
    other_mode,
    other_mode,
)


def mutate(root: Path, draw: random.Random) -> None:
    """One thing goes wrong with one file or beside it."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    if files:
        with contextlib.suppress(OSError):  # a name that is taken, or too long
            draw.choice(MUTATIONS)(draw.choice(files), root, draw)


def fuzz(count: int, seed: int) -> int:
    ends: Counter[str] = Counter()
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory(prefix="segsearch-fuzz-") as scratch:
            root = Path(scratch) / "data"
            root.mkdir()
            base(root, draw)
            for _ in range(draw.randrange(1, 4)):
                mutate(root, draw)
            try:
                found = look(root, Wanted(unlabelled=draw.choice([None, "skip"])))
                write_study(found, Path(scratch) / "mine.toml")
                study = read_study(Path(scratch) / "mine.toml")
                ends["written, opens"] += 1
                open_dataset(study.data, cache=Path(scratch) / "cache")
            except UserError as error:
                kind = "written, refused by a run" if (Path(scratch) / "mine.toml").exists() else "refused"
                ends[kind] += 1
                ends["written, opens"] -= kind != "refused"
                if kind != "refused":
                    print(f"{number}: {str(error)[:300]}")
            except Exception:
                ends["TRACEBACK"] += 1
                print(f"{number}:", traceback.format_exc(limit=-4))
    print(", ".join(f"{words}: {times}" for words, times in sorted(ends.items())))
    return ends["TRACEBACK"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["speed", "fuzz"])
    parser.add_argument("--pairs", type=int, nargs="+", default=[2000, 16000])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.what == "fuzz":
        return fuzz(options.count, options.seed)
    for pairs in options.pairs:
        speed(pairs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
