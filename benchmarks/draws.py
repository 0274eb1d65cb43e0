"""Draws of a space that are built, trained for two steps, pruned where they say so and trained for two more.

python benchmarks/draws.py [--space mobile] [--draws 1000] [--log FILE]
    python benchmarks/draws.py --ship [--space all] [--draws 500] [--log FILE]

Each draw has its real widths, depths and strides; only the images are small. With --ship a draw is not trained but
built for 360x480, pruned and quantized where it says so, exported as it would ship, run, and compared with torch. Draws
are tried in child processes: one that ends its process is counted with the signal, and the rest go on. What is done
stands in the log: the same command carries on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

# Images, batch and crops: two steps of four crops, and batch norm over all eight images.
IMAGES, BATCH, CROP, SIZE = 8, 4, (64, 96), (96, 144)
# A child is replaced after this many draws: what one leaves behind in memory is then in nobody's way for long.
CHUNK = 50
# What ships is built for images of this size and so many classes.
SHIPPED, SHIPPED_CLASSES = (360, 480), 11


def try_draws(space: str, numbers: list[int]) -> None:
    """The child: one line before and one after each draw."""
    import torch

    from segsearch.datasets import open_dataset
    from segsearch.errors import SegsearchError
    from segsearch.networks import Network, build
    from segsearch.settings.data import DataSettings
    from segsearch.space.architecture import Architecture
    from segsearch.space.draws import Dice
    from segsearch.space.load import load_space
    from segsearch.training.loop import train
    from segsearch.training.schedule import Schedule
    from segsearch.trial.making import apply_model_steps

    draw = load_space(space).draw
    settings = DataSettings(kind="synthetic", height=SIZE[0], width=SIZE[1], train_count=IMAGES, validation_count=2)
    dataset = open_dataset(settings, cache=Path(tempfile.gettempdir()) / "segsearch-draws")
    schedule = Schedule(1, BATCH, 1e-3, 1e-2, *CROP, "log", seed=0)
    classes, device = len(dataset.classes), torch.device("cpu")
    for number in numbers:
        say({"draw": number})
        start, pruned = time.perf_counter(), False
        try:
            candidate = draw(Dice(random.Random(number)))
            assert isinstance(candidate.architecture, Architecture)
            network: Network = build(candidate.architecture, classes)
            train(network, dataset.train, schedule, classes=classes, device=device)
            if candidate.before_export:
                network, pruned = apply_model_steps(network, candidate.before_export), True
                train(network, dataset.train, schedule, classes=classes, device=device)
            ended, reason = "trained", ""
        except (SegsearchError, ValueError) as error:
            ended, reason = "refused", str(error)
        except Exception as error:
            ended, reason = "failed", f"{type(error).__name__}: {error}"
        seconds = round(time.perf_counter() - start, 3)
        say({"draw": number, "ended": ended, "reason": reason, "pruned": pruned, "seconds": seconds})


def ship_draws(space: str, numbers: list[int]) -> None:
    """The child of --ship: each draw becomes the file that would ship, is run, and is compared with torch."""
    import numpy as np

    from segsearch.compression import GRAPH_STEPS
    from segsearch.errors import SegsearchError
    from segsearch.networks import build
    from segsearch.networks.build import wear_in
    from segsearch.runtimes import RUNTIMES
    from segsearch.space.architecture import Architecture
    from segsearch.space.draws import Dice, Facts
    from segsearch.space.load import load_space
    from segsearch.trial.export import check_parity, export
    from segsearch.trial.making import apply_model_steps

    draw, runtime = load_space(space).draw, RUNTIMES["onnxruntime"]
    facts = Facts(output="mask", classes=SHIPPED_CLASSES, height=SHIPPED[0], width=SHIPPED[1])
    images = [np.random.default_rng(seed).uniform(0, 255, (1, 3, *SHIPPED)).astype("float32") for seed in range(2)]
    for number in numbers:
        say({"draw": number})
        start, steps = time.perf_counter(), 0
        try:
            candidate = draw(Dice(random.Random(number)), facts)
            assert isinstance(candidate.architecture, Architecture)
            network = wear_in(
                apply_model_steps(build(candidate.architecture, SHIPPED_CLASSES), candidate.before_export)
            )
            with tempfile.TemporaryDirectory() as folder:
                model = Path(folder) / "0.onnx"
                export(network, SHIPPED, model, output="mask")
                check_parity(network, model, runtime, images[0], output="mask")
                for steps, step in enumerate(candidate.after_export, start=1):
                    target = Path(folder) / f"{steps}.onnx"
                    GRAPH_STEPS[type(step)](model, target, step, images=images)
                    model = target
                answer = runtime.open(model, threads=1).run(images[0])
            if answer.shape != (1, *SHIPPED) or answer.max() >= SHIPPED_CLASSES:
                raise ValueError(f"the file answers {answer.shape} up to {answer.max()}")
            ended, reason = "shipped", ""
        except (SegsearchError, ValueError) as error:
            ended, reason = "refused", str(error)
        except Exception as error:
            ended, reason = "failed", f"{type(error).__name__}: {error}"
        seconds, pruned = round(time.perf_counter() - start, 3), bool(steps)
        say({"draw": number, "ended": ended, "reason": reason, "pruned": pruned, "seconds": seconds})


def say(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


def ends_of(space: str, numbers: list[int], ship: list[str]) -> Iterator[dict[str, object]]:
    """How each draw ended; a crash ends the child, and another one goes on after it."""
    while numbers:
        command = [sys.executable, __file__, "--space", space, *ship, "--child", json.dumps(numbers[:CHUNK])]
        begun = None
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for text in child.stdout:
                line = json.loads(text)
                begun = line["draw"]
                if "ended" in line:
                    numbers.remove(begun)
                    begun = None
                    yield line
        if child.returncode < 0 and begun is not None:
            numbers.remove(begun)
            yield {"draw": begun, "ended": "crashed", "reason": signal.Signals(-child.returncode).name, "seconds": 0.0}
        elif child.returncode != 0:
            raise SystemExit(f"A child ended with {child.returncode} and did not say why; see above.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", help="[default: mobile; all with --ship]")
    parser.add_argument("--draws", type=int, help="[default: 1000; 500 with --ship]")
    parser.add_argument("--ship", action="store_true", help="export and run the draws instead of training them")
    parser.add_argument("--log", type=Path, help="where it carries on from [default: runs/draws-<space>.jsonl]")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    good = "shipped" if options.ship else "trained"
    options.space = options.space or ("all" if options.ship else "mobile")
    options.draws = options.draws or (500 if options.ship else 1000)
    if options.child is not None:
        (ship_draws if options.ship else try_draws)(options.space, json.loads(options.child))
        return
    log = options.log or Path("runs") / f"draws-{good}-{Path(options.space).stem}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    ends = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    ends = [line for line in ends if line["draw"] < options.draws]
    left = sorted(set(range(options.draws)) - {line["draw"] for line in ends})
    with log.open("a") as kept:
        for line in ends_of(options.space, left, ["--ship"] * options.ship):
            ends.append(line)
            kept.write(json.dumps(line) + "\n")
            kept.flush()
            if len(ends) % 20 == 0 or line["ended"] != good:
                print(
                    f"{len(ends)} of {options.draws}: draw {line['draw']} {line['ended']} {line['reason']}", flush=True
                )
    counts = Counter(line["ended"] for line in ends)
    how = f"files for {SHIPPED[0]}x{SHIPPED[1]}" if options.ship else f"{CROP[0]}x{CROP[1]} crops, batch {BATCH}"
    also = "quantized" if options.ship else "pruned and trained again"
    print(f"{options.draws} draws of {options.space}, {how}, {os.cpu_count()} cores")
    twice = sum(line["ended"] == good and bool(line.get("pruned")) for line in ends)
    print(f"{good}  {counts[good]}, of them {also} {twice}")
    print(f"refused  {counts['refused']}")
    print(f"failed   {counts['failed']}")
    print(f"crashed  {counts['crashed']}")
    for (ended, reason), count in Counter((e["ended"], e["reason"]) for e in ends if e["reason"]).items():
        print(f"  {count} {ended}: {reason}")
    print(f"{sum(line['seconds'] for line in ends):.0f} s in the draws themselves")
    raise SystemExit(1 if counts["crashed"] else 0)


if __name__ == "__main__":
    main()
