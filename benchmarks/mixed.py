"""What int8 loses, by how many of the first convolutions stay in float.

    python benchmarks/mixed.py --db runs/camvid/study.db [--trial N ...] [--data ../shared/camvid]

Takes stored float trials (all of a study's, or those that are named), quantizes their files anew, and prints mIoU on
the validation split and latency on one thread, with its 95 % interval; latencies are timed in one run, one after the
other. Without --db nothing is done.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from segsearch import launch
from segsearch.compression.quantize import quantize
from segsearch.latency.measure import Effort, machine_for, measure
from segsearch.runtimes import RUNTIMES
from segsearch.space.steps import Quantize
from segsearch.store import open_store
from segsearch.trial.files import CALIBRATION_IMAGES, spread_over
from segsearch.trial.score import score_images
from segsearch.workshop import silent

BEGINNINGS = (0, 1, 2, 3, 5, 8)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", type=Path)
    parser.add_argument("--trial", type=int, nargs="*")
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    if arguments.db is None:
        print("It needs a study's database: --db DB. Nothing was done.")
        return 0
    runtime = RUNTIMES["onnxruntime"]
    machine = machine_for(runtime, threads=1, cores=None)
    with open_store(arguments.db, read_only=True) as store, tempfile.TemporaryDirectory() as folder:
        row = store.study()
        data = launch.open_data(
            launch.adjusted(row.study, data=arguments.data), row.artifacts.folder.parent, silent, row.texts
        )
        images = spread_over(data.train.images, CALIBRATION_IMAGES)
        print(f"{'trial':>6s}  {'file':28s}{'mIoU':>7s}{'lost':>8s}{'ms':>8s}")
        for trial in store.trials(row.name, ["trained"]):
            wanted = arguments.trial is None or trial.number in arguments.trial
            if trial.candidate.after_export or trial.artifact is None or not wanted:
                continue
            whole, exact = row.artifacts.verified(trial.artifact), None
            for count in (None, *BEGINNINGS):
                file, name = whole, "float"
                if count is not None:
                    file, name = Path(folder) / "int8.onnx", f"int8 after {count} convolutions"
                    quantize(whole, file, Quantize(float_convolutions=count), images=images)
                session = runtime.open(file, threads=1)
                miou = score_images(session, data.validation, classes=data.classes).confusion.miou
                exact = miou if exact is None else exact
                timing = measure(file, machine, runtime, effort=Effort())
                low, high = timing.interval_ms or (timing.latency_ms, timing.latency_ms)
                told = f"{timing.latency_ms:8.2f} ({low:.2f} to {high:.2f})"
                print(f"{trial.number:6d}  {name:28s}{miou:7.4f}{exact - miou:+8.4f}{told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
