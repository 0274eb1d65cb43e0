"""Draws of a space that are built, trained for two steps, pruned where they say so and trained for two more.

python benchmarks/draws.py [--space mobile] [--draws 1000] [--log FILE]

Each draw has its real widths, depths and strides; only the images are small. Draws are tried in child processes: one
that ends its process is counted with the signal, and the rest go on. What is done stands in the log: the same command
carries on from there.
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


def try_draws(space: str, numbers: list[int]) -> None:
    """The child: one line before and one after each draw."""
    import torch

    from segsearch.datasets import open_dataset
    from segsearch.errors import SegsearchError
    from segsearch.networks import build
    from segsearch.settings.data import DataSettings
    from segsearch.space.draws import Dice
    from segsearch.space.load import load_space
    from segsearch.training.loop import train
    from segsearch.training.schedule import Schedule
    from segsearch.trial.weights import apply_model_steps

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
            network = build(candidate.architecture, classes)
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


def say(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


def ends_of(space: str, numbers: list[int]) -> Iterator[dict[str, object]]:
    """How each draw ended; a crash ends the child, and another one goes on after it."""
    while numbers:
        command = [sys.executable, __file__, "--space", space, "--child", json.dumps(numbers[:CHUNK])]
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
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--log", type=Path, help="where it carries on from [default: runs/draws-<space>.jsonl]")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        try_draws(options.space, json.loads(options.child))
        return
    log = options.log or Path("runs") / f"draws-{Path(options.space).stem}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    ends = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    ends = [line for line in ends if line["draw"] < options.draws]
    left = sorted(set(range(options.draws)) - {line["draw"] for line in ends})
    with log.open("a") as kept:
        for line in ends_of(options.space, left):
            ends.append(line)
            kept.write(json.dumps(line) + "\n")
            kept.flush()
            if len(ends) % 20 == 0 or line["ended"] != "trained":
                print(
                    f"{len(ends)} of {options.draws}: draw {line['draw']} {line['ended']} {line['reason']}", flush=True
                )
    counts = Counter(line["ended"] for line in ends)
    print(f"{options.draws} draws of {options.space}, {CROP[0]}x{CROP[1]} crops, batch {BATCH}, {os.cpu_count()} cores")
    print(f"trained  {counts['trained']}, of them pruned and trained again {sum(map(is_pruned, ends))}")
    print(f"refused  {counts['refused']}")
    print(f"failed   {counts['failed']}")
    print(f"crashed  {counts['crashed']}")
    for (ended, reason), count in Counter((e["ended"], e["reason"]) for e in ends if e["reason"]).items():
        print(f"  {count} {ended}: {reason}")
    print(f"{sum(line['seconds'] for line in ends):.0f} s in the draws themselves")
    raise SystemExit(1 if counts["crashed"] else 0)


def is_pruned(line: dict[str, object]) -> bool:
    return line["ended"] == "trained" and bool(line.get("pruned"))


if __name__ == "__main__":
    main()
