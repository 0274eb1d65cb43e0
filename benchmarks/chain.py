"""Each step of the compression alone and the chain of them, beside the float network that they all begin with.

    python benchmarks/chain.py --data ../shared/camvid [--seeds 3] [--epochs 15] [--width 1.0] [--out runs/chain]
    python benchmarks/chain.py --out runs/chain --table

One network, EfficientNet-Lite0's stages up to 1/16 with pyramid pooling and two skips at input scale 0.5, learns from
its pretrained weights; what is pruned or factorised learns on from there for a fifth of the epochs, what is `trained`
in int8 for 7 % of the steps. It is a study of segsearch's own for each seed (`segsearch run` goes on with one that was
stopped; several seeds may be run side by side by `--only SEED`), so that mIoU, latency, size and their intervals are
those of the exported files. mIoU is the mean over seeds with the least and the most; a loss is between files of the
same seed; ratios are to that seed's float file, all timed on one machine in turn.

Needs a folder of CamVid's layout and the extra segsearch[pretrained]; without --data it says so and ends.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import chain_space
from chain_space import WAYS

import segsearch
from segsearch.settings.search import Scalar
from segsearch.survey.beginnings import PRETRAINED_RATE, WHOLE

SPACE = Path(chain_space.__file__)


def settings(seed: int, options: argparse.Namespace) -> dict[str, object]:
    network: Mapping[str, Scalar] = {**WHOLE, "width_multiplier": options.width, "input_scale": "0.5"}
    drawn = {name: value for name, value in network.items() if name not in ("bits", "prune_die")}
    return {
        "name": f"chain-{seed}",
        "seed": seed,
        "trials": len(WAYS),
        "space": str(SPACE),
        "objectives": ["miou", "latency_ms"],
        "output": "mask",
        "data": {"kind": "folders", "root": str(options.data), "height": 360, "width": 480, "void": 11},
        "train": {
            "epochs": options.epochs,
            "fine_tune_epochs": max(1, options.epochs // 5),
            "batch_size": 4,
            "learning_rate": PRETRAINED_RATE,
            "pretrained": "efficientnet-lite0",
            "start_rate": 1.0,
            "crop": 1.0,
            "smallest_zoom": 1.0,
            "largest_zoom": 1.5,
        },
        "timing": {"threads": 1},
        "search": {"startup_trials": 1, "startup_on_top": False, "first": [{"way": way, **drawn} for way in WAYS]},
    }


def run(options: argparse.Namespace) -> None:
    for seed in range(options.seeds) if options.only is None else [options.only]:
        segsearch.run(settings(seed, options), out=options.out / str(seed), progress=True).close()


def table(out: Path, seeds: Sequence[int]) -> None:
    """What each way came to, by the studies that there are."""
    files: dict[str, dict[int, segsearch.Trial]] = {}
    for seed in seeds:
        with segsearch.open(out / str(seed)) as found:
            for trial in found.trials:
                if trial.state == "trained":
                    files.setdefault(str(trial.params["way"]), {})[seed] = trial
    base = files.get("float", {})
    print(
        f"{len(base)} seeds{'mIoU':>28s}{'(from, to)':>16s}{'loss':>9s}{'(from, to)':>18s}{'faster':>9s}{'smaller':>9s}"
    )
    for way in WAYS:
        both = {seed: trial for seed, trial in files.get(way, {}).items() if seed in base}
        if not both:
            print(f"{way:32s}     none")
            continue
        mious = [trial.values["miou"] for trial in both.values()]
        losses = [base[seed].values["miou"] - trial.values["miou"] for seed, trial in both.items()]
        faster, smaller = (
            mean(base[seed].values[name] / trial.values[name] for seed, trial in both.items())
            for name in ("latency_ms", "size_bytes")
        )
        print(
            f"{way:32s}{mean(mious):8.4f}  ({min(mious):.3f}, {max(mious):.3f})"
            f"{mean(losses):+9.4f}  ({min(losses):+.4f}, {max(losses):+.4f}){faster:8.2f}x{smaller:8.2f}x"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", type=int, help="run this seed alone")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path("runs/chain"))
    parser.add_argument("--table", action="store_true", help="print what there is and run nothing")
    options = parser.parse_args()
    if not options.table:
        if options.data is None:
            print("chain: needs --data, a folder of CamVid's layout.", file=sys.stderr)
            return 2
        run(options)
    table(options.out, [seed for seed in range(options.seeds) if (options.out / str(seed)).is_dir()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
