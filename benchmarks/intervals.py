"""How often the 95 % interval of a mIoU, and of a difference of two, holds the value of a large population of images.

    python benchmarks/intervals.py

Made-up splits (`tests/evidence/scenes.py`): scenes that are hard for both models, sizes that differ widely, and either
four classes that nearly every image holds or eleven of which some are in a tenth of them. Splits without an interval
(a class lies in one image only) are counted and left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from segsearch.evidence.images import NoSpread
from segsearch.evidence.resample import gap, spread_of
from tests.evidence.scenes import ALL, FEW, draw_two

POPULATION = 20_000
SPLITS = 1000


def main() -> None:
    for name, presence, sizes in (
        ("4 classes", ALL, (4, 8, 16, 50, 100, 300)),
        ("11 classes", FEW, (16, 50, 100, 300)),
    ):
        dice = np.random.default_rng(1)
        one, other = draw_two(dice, POPULATION, presence)
        long_run, difference = one.miou, one.miou - other.miou
        for images in sizes:
            held = apart = without = 0
            halves, narrow = [], []
            for _ in range(SPLITS):
                mine, its = draw_two(dice, images, presence)
                found, there = spread_of(mine), spread_of(its)
                between = gap(mine.miou, found, its.miou, there)
                if isinstance(found, NoSpread) or between is None:
                    without += 1
                    continue
                held += found.low <= long_run <= found.high
                apart += between.low <= difference <= between.high
                halves.append((found.high - found.low) / 2)
                narrow.append((between.high - between.low) / 2)
            count = len(halves)
            print(
                f"{name:10s} {images:4d} images: {held / count:6.1%} hold the value, "
                f"{apart / count:6.1%} the difference; "
                f"half-widths {np.mean(halves):.4f} and {np.mean(narrow):.4f}; {without} without",
                flush=True,
            )


if __name__ == "__main__":
    main()
