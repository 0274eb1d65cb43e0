"""`run.py` of a handed-over folder: segsearch's masks pixel for pixel where segsearch cannot be imported."""

from __future__ import annotations

import ast
import io
import json
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segsearch.datasets.decode import Exif, Fault, Levels, read_image, resize_image
from segsearch.handover.write import RUN
from segsearch.runtimes import RUNTIMES
from segsearch.runtimes.graphs import Ready, with_mask
from segsearch.trial.score import classes_of, nearest, to_input
from segsearch.workshop import sha256_of
from tests.models import convolutions

SIDE = 32
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9")
# Whatever reads a file's pixels must come from numpy, Pillow and ONNX Runtime.
ALONE = """
import runpy, sys
sys.modules.update(dict.fromkeys(("segsearch", "torch", "onnx", "pydantic", "sqlalchemy", "typer")))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def handed(folder: Path, *, mask: bool = True, levels: Levels = None, exif: Exif = "turn") -> Path:
    """A folder as it is handed over, as far as `run.py` reads it."""
    folder.mkdir(parents=True)
    model = convolutions(folder / "model.onnx", size=SIDE, depth=2, channels=len(COLOURS))
    if mask:
        with_mask(Ready(model), model)
    told: Any = {"black": levels[0], "white": levels[1]} if isinstance(levels, tuple) else levels
    about = {
        "files": [{"file": "model.onnx", "sha256": sha256_of(model)}],
        "input": {"name": "image", "height": SIDE, "width": SIDE, "levels": told},
        "exif": exif,
        "classes": [{"index": at, "name": str(at), "colour": colour} for at, colour in enumerate(COLOURS)],
    }
    (folder / "model.json").write_text(json.dumps(about))
    shutil.copyfile(RUN, folder / "run.py")
    return folder


def run_alone(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-I", "-c", ALONE, str(folder / "run.py"), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, cwd=folder.parent)


def expected(folder: Path, image: Path, *, levels: Levels = None, exif: Exif = "turn") -> NDArray[np.int64]:
    """The mask that segsearch makes of an image, at its own size."""
    pixels = read_image(image, levels=levels, exif=exif)
    answer = (
        RUNTIMES["onnxruntime"].open(folder / "model.onnx", threads=1).run(to_input(resize_image(pixels, SIDE, SIDE)))
    )
    return nearest(classes_of(answer), pixels.shape[:2])


def colours(height: int, width: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth colours, so that classes lie in patches."""
    draw = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(draw).resize((width, height), Image.Resampling.BICUBIC))


def grey16(path: Path, **options: Any) -> None:
    Image.fromarray(colours(40, 50)[..., 0].astype(np.uint16) * 250).save(path, **options)


