"""Images a second: segsearch's training against the plain loop a user would write, in turn, same network and batch.

    python benchmarks/training.py [--data ../shared/camvid] [--rounds 3] [--steps 20]

Without --data, street scenes are generated and written as JPEG and PNG first.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from segsearch.datasets import Dataset, open_dataset
from segsearch.networks import build
from segsearch.settings.data import DataSettings
from segsearch.space.architecture import Architecture, Context, EncoderPath, Feature, Head, Join, Stage, Stem
from segsearch.training.loop import train
from segsearch.training.schedule import Schedule

CROP = (180, 240)
SIZE = (360, 480)
BATCH = 8


def network_of(block: str) -> Architecture:
    """A mobile network of one block type with pyramid pooling and skip connections."""
    expansion = 4.0 if block == "inverted_residual" else 1.0
    stages = tuple(Stage(block, width, 2, 2 if width < 128 else 1, expansion=expansion) for width in (32, 64, 96, 128))
    context = Context("pyramid_pooling", 64, bins=(1, 2, 4))
    joins = (Join("add", Feature(0, 2), 64), Join("add", Feature(0, 1), 64))
    return Architecture((EncoderPath(Stem(16), stages, context),), joins, Head(64, block="separable"), input_scale=0.5)


class PlainFolder(TorchDataset[tuple[torch.Tensor, torch.Tensor]]):
    """Opens, decodes, augments one item at a time, as tutorials do."""

    def __init__(self, images: list[Path], masks: list[Path]) -> None:
        self.pairs = list(zip(images, masks, strict=True))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = Image.open(self.pairs[index][0]).convert("RGB")
        mask: Image.Image = Image.open(self.pairs[index][1])
        zoom = random.uniform(0.5, 2.0)
        size = (round(CROP[1] * zoom), round(CROP[0] * zoom))
        image, mask = image.resize(size, Image.Resampling.BILINEAR), mask.resize(size, Image.Resampling.NEAREST)
        left, top = random.randint(min(0, size[0] - CROP[1]), max(0, size[0] - CROP[1])), 0
        top = random.randint(min(0, size[1] - CROP[0]), max(0, size[1] - CROP[0]))
        box = (left, top, left + CROP[1], top + CROP[0])
        image, mask = image.crop(box), mask.crop(box)
        if random.random() < 0.5:
            flip = Image.Transpose.FLIP_LEFT_RIGHT
            image, mask = image.transpose(flip), mask.transpose(flip)
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhance(image).enhance(random.uniform(0.75, 1.25))
        pixels = torch.from_numpy(np.asarray(image, dtype=np.float32).transpose(2, 0, 1).copy())
        return pixels, torch.from_numpy(np.asarray(mask, dtype=np.int64).copy())


def plain_loop(architecture: Architecture, folder: PlainFolder, classes: int, *, steps: int, workers: int) -> float:
    """Images a second of the plain loop: default memory format, float32."""
    network = build(architecture, classes).train()
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    loader = DataLoader(folder, batch_size=BATCH, shuffle=True, num_workers=workers, drop_last=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    done, start = 0, 0.0
    while done < steps + 2:
        for images, masks in loader:
            if done == 2:  # the first steps warm up, for both sides
                start = time.perf_counter()
            optimizer.zero_grad()
            scores = F.interpolate(network.scores(images), size=CROP, mode="bilinear", align_corners=False)
            masks[masks >= classes] = -100
            F.cross_entropy(scores, masks).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            done += 1
            if done == steps + 2:
                break
    return steps * BATCH / (time.perf_counter() - start)


def ours(architecture: Architecture, dataset: Dataset, *, steps: int) -> float:
    """Images a second of `segsearch.training.loop`."""
    marks: list[float] = []

    class Enough(Exception):
        pass

    def mark(stage: str, done: int, total: int, /) -> None:
        marks.append(time.perf_counter())
        if done == steps + 2:
            raise Enough

    schedule = Schedule(100, BATCH, 1e-3, 1e-2, *CROP, "log", seed=0)
    classes = len(dataset.classes)
    network, device = build(architecture, classes), torch.device("cpu")
    with contextlib.suppress(Enough):
        train(network, dataset.train, schedule, classes=classes, device=device, progress=mark)
    return steps * BATCH / (marks[-1] - marks[1])


def write_scenes(folder: Path, dataset: Dataset) -> None:
    """The generated scenes as files, so that both sides read the same pixels."""
    for split, part in (("train", dataset.train), ("val", dataset.validation)):
        for kind in ("images", "masks"):
            (folder / kind / split).mkdir(parents=True)
        for index, name in enumerate(part.names):
            Image.fromarray(np.asarray(part.images[index])).save(folder / "images" / split / f"{name}.jpg", quality=92)
            Image.fromarray(np.asarray(part.masks[index])).save(folder / "masks" / split / f"{name}.png")
    (folder / "classes.txt").write_text("\n".join(dataset.classes) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--void", type=int, default=11)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root, void = options.data, options.void
        if root is None:
            root, void = Path(scratch) / "scenes", 255
            settings = DataSettings(kind="synthetic", height=SIZE[0], width=SIZE[1], train_count=96, validation_count=4)
            write_scenes(root, open_dataset(settings, cache=Path(scratch) / "cache"))
        settings = DataSettings(kind="folders", root=str(root.resolve()), height=SIZE[0], width=SIZE[1], void=void)
        dataset = open_dataset(settings, cache=Path(scratch) / "cache")
        images = sorted((root / "images" / "train").iterdir())
        folder = PlainFolder(images, [root / "masks" / "train" / f"{image.stem}.png" for image in images])
        print(f"torch threads {torch.get_num_threads()}, batch {BATCH}, crops {CROP}, {len(folder)} images")
        for block in ("residual", "inverted_residual", "separable"):
            architecture = network_of(block)
            rows: dict[str, list[float]] = {"segsearch": [], "plain, 0 workers": [], "plain, 2 workers": []}
            for _ in range(options.rounds):
                rows["segsearch"].append(ours(architecture, dataset, steps=options.steps))
                for workers in (0, 2):
                    rows[f"plain, {workers} workers"].append(
                        plain_loop(architecture, folder, len(dataset.classes), steps=options.steps, workers=workers)
                    )
            best = statistics.median(rows["segsearch"])
            for name, speeds in rows.items():
                speed = statistics.median(speeds)
                print(f"{block:18s} {name:18s} {speed:7.1f} images/s   segsearch is {best / speed:4.2f}x")


if __name__ == "__main__":
    main()
