"""What int8 loses, by which layers stay in float: the first few of a path, or those that are chosen by measurement.

    python benchmarks/mixed.py --db runs/camvid/study.db [--trial N ...] [--data ../shared/camvid]
                               [--first 0 3] [--tolerance 0.004 ...] [--sample 16]

Takes stored float trials (all of a study's, or those that are named), quantizes their files anew, and prints mIoU on
the validation split, latency on one thread with its 95 % interval, and size; `lost` is to the float file. Latencies of
a trial are timed in one run, one after the other, once again in reverse. Nothing is written into the study: what is
made lies in a temporary folder. Without --db nothing is done.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from unittest.mock import patch

import onnx

from segsearch import launch
from segsearch.compression.mixed import mixed
from segsearch.compression.quantize import quantize
from segsearch.evidence.layers import Choice
from segsearch.latency.measure import Effort, measure
from segsearch.space.steps import Quantize
from segsearch.store import open_store
from segsearch.trial import layers
from segsearch.trial.bench import Bench
from segsearch.trial.files import CALIBRATION_IMAGES, calibration_images
from segsearch.trial.judge import SAMPLE_IMAGES
from segsearch.trial.layers import Twins
from segsearch.trial.prepare import make_bench
from segsearch.trial.score import score_images
from segsearch.trial.stages import Stages
from segsearch.workshop import Artifacts, Forgetful, silent

BEGINNINGS = (0, 1, 2, 3, 5, 8)


@dataclass(frozen=True)
class Made:
    """A file to compare, how it was made, and the seconds that this took."""

    name: str
    file: Path
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", type=Path)
    parser.add_argument("--trial", type=int, nargs="*")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--first", type=int, nargs="*", default=list(BEGINNINGS))
    parser.add_argument("--tolerance", type=float, nargs="*", default=[])
    parser.add_argument("--sample", type=int, default=SAMPLE_IMAGES)
    arguments = parser.parse_args()
    if arguments.db is None:
        print("It needs a study's database: --db DB. Nothing was done.")
        return 0
    with patch.object(layers, "SAMPLE_IMAGES", arguments.sample), open_store(arguments.db, read_only=True) as store:
        row = store.study()
        study = launch.adjusted(row.study, data=arguments.data)
        data = launch.open_data(study, row.artifacts.folder.parent, silent, row.texts)
        bench = make_bench(study, data)
        wanted = [
            trial
            for trial in store.trials(row.name, ["trained"])
            if not trial.candidate.after_export
            and (trial.number in arguments.trial if arguments.trial is not None else True)
        ]
        print(f"{'trial':>6s}  {'file':26s}{'mIoU':>7s}{'lost':>9s}{'ms':>8s}{'95 %':>16s}{'kB':>7s}{'made in':>9s}")
        for trial in wanted:
            source = row.artifacts.verified(str(trial.artifact))
            with made_of(source, arguments.first, arguments.tolerance, bench) as files:
                told(trial.number, files, bench)
    return 0


@contextmanager
def made_of(source: Path, beginnings: list[int], tolerances: list[float], bench: Bench) -> Iterator[list[Made]]:
    """The float file and what is made of it, in a folder of their own."""
    images = calibration_images(bench, CALIBRATION_IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        artifacts = Artifacts(Path(folder))
        exact = artifacts.keep_bytes(source.read_bytes(), ".onnx")
        found = [Made("float", artifacts.path(exact), 0.0)]
        for count in beginnings:
            began, target = time.monotonic(), Path(folder) / f"first-{count}.onnx"
            quantize(source, target, Quantize(float_convolutions=count), images=images)
            found.append(Made(f"int8 after {count}" if count else "int8", target, time.monotonic() - began))
        for tolerance in tolerances:
            began, target = time.monotonic(), Path(folder) / "whole.onnx"
            quantize(source, target, Quantize(), images=images)
            twins = Twins(exact, artifacts.keep(target), bench, Stages(Forgetful(artifacts), silent))
            choice, file = twins.choice(tolerance), Path(folder) / f"measured-{tolerance}.onnx"
            onnx.save(mixed(twins.pair, choice.in_float), str(file))
            found.append(Made(f"measured, {tolerance:g}", file, time.monotonic() - began))
            print_choice(choice)
        yield found


def told(number: int, files: list[Made], bench: Bench) -> None:
    """Score and time the files, forth and back, and print a line of each."""
    times: dict[str, list[tuple[float, tuple[float, float]]]] = {}
    for made in (*files, *reversed(files)):
        timing = measure(made.file, bench.machine, bench.runtime, effort=Effort())
        both = timing.latency_ms, timing.interval_ms or (timing.latency_ms, timing.latency_ms)
        times.setdefault(made.name, []).append(both)
    exact = None
    for made in files:
        session = bench.runtime.open(made.file, threads=2)
        miou = score_images(session, bench.dataset.validation, classes=bench.dataset.classes).confusion.miou
        exact = miou if exact is None else exact
        ms = mean(one for one, _ in times[made.name])
        low, high = min(ends[0] for _, ends in times[made.name]), max(ends[1] for _, ends in times[made.name])
        size = made.file.stat().st_size / 1e3
        print(
            f"{number:6d}  {made.name:26s}{miou:7.4f}{exact - miou:+9.4f}{ms:8.2f}{f'{low:.2f} to {high:.2f}':>16s}"
            f"{size:7.0f}{made.seconds:7.0f} s",
            flush=True,
        )


def print_choice(choice: Choice) -> None:
    for step in choice.steps:
        print(f"        {step.spent_ms:+7.3f} ms, expected to lose {step.lost:.4f}: {', '.join(step.layers) or 'int8'}")
    print(f"        {choice.ended}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