def turned(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def palette(path: Path) -> None:
    Image.fromarray(colours(48, 80)).quantize(32).save(path)


def see_through(path: Path) -> None:
    pixels = np.dstack([colours(33, 61), np.full((33, 61), 90, dtype=np.uint8)])
    Image.fromarray(pixels).save(path)


def colour16(path: Path, *, darker: int = 1) -> None:
    """A PNG of 16 bits a colour, which Pillow cannot write."""
    pixels = (colours(20, 30) // darker).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 30, 20, 16, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


# Each picks on one rule of reading.
PICTURES: dict[str, Callable[[Path], Any]] = {
    "tall.jpg": lambda path: Image.fromarray(colours(90, 41)).save(path),
    "small.png": lambda path: Image.fromarray(colours(9, 11)).save(path),
    "same.png": lambda path: Image.fromarray(colours(SIDE, SIDE)).save(path),
    "grey.png": lambda path: Image.fromarray(colours(50, 60)[..., 0]).save(path),
    "bits.png": lambda path: Image.fromarray(colours(50, 60)[..., 0] > 120).save(path),
    "palette.png": palette,
    "alpha.png": see_through,
    "deep.png": colour16,
    "exif6.jpg": lambda path: Image.fromarray(colours(40, 60)).save(path, exif=turned(6)),
    "exif3.jpg": lambda path: Image.fromarray(colours(40, 60)).save(path, exif=turned(3)),
    "exif8.tif": lambda path: Image.fromarray(colours(40, 60)).save(path, exif=turned(8)),
    "exif5.tif": lambda path: Image.fromarray(colours(40, 60)).save(path, exif=turned(5)),
    "moving.webp": lambda path: Image.fromarray(colours(30, 40)).save(
        path, save_all=True, append_images=[Image.fromarray(colours(30, 40, seed=1))], lossless=True
    ),
    "image.bmp": lambda path: Image.fromarray(colours(30, 40)).save(path),
    "UPPER.PNG": lambda path: Image.fromarray(colours(30, 40)).save(path),
}


def drawn(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, draw in PICTURES.items():
        draw(folder / name)
    return folder


@pytest.mark.parametrize("exif", ["turn", "ignore"])
@pytest.mark.parametrize("mask", [True, False])
def test_masks_are_segsearchs_pixel_for_pixel(tmp_path: Path, mask: bool, exif: Exif) -> None:
    folder, pictures = handed(tmp_path / "model", mask=mask, exif=exif), drawn(tmp_path / "pictures")
    done = run_alone(folder, pictures, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{len(PICTURES)} masks in {tmp_path / 'out'}, 0 skipped\n"
    seen = set[int]()
    for name in PICTURES:
        image = pictures / name
        with Image.open((tmp_path / "out" / "masks" / name).with_suffix(".png")) as found:
            assert found.mode == "L"
            written = np.asarray(found)
        assert np.array_equal(written, expected(folder, image, exif=exif)), name
        seen.update(written.ravel().tolist())
    assert len(seen) > 2, "the test sees several classes"


@pytest.mark.parametrize("levels", [(0.0, 65535.0), (3000.0, 40000.5), "high_byte"])
def test_images_with_more_than_8_bits_are_read_by_the_levels(tmp_path: Path, levels: Levels) -> None:
    folder = handed(tmp_path / "model", levels=levels)
    (tmp_path / "pictures").mkdir()
    grey16(tmp_path / "pictures" / "grey16.png")
    grey16(tmp_path / "pictures" / "turned.tif", exif=turned(6))
    values = colours(40, 50)[..., 1].astype(np.float32) * 200
    Image.fromarray(values).save(tmp_path / "pictures" / "float.tif")
    done = run_alone(folder, tmp_path / "pictures", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    for image in (tmp_path / "pictures").iterdir():
        with Image.open(tmp_path / "out" / "masks" / f"{image.stem}.png") as found:
            assert np.array_equal(np.asarray(found), expected(folder, image, levels=levels)), image


def test_overlays_lie_over_the_image_in_the_classes_colours(tmp_path: Path) -> None:
    folder, image = handed(tmp_path / "model"), tmp_path / "one.png"
    PICTURES["small.png"](image)
    assert run_alone(folder, image, "--out", tmp_path / "out").returncode == 0
    table = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in COLOURS])
    half = (read_image(image).astype(int) + table[expected(folder, image)]) / 2
    with Image.open(tmp_path / "out" / "overlays" / "one.png") as found:
        assert np.abs(np.asarray(found).astype(int) - half).max() <= 1


def pages(path: Path) -> None:
    more = [Image.fromarray(colours(20, 20, seed=1))]
    Image.fromarray(colours(20, 20)).save(path, save_all=True, append_images=more)


BAD: dict[str, Callable[[Path], Any]] = {
    "empty.jpg": lambda path: path.write_bytes(b""),
    "words.png": lambda path: path.write_text("no picture"),
    "cut.jpg": lambda path: path.write_bytes(_jpeg()[:400]),
    "grey16.png": grey16,
    "dark.png": lambda path: colour16(path, darker=8),
    "pages.tif": pages,
}


def _jpeg() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(colours(200, 200)).save(stream, "JPEG")
    return stream.getvalue()


def test_what_cannot_be_read_is_skipped_counted_and_named(tmp_path: Path) -> None:
    folder, pictures = handed(tmp_path / "model"), tmp_path / "pictures"
    pictures.mkdir()
    for name, draw in BAD.items():
        draw(pictures / name)
        with pytest.raises(Fault):
            read_image(pictures / name)
    PICTURES["tall.jpg"](pictures / "good.jpg")
    done = run_alone(folder, pictures, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    first, *lines = done.stdout.splitlines()
    assert first == f"1 masks in {tmp_path / 'out'}, {len(BAD)} skipped"
    assert [Path(line.strip().split(": ")[0]).name for line in lines] == sorted(BAD)
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["good.png"]


@pytest.mark.parametrize("there", ["nowhere", "empty"])
def test_nothing_to_read_is_said(tmp_path: Path, there: str) -> None:
    (tmp_path / "empty").mkdir()
    done = run_alone(handed(tmp_path / "model"), tmp_path / there, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stdout.startswith(f"0 masks in {tmp_path / 'out'}, 1 skipped\n  {tmp_path / there}: ")


def test_names_stay_apart_and_answers_are_not_read_again(tmp_path: Path) -> None:
    folder, pictures = handed(tmp_path / "model"), tmp_path / "pictures"
    (pictures / "deeper").mkdir(parents=True)
    for name in ("a.jpg", "a.png", "deeper/a.png"):
        PICTURES["small.png" if name.endswith("png") else "tall.jpg"](pictures / name)
    out = pictures / "answers"
    for _ in range(2):
        done = run_alone(folder, pictures, "--out", out)
        assert done.stdout == f"3 masks in {out}, 0 skipped\n"
    names = {str(path.relative_to(out / "masks")) for path in (out / "masks").rglob("*.png")}
    assert names == {"a.jpg.png", "a.png.png", "deeper/a.png.png"}


@pytest.mark.parametrize("out", [".", "pictures"])
def test_masks_may_lie_above_or_beside_the_pictures(tmp_path: Path, out: str) -> None:
    """`--out .` once left out every picture below it, as if all were results of an earlier run."""
    folder = handed(tmp_path / "model")
    (tmp_path / "pictures").mkdir()
    PICTURES["tall.jpg"](tmp_path / "pictures" / "a.jpg")
    for _ in range(2):
        done = run_alone(folder, tmp_path / "pictures", "--out", tmp_path / out)
        assert done.stdout == f"1 masks in {tmp_path / out}, 0 skipped\n"


def test_a_file_that_was_altered_answers_nothing(tmp_path: Path) -> None:
    folder = handed(tmp_path / "model")
    PICTURES["tall.jpg"](tmp_path / "a.jpg")
    with (folder / "model.onnx").open("ab") as stream:
        stream.write(b"0")
    done = run_alone(folder, tmp_path / "a.jpg", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "holds other bytes than model.json tells of; copy the folder anew" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_it_is_short_and_needs_three_packages() -> None:
    text = RUN.read_text()
    assert len(text.splitlines()) <= 102
    found = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert found - sys.stdlib_module_names == {"numpy", "PIL", "onnxruntime"}
