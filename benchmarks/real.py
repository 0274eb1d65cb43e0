"""A search for real: segsearch beside Optuna's TPE with the gate, on CamVid, by the clock of one machine.

    python benchmarks/real.py --data ../shared/camvid [--only tpe] [--trials 40] [--seed 0] [--out runs/real]
    python benchmarks/real.py --table [--out runs/real]

Both draw sub-networks of EfficientNet-Lite0 that begin from its weights, on images of 180x240, five epochs each and
one thread, for mIoU and latency of at most `LIMIT_MS`, from the same seed and without first designs. `tpe` is what a
user writes by hand at best: candidates beyond the limit are left out before they train, ten at random to begin with;
each training is one file. `segsearch` is what `segsearch new` writes: eight looks for each training, each at the best
of sixteen proposals, and of siblings and tails those that are worth it. Stopped, it goes on.

Two searches on one machine keep still while either of them measures, and the one that measures more often would slow
the other down. So each has a core and a cache of its own, both at the same time:

    XDG_CACHE_HOME=/tmp/a taskset -c 0 python benchmarks/real.py --data ../shared/camvid --only tpe
    XDG_CACHE_HOME=/tmp/b taskset -c 1 python benchmarks/real.py --data ../shared/camvid --only segsearch

The table says which share of the box of mIoU from `WORST` to `BEST` and of the logarithm of latency from `LEAST_MS` to
the limit the exported files dominate, after so many minutes, and in which share of a rival's time segsearch reaches
what that has in the end. Time is that from the first stage on; where nothing was finished for `PAUSE_MINUTES`, the
search was stopped, and the time counts for nothing. Needs a folder of CamVid's layout and segsearch[pretrained].
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from problem import share_of_box

import segsearch
from segsearch.judging.reading import open_to_read
from segsearch.survey.beginnings import PRETRAINED_RATE

SPACE = "efficientnet_lite"
LIMIT_MS, LEAST_MS, WORST, BEST = 6.0, 0.5, 0.2, 0.7
PAUSE_MINUTES = 15.0
MARKS_MINUTES = (10, 20, 30, 45, 60, 90, 120, 180)
WAYS: Mapping[str, Mapping[str, object]] = {
    "tpe": {"screen": 0, "siblings": 0, "tails": 0, "startup_trials": 10},
    "segsearch": {
        "screen": 8,
        "proposals": 16,
        "startup_trials": 4,
        "siblings": 8,
        "tails": 1,
        "sibling_gain": 0.001,
    },
}


def settings(way: str, options: argparse.Namespace) -> dict[str, object]:
    return {
        "name": f"real-{way}-{options.seed}",
        "seed": options.seed,
        "trials": options.trials,
        "space": SPACE,
        "objectives": ["miou", "latency_ms"],
        "limits": [f"latency_ms<={LIMIT_MS:g}"],
        "output": "mask",
        "data": {"kind": "folders", "root": str(options.data.resolve()), "height": 180, "width": 240, "void": 11},
        "train": {
            "epochs": 5,
            "fine_tune_epochs": 1,
            "batch_size": 4,
            "learning_rate": PRETRAINED_RATE,
            "pretrained": "efficientnet-lite0",
            "start_rate": 1.0,
            "crop": 1.0,
            "smallest_zoom": 1.0,
            "largest_zoom": 1.5,
            "threads": 1,
        },
        "timing": {"threads": 1},
        "search": {"sampler": "tpe", **WAYS[way]},
    }


@dataclass(frozen=True)
class Model:
    """A file within the limit, and the minute of the search at which it was there."""

    minute: float
    miou: float
    latency_ms: float


@dataclass(frozen=True)
class Ran:
    """What a search came to: its files, and the minutes and trainings that it has taken so far."""

    models: Sequence[Model]
    minutes: float
    trainings: int

    def share(self, minutes: float) -> float:
        """What the files dominate that were there by then."""
        models = [(one.miou, one.latency_ms) for one in self.models if one.minute <= minutes]
        return share_of_box(models, miou=(WORST, BEST), cost=(LEAST_MS, LIMIT_MS))

    def minutes_to(self, share: float) -> float | None:
        """When that much was dominated."""
        return next((one.minute for one in self.models if self.share(one.minute) >= share), None)


def ran(folder: Path) -> Ran:
    """What is in a run's database by now."""
    with open_to_read(str(folder)) as store:
        name = store.study().name
        rows, stages = store.trials(name), store.stages(name)
    begun = min((stage.finished - stage.seconds for stage in stages), default=0.0)
    ended = [row.finished for row in rows if row.finished is not None]
    moments = sorted({begun, *(stage.finished for stage in stages), *ended})
    clock, at = 0.0, dict[float, float]()
    for before, moment in zip([moments[0], *moments], moments, strict=False):
        step = (moment - before) / 60
        clock += step if step < PAUSE_MINUTES else 0.0
        at[moment] = clock
    models = [
        Model(at[row.finished], row.values["miou"], row.values["latency_ms"])
        for row in rows
        if row.state == "trained" and row.finished is not None and row.values["latency_ms"] <= LIMIT_MS
    ]
    models.sort(key=lambda one: one.minute)
    return Ran(models, clock, sum(row.is_training for row in rows))


def table(out: Path, seed: int) -> None:
    found = {way: ran(out / f"{way}-{seed}") for way in WAYS if (out / f"{way}-{seed}" / "study.db").exists()}
    if not found:
        print("nothing yet")
        return
    longest = max(one.minutes for one in found.values())
    marks = [mark for mark in MARKS_MINUTES if mark < longest]
    heads = "".join(f"{f'{mark} min':>9s}" for mark in marks)
    print(f"{'':12s}{'trainings':>10s}{'files':>7s}{'minutes':>9s}{heads}{'end':>9s}")
    for way, one in found.items():
        shares = "".join(f"{one.share(mark) if mark <= one.minutes else float('nan'):9.3f}" for mark in marks)
        share = one.share(one.minutes)
        print(f"{way:12s}{one.trainings:10d}{len(one.models):7d}{one.minutes:9.1f}{shares}{share:9.3f}")
    if len(found) == len(WAYS):
        rival, own = found["tpe"], found["segsearch"]
        took = own.minutes_to(rival.share(rival.minutes))
        last = rival.minutes_to(rival.share(rival.minutes)) or rival.minutes
        there = "is not there" if took is None else f"was there after {took:.1f}: {took / last:.2f} of that"
        print(f"what tpe has in the end it had after {last:.1f} minutes; segsearch {there}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of CamVid's layout")
    parser.add_argument("--only", choices=list(WAYS), help="run this way alone")
    parser.add_argument("--trials", type=int, default=40, help="trainings of each way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/real"))
    parser.add_argument("--table", action="store_true", help="print what there is and run nothing")
    options = parser.parse_args()
    if not options.table:
        if options.data is None:
            print("real: needs --data, a folder of CamVid's layout. Nothing was done.")
            return 0
        for way in WAYS if options.only is None else [options.only]:
            out = options.out / f"{way}-{options.seed}"
            segsearch.run(settings(way, options), out=out, progress=True).close()
    table(options.out, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
