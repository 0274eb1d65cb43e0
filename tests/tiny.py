"""A folder as a user has one: images, a space, a study of two designs, and its finished run; all real and tiny."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
from PIL import Image

import segsearch
from tests.scenes import tiny_split

# Images are not of the model's size, 64 x 96: what is answered must find its way back.
HEIGHT, WIDTH = 80, 132
CLASSES = ("sky", "road", "box")

SPACE = """
from segsearch.space import Architecture, Candidate, Draw, EncoderPath, Head, Prune, Quantize, Stage, Stem


def draw(choose: Draw) -> Candidate:
    width = choose.suggest_int("width", 16, 32, step=8)
    prune = choose.suggest_float("prune", 0.0, 0.5, step=0.25)
    ships = choose.suggest_categorical("ships", ("fp32", "int8"))
    path = EncoderPath(Stem(8), (Stage("conv", width, 1, 2),))
    return Candidate(
        Architecture((path,), (), Head(8)),
        before_export=(Prune(prune),) if prune else (),
        after_export=(Quantize(),) if ships == "int8" else (),
    )
"""

# A float file, and one whose weights were pruned before it was quantized.
STUDY = """
name = "mine"
trials = 2
space = "../my_space.py"

[data]
kind = "folders"
root = "../my_data"
height = 64
width = 96

[train]
steps = 40
batch_size = 4

[timing]
max_seconds = 0.5
warmup_runs = 1

[[search.first]]
width = 16
prune = 0.0
ships = "fp32"

[[search.first]]
width = 32
prune = 0.5
ships = "int8"
"""


def write(folder: Path) -> Path:
    """Everything but the run."""
    for split, count, seed in (("train", 8, 0), ("val", 3, 1)):
        drawn = tiny_split(count, seed=seed)
        for kind in ("images", "masks"):
            (folder / "my_data" / kind / split).mkdir(parents=True)
        for index in range(count):
            for kind, pixels in (("images", drawn.images[index]), ("masks", drawn.masks[index])):
                large = Image.fromarray(pixels).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)
                large.save(folder / "my_data" / kind / split / f"{index:02}.png")
    (folder / "my_data" / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    (folder / "my_space.py").write_text(SPACE)
    (folder / "studies").mkdir()
    (folder / "studies" / "mine.toml").write_text(STUDY)
    street = np.asarray(Image.open(folder / "my_data" / "images" / "val" / "00.png"))
    Image.fromarray(street).save(folder / "street.jpg")
    return folder


def make(folder: Path) -> Path:
    """Everything, and the run in `runs/mine`."""
    with contextlib.chdir(write(folder)):
        segsearch.run("studies/mine.toml").close()
    return folder
