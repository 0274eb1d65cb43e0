"""What the parts of a long schedule are worth, and whether a killed training ends with the same bytes.

    python benchmarks/retrain.py parts --data ../shared/camvid [--epochs 60] [--seeds 1] [--width 0.5] [--only all ...]
    python benchmarks/retrain.py kills --db runs/camvid/study.db --trial N [--epochs 30] [--kills 5]

`parts` trains one sub-network of EfficientNet-Lite0 on whole images at input scale 0.5, from the weights: plainly, and
with each part of `[retrain]` alone and all together; mIoU is that of the float file on the validation split at 360x480.
It needs a folder of CamVid's layout and the extra segsearch[pretrained]; trainings are kept (`kept.py`).

`kills` runs `segsearch retrain` on two copies of a run: one alone, one that is killed with SIGKILL at random moments,
all of its processes at once, and started again. It compares the files that came of them.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean

from kept import outcomes
from pretrained import CLASSES, STARTED, design, job

from segsearch.datasets import open_dataset
from segsearch.pretrained.packages import file_of
from segsearch.pretrained.parent import parent_of
from segsearch.settings.data import DataSettings
from segsearch.space.architecture import Architecture
from segsearch.space.candidate import Candidate
from segsearch.store import open_store
from segsearch.store.grown import grown_of
from segsearch.trial.grow import with_auxiliary

HEIGHT, WIDTH = 360, 480
# Each part alone and all together, as changes of the schedule and the weight of the auxiliary loss.
PARTS: dict[str, tuple[dict[str, object], float]] = {
    "plain": ({}, 0.0),
    "average of the weights .999": ({"ema": 0.999}, 0.0),
    "auxiliary loss .4": ({}, 0.4),
    "first half at half the size": ({"small_start": 0.5}, 0.0),
    "rare classes more often": ({"balanced": True}, 0.0),
    "all": ({"ema": 0.999, "small_start": 0.5, "balanced": True}, 0.4),
}


def parts(arguments: argparse.Namespace) -> None:
    settings = DataSettings(kind="folders", root=str(arguments.data), height=HEIGHT, width=WIDTH, void=CLASSES)
    data = open_dataset(settings, cache=arguments.cache)
    parent = parent_of(Path(file_of("efficientnet-lite0")))
    candidate = Candidate(design(arguments.width))
    base = replace(STARTED, epochs=arguments.epochs)
    plain: list[float] = []
    for name in ("plain", *(part for part in PARTS if part in (arguments.only or list(PARTS)[1:]))):
        changes, weight = PARTS[name]
        architecture = with_auxiliary(candidate, weight).architecture
        assert isinstance(architecture, Architecture)
        schedules = [replace(base, seed=seed, **changes) for seed in range(arguments.seeds)]  # type: ignore[arg-type]
        found = outcomes([job(architecture, data, schedule, parent) for schedule in schedules])
        plain = plain or found
        gain = mean(value - before for value, before in zip(found, plain, strict=True))
        print(f"{name:30s}{mean(found):7.3f}{gain:+8.3f}", flush=True)


def kills(arguments: argparse.Namespace) -> None:
    source = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="segsearch-kills-") as folder:
        names = []
        for name, count in (("alone", 0), ("killed", arguments.kills)):
            run = Path(folder) / name
            shutil.copytree(arguments.db.parent, run)
            database = run / arguments.db.name
            began = time.monotonic()
            command = [sys.executable, "-m", "segsearch", "retrain", str(database)]
            command += ["--trial", str(arguments.trial), "--epochs", str(arguments.epochs)]
            for _ in range(count):
                killed_after(command, source.uniform(*arguments.after))
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            with open_store(database, read_only=True) as store:
                row = grown_of(store, store.study().name)[-1]
            names.append(row.artifact)
            minutes, took = (time.monotonic() - began) / 60, (row.train_seconds or 0.0) / 60
            print(f"{name:8s}{row.artifact}  {count} kills, {minutes:.1f} min, {took:.1f} of them kept", flush=True)
    print("the same bytes" if names[0] == names[1] else "DIFFERENT BYTES")


def killed_after(command: list[str], seconds: float) -> None:
    """Start a retraining, and after so long kill it and its child at once."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        time.sleep(seconds)
        found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
        for pid in (process.pid, *map(int, found.stdout.split())):
            os.kill(pid, signal.SIGKILL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("parts", "kills"), default="parts")
    parser.add_argument("--data", type=Path, help="a folder of CamVid's layout")
    parser.add_argument("--cache", type=Path, default=Path("runs/.cache/segsearch"))
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), help="these beside the plain schedule")
    parser.add_argument("--db", type=Path)
    parser.add_argument("--trial", type=int, default=0)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--after", type=float, nargs=2, default=(20.0, 200.0), metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    needed = "data" if arguments.part == "parts" else "db"
    if getattr(arguments, needed) is None:
        print(f"{arguments.part} needs --{needed}. Nothing was done.")
        return 0
    (parts if arguments.part == "parts" else kills)(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
