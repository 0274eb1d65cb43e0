"""How well a search foresees, told from a run that made all its siblings: costs before a look, gains before a file.

    python benchmarks/foresee.py runs/mine [--box 0.2 0.7 0.5 6]

Costs: from the first so many models that were timed, how far off the next sixty proposals are foreseen (medians of the
absolute error of the logarithm, and the spread of what there was). Gains: before each sibling is made, what it was
expected to add to the hypervolume of the front, by what was known then; and what all those above a threshold added in
the end, of all that siblings added. The box is that of mIoU and latency in which hypervolume is a share; the study's
objectives must be these two. Nothing is changed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from problem import share_of_box

from segsearch.judging.reading import open_to_read
from segsearch.search.expect import expected
from segsearch.search.foresee import foreseen
from segsearch.search.surrogate import Unfit
from segsearch.store.rows import TrialRow
from segsearch.study import Study

KNOWN = (20, 40, 80, 150, 200)
NEXT = 60
THRESHOLDS = (0.0, 0.0001, 0.0003, 0.001, 0.003, 0.01)


def costs(rows: Sequence[TrialRow], study: Study) -> None:
    """How far off the cost of what is looked at is foreseen."""
    timed = [row for row in rows if row.values.get("latency_ms") and row.state != "duplicate"]
    print(f"{'known':>6s}{'latency off by':>16s}{'spread':>8s}   of the next {NEXT} that are looked at")
    for known in KNOWN:
        new = [row for row in timed[known:] if row.origin is None][:NEXT]
        if len(new) < NEXT // 2:
            break
        proposals = [(dict(row.params), row.candidate) for row in new]
        found = foreseen(proposals, timed[:known], study)
        off = [
            abs(math.log(one.values["latency_ms"] / row.values["latency_ms"]))
            for one, row in zip(found, new, strict=True)
        ]
        spread = statistics.pstdev(math.log(row.values["latency_ms"]) for row in new)
        print(f"{known:6d}{statistics.median(off):16.3f}{spread:8.2f}")


def gains(rows: Sequence[TrialRow], study: Study, box: Sequence[float]) -> None:
    """What siblings were expected to add, and what they added."""
    worst, best, least, most = box

    def share(models: Sequence[TrialRow]) -> float:
        return share_of_box(
            [(row.values["miou"], row.values["latency_ms"]) for row in models], miou=(worst, best), cost=(least, most)
        )

    trained = sorted((row for row in rows if row.state == "trained"), key=lambda row: row.finished or 0.0)
    told: list[tuple[float, float]] = []
    for place, row in enumerate(trained):
        if row.origin is None:
            continue
        before = trained[:place]
        try:
            found = expected(foreseen([(dict(row.params), row.candidate)], before, study), before, study)
        except Unfit:
            continue
        told.append((found.gains[0] / found.reached, share(trained[: place + 1]) - share(before)))
    everything = sum(added for _, added in told)
    print(f"\n{'expected at least':>18s}{'siblings':>10s}{'added':>8s}   of {everything:.3f} in all")
    for threshold in THRESHOLDS:
        kept = [added for hoped, added in told if hoped >= threshold]
        print(f"{threshold:18.2%}{len(kept):10d}{sum(kept) / everything:8.0%}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="a run's folder or database")
    parser.add_argument("--box", type=float, nargs=4, default=(0.2, 0.7, 0.5, 6.0), metavar=("M", "M", "MS", "MS"))
    options = parser.parse_args()
    if options.run is None:
        print("foresee: needs a run that made its siblings. Nothing was done.")
        return 0
    with open_to_read(str(options.run)) as store:
        study = store.study()
        rows = list(store.trials(study.name))
    costs(rows, study.study)
    gains(rows, study.study, options.box)
    return 0


if __name__ == "__main__":
    sys.exit(main())
