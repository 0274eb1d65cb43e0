"""Each step of the compression alone and the chain of them, beside the float network that they all begin with.

    python benchmarks/chain.py --data ../shared/camvid [--network residual] [--seeds 3] [--epochs 15] [--out runs/chain]
    python benchmarks/chain.py [--network residual] --out runs/chain --table
    python benchmarks/chain.py --out runs/chain --figure compression.html

One network at input scale 0.5: `lite0`, EfficientNet-Lite0's stages up to 1/16 with pyramid pooling and two skips, from
its pretrained weights; or `residual`, four stages of residual blocks of dense convolutions, from nothing. What is
pruned or factorised learns on from there for a fifth of the epochs, what is `trained` in int8 for 7 % of the steps. It
is a study of segsearch's own for each seed (`segsearch run` goes on with one that was
stopped; several seeds may be run side by side by `--only SEED`), so that mIoU, latency, size and their intervals are
those of the exported files. mIoU is the mean over seeds with the least and the most; a loss is between files of the
same seed; ratios are to that seed's float file, all timed on one machine in turn.

Needs a folder of CamVid's layout and the extra segsearch[pretrained]; without --data it says so and ends.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import chain_space
from chain_space import WAYS
from plotly.subplots import make_subplots

import segsearch
from segsearch.settings.search import Scalar
from segsearch.survey.beginnings import PRETRAINED_RATE, WHOLE

SPACE = Path(chain_space.__file__)
NETWORKS = ("lite0", "residual")
LOOKS = (("#0072B2", "circle"), ("#D55E00", "diamond"))
RESIDUAL: Mapping[str, Scalar] = {
    **{f"stage{stage}_{name}": value for stage in range(1, 5) for name, value in (("block", "residual"), ("depth", 1))},
    "width_multiplier": 1.5,
    "output_stride": "16",
    "stem_width": 16,
    "stage3_atrous": "1",
    "stage4_atrous": "1",
    "context": "pyramid_pooling",
    "context_width": 32,
    "pyramid_bins": "1-2-4",
    "decoder": "add",
    "skip_from": "4",
    "decoder_width": 64,
    "head_width": 64,
    "head_block": "separable",
    "head_upsample": "bilinear",
    "answer_scale": "0.5",
}


def settings(seed: int, options: argparse.Namespace) -> dict[str, object]:
    lite0 = options.network == "lite0"
    network: Mapping[str, Scalar] = {**(WHOLE if lite0 else RESIDUAL), "network": options.network, "input_scale": "0.5"}
    drawn = {name: value for name, value in network.items() if name not in ("bits", "prune_die")}
    start = {"pretrained": "efficientnet-lite0", "start_rate": 1.0} if lite0 else {}
    return {
        "name": f"chain-{options.network}-{seed}",
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
            "learning_rate": PRETRAINED_RATE if lite0 else 2e-3,
            **start,
            "crop": 1.0,
            "smallest_zoom": 1.0,
            "largest_zoom": 1.5,
        },
        "timing": {"threads": 1},
        "search": {"startup_trials": 1, "startup_on_top": False, "first": [{"way": way, **drawn} for way in WAYS]},
    }


def run(options: argparse.Namespace) -> None:
    for seed in range(options.seeds) if options.only is None else [options.only]:
        segsearch.run(settings(seed, options), out=options.out / options.network / str(seed), progress=True).close()


@dataclass(frozen=True)
class Came:
    """What a way came to, seed by seed."""

    mious: Sequence[float]
    losses: Sequence[float]
    faster: float
    smaller: float


def came(out: Path, seeds: Sequence[int]) -> Mapping[str, Came]:
    """What each way came to, by the studies that there are."""
    files: dict[str, dict[int, segsearch.Trial]] = {}
    for seed in seeds:
        with segsearch.open(out / str(seed)) as found:
            for trial in found.trials:
                if trial.state == "trained":
                    files.setdefault(str(trial.params["way"]), {})[seed] = trial
    base, told = files.get("float", {}), {}
    for way in WAYS:
        both = {seed: trial for seed, trial in files.get(way, {}).items() if seed in base}
        if both:
            mious = [trial.values["miou"] for trial in both.values()]
            losses = [base[seed].values["miou"] - trial.values["miou"] for seed, trial in both.items()]
            faster, smaller = (
                mean(base[seed].values[name] / trial.values[name] for seed, trial in both.items())
                for name in ("latency_ms", "size_bytes")
            )
            told[way] = Came(mious, losses, faster, smaller)
    return told


def table(told: Mapping[str, Came]) -> None:
    heads = f"{'mIoU':>8s}{'(from, to)':>16s}{'loss':>9s}{'(from, to)':>18s}{'faster':>9s}{'smaller':>9s}"
    print(f"{'':38s}{'seeds':>6s}{heads}")
    for way, one in told.items():
        print(
            f"{way:38s}{len(one.mious):6d}{mean(one.mious):8.4f}  ({min(one.mious):.3f}, {max(one.mious):.3f})"
            f"{mean(one.losses):+9.4f}  ({min(one.losses):+.4f}, {max(one.losses):+.4f})"
            f"{one.faster:8.2f}x{one.smaller:8.2f}x"
        )


def figure(told: Mapping[str, Mapping[str, Came]], target: Path) -> None:
    """Draw each way's loss, from the least to the most of the seeds, and how much faster and smaller its file is."""
    heads = ("mIoU lost", "times as fast", "times as small")
    drawn = make_subplots(1, 3, shared_yaxes=True, column_titles=heads, horizontal_spacing=0.03)
    for (network, ways), (colour, symbol) in zip(told.items(), LOOKS, strict=False):
        kept = {way: one for way, one in reversed(list(ways.items())) if way != "float"}
        losses = [mean(one.losses) for one in kept.values()]
        ends = {
            "array": [max(one.losses) - mean(one.losses) for one in kept.values()],
            "arrayminus": [mean(one.losses) - min(one.losses) for one in kept.values()],
            "thickness": 1,
        }
        about = {"mode": "markers", "name": network, "marker": {"color": colour, "symbol": symbol, "size": 9}}
        rest = {**about, "y": list(kept), "showlegend": False}
        drawn.add_scatter(x=losses, y=list(kept), error_x=ends, **about, row=1, col=1)
        drawn.add_scatter(x=[one.faster for one in kept.values()], **rest, row=1, col=2)
        drawn.add_scatter(x=[one.smaller for one in kept.values()], **rest, row=1, col=3)
    for column, least in enumerate((0, 1, 1), start=1):
        drawn.add_vline(x=least, line={"color": "#999999", "width": 1}, row=1, col=column)
    drawn.update_yaxes(showgrid=True, gridcolor="#e3e6e9")
    legend = {"orientation": "h", "y": -0.08}
    drawn.update_layout(template="simple_white", legend=legend, width=1000, height=520, margin={"t": 40, "b": 20})
    drawn.write_html(target)


def where(options: argparse.Namespace, network: str) -> tuple[Path, list[int]]:
    """The folder of a network's studies, and the seeds that it has."""
    out = options.out / network
    return out, [seed for seed in range(options.seeds) if (out / str(seed)).is_dir()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", type=int, help="run this seed alone")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--network", choices=NETWORKS, default="lite0")
    parser.add_argument("--out", type=Path, default=Path("runs/chain"))
    parser.add_argument("--table", action="store_true", help="print what there is and run nothing")
    parser.add_argument("--figure", type=Path, help="draw what there is of both networks as a page, and run nothing")
    options = parser.parse_args()
    if not options.table and options.figure is None:
        if options.data is None:
            print("chain: needs --data, a folder of CamVid's layout.", file=sys.stderr)
            return 2
        run(options)
    if options.figure is not None:
        figure({network: came(*where(options, network)) for network in NETWORKS}, options.figure)
        return 0
    table(came(*where(options, options.network)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
