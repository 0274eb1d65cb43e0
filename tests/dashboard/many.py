"""Studies of any size, written straight into a real database: what a dashboard reads, without a search."""

from __future__ import annotations

import base64
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from sqlalchemy import insert

from segsearch.datasets import open_dataset
from segsearch.evidence.objectives import intervals_of, values_of
from segsearch.evidence.resample import NORMAL, RESAMPLES
from segsearch.evidence.timing import Block, Comparison, Machine, Timing
from segsearch.evidence.types import Confusion, Evidence
from segsearch.launch import cache_of
from segsearch.space.architecture import Architecture, Context, EncoderPath, Feature, Head, Join, Stage, Stem
from segsearch.space.candidate import Candidate
from segsearch.space.keys import to_json
from segsearch.space.steps import Prune, Quantize
from segsearch.store import Store, StudyRow, open_store, schema
from tests import fakes

MACHINE = Machine("5e9f00aa" * 8, "Fake CPU 3000", 4, 2**33, "Linux x86_64", "onnxruntime 1.31.1")
OTHER = Machine("77aa00bb" * 8, "Fake ARM", 8, 2**33, "Linux aarch64", "onnxruntime 1.31.1")
CLASSES = 8
BEGAN = 1_760_000_000.0


def fill(folder: Path, trials: int, *, name: str = "streets", seed: int = 0, goals: Sequence[str] = ()) -> Path:
    """A database of `trials` trials, four in five trained; its path."""
    objectives = list(goals) or ["miou", "latency_ms", "size_bytes"]
    study = fakes.make_study(name=name, trials=max(1, trials), objectives=objectives, limits=["latency_ms<=40"])
    store, row = fakes.start(folder, study)
    with store:
        store.keep_machine(MACHINE)
        grow(store, row, range(trials), seed=seed)
    return folder / "study.db"


def with_real_files(folder: Path, trials: int = 4) -> Path:
    """A study of trained trials on tiny scenes whose files can be run: one convolution of random weights each."""
    data = {"train_count": 2, "validation_count": 6, "height": 64, "width": 64}
    study = fakes.make_study(name="tiny", trials=trials, data=data)
    dataset = open_dataset(study.data, cache=cache_of(folder))
    with open_store(folder / "study.db", create=True) as store:
        space, artifacts = "0" * 64 + ".py", folder / "artifacts"
        row = store.begin_study(study, artifacts=artifacts, space=space, data_key=dataset.key)
        store.keep_machine(MACHINE)
        grow(store, row, range(trials), only="trained", file=_file)
    return folder / "study.db"


def _file(number: int) -> bytes:
    weights = np.random.default_rng(number).normal(size=(CLASSES, 3, 1, 1)).astype(np.float32)
    size = (64, 64)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights"], ["scores"])],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, *size))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (1, CLASSES, *size))],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def grow(
    store: Store,
    row: StudyRow,
    numbers: range,
    *,
    seed: int = 0,
    machine: Machine = MACHINE,
    only: str = "",
    file: Callable[[int], bytes] = lambda number: f"model {number}".encode(),
) -> None:
    """Add trials of these numbers; files of the first few are there."""
    trials, timings, evidences, stages, spreads = [], [], [], [], []
    for number in numbers:
        dice = random.Random(seed * 1_000_003 + number)
        params, one = _design(dice)
        state = only or dice.choices(["trained", "rejected", "failed", "duplicate"], [80, 12, 4, 4])[0]
        artifact = row.artifacts.keep_bytes(file(number), ".onnx") if number < 400 else f"{number:064x}.onnx"
        found = _evidence(dice, params, artifact, machine, trained=state == "trained")
        measured = state in ("trained", "rejected")
        trials.append(
            {
                "study": row.name,
                "number": number,
                "state": state,
                "candidate": to_json(one),
                "key": one.key,
                "params": json.dumps(params),
                "values": json.dumps(values_of(found) if measured else {}),
                "artifact": artifact if state == "trained" else None,
                "machine": machine.key if measured else None,
                "failure_kind": {"rejected": "limit", "failed": "diverged"}.get(state),
                "failure_reason": {"rejected": "latency_ms<=40 broken by 61", "failed": "the loss became NaN"}.get(
                    state
                ),
                "twin": 0 if state == "duplicate" else None,
                "seed": 0,
                "attempts": 1,
                "stages_before": 0,
                "stalled": 0,
                "worker": None,
                "told": 1,
                "started": BEGAN + 60.0 * number,
                "finished": BEGAN + 60.0 * number + 55.0,
            }
        )
        if state == "trained":
            timings.append(_timing(row, number, found, machine))
            evidences.append({"study": row.name, "trial": number, "json": to_json(found)})
            spreads.append(_spread(row, number, found))
            losses = [2.0 * math.exp(-epoch / 6) + 0.3 + dice.uniform(0, 0.05) for epoch in range(15)]
            outcome = json.dumps({"weights": "0" * 64 + ".bin", "losses": losses})
            stages.append(
                {
                    "study": row.name,
                    "name": "train",
                    "key": f"{number}",
                    "trial": number,
                    "outcome": outcome,
                    "seconds": 40.0,
                    "finished": BEGAN + 60.0 * number + 50.0,
                }
            )
    with store.writing() as connection:
        for table, lines in (
            (schema.trials, trials),
            (schema.timings, timings),
            (schema.evidence, evidences),
            (schema.stages, stages),
            (schema.spreads, spreads),
        ):
            if lines:
                connection.execute(insert(table), lines)


def time_elsewhere(database: Path, numbers: range) -> None:
    """Timings of some trained trials on another machine."""
    with open_store(database) as store:
        row = store.study()
        store.keep_machine(OTHER)
        for trial in store.trials(row.name, states=["trained"]):
            if trial.number in numbers:
                found = _evidence(random.Random(trial.number), trial.params, trial.artifact or "", OTHER, trained=True)
                store.keep_timing(row.name, trial.number, found)


def compare(database: Path, *, machine: Machine = MACHINE) -> None:
    """References beside the trials, as floats and as int8."""
    with open_store(database) as store:
        for number, name in enumerate(("unet-mobile", "bisenet-mobile", "unet")):
            for precision in ("float", "int8"):
                dice = random.Random(number)
                params, one = _design(dice)
                params |= {"precision": precision, "width": 32 if name == "unet" else 16}
                one = replace(one, after_export=(Quantize(),) if precision == "int8" else ())
                found = _evidence(dice, params, f"{number:064x}.onnx", machine, trained=True)
                shown = "int8" if precision == "int8" else "fp32"
                about = {"precision": shown, "machine": machine.key}
                store.keep_reference(store.study().name, name, one, found, **about, train_seconds=300.0)


def finish(database: Path, trial: int, miou: float | None, **named: Any) -> Evidence:
    """A trial that was trained to the end; what else there is to say is `fakes.keep_final`'s."""
    with open_store(database) as store:
        return fakes.keep_final(store, store.study().name, trial, miou, **named)


def _design(dice: random.Random) -> tuple[dict[str, str | int | float], Candidate]:
    block = dice.choice(["inverted_residual", "separable", "residual", "conv"])
    params: dict[str, str | int | float] = {
        "block": block,
        "width": dice.randrange(8, 65, 8),
        "depth": dice.randint(1, 4),
        "kernel": dice.choice([3, 5]),
        "expansion": round(dice.uniform(1, 6), 2),
        "input_scale": dice.choice([0.5, 0.75, 1.0]),
        "prune": dice.choice([0.0, 0.0, 0.25, 0.5]),
        "precision": dice.choice(["float", "int8"]),
        "context": dice.choice(["none", "aspp"]),
    }
    width, depth, scale = int(params["width"]), int(params["depth"]), float(params["input_scale"])
    stages = tuple(
        Stage(
            block, width * factor, depth, stride=2, kernel=int(params["kernel"]), expansion=float(params["expansion"])
        )
        for factor in (1, 2, 4)
    )
    context = Context("aspp", 64, rates=(2, 4)) if params["context"] == "aspp" else Context()
    architecture = Architecture(
        (EncoderPath(Stem(16), stages, context),), (Join("add", Feature(0, 2), 64),), Head(64), input_scale=scale
    )
    steps = (Prune(float(params["prune"])),) if params["prune"] else ()
    after = (Quantize(),) if params["precision"] == "int8" else ()
    return params, Candidate(architecture, before_export=steps, after_export=after)


def _evidence(dice: random.Random, params: object, artifact: str, machine: Machine, *, trained: bool) -> Evidence:
    assert isinstance(params, dict)
    work = (
        int(params["width"])
        * int(params["depth"])
        * float(params["input_scale"]) ** 2
        * (1 - float(params["prune"]) / 2)
    )
    latency = (2 + 0.2 * work) * (0.6 if params["precision"] == "int8" else 1.0) * dice.uniform(0.8, 1.3)
    quality = min(0.95, max(0.05, 0.35 + 0.09 * math.log1p(work / 8) + dice.gauss(0, 0.04)))
    blocks = tuple(Block(session, 5, latency, 1.0) for session in range(4))
    comparison = Comparison("float", 1.0, blocks, latency, latency * 0.985, latency * 1.015, "interval")
    counts = []
    for truth in range(CLASSES):
        hit = round(1000 * min(0.98, quality * dice.uniform(0.8, 1.2)))
        counts.append(tuple(hit if other == truth else (1000 - hit) // (CLASSES - 1) for other in range(CLASSES)))
    return Evidence(
        artifact=artifact,
        size_bytes=int(4000 + 900 * work * (0.3 if params["precision"] == "int8" else 1.0)),
        params=int(1000 + 220 * work),
        macs=int(1e6 + 2e5 * work),
        timing=Timing((latency,) * 20, 5, 1, machine.key, "cpu", comparison, (3.0,) * 4, (latency * 1.5,) * 4),
        seed=0,
        versions=(("python", "3.11"), ("torch", "2.13"), ("onnxruntime", "1.31.1")),
        confusion=Confusion(tuple(counts)) if trained else None,
        parity_max_abs=1e-6,
    )


def _spread(row: StudyRow, number: int, found: Evidence) -> dict[str, object]:
    """Resamples that all models share, and a little of each one's own; every tenth model has none."""
    named: dict[str, object] = {"study": row.name, "trial": number, "images": None}
    if number % 10 == 9 or found.confusion is None:
        return named | {
            "low": None,
            "high": None,
            "reason": "class 'bus' lies in one validation image only",
            "resampled": None,
        }
    shared, own = np.random.default_rng(0).normal(size=RESAMPLES), np.random.default_rng(number).normal(size=RESAMPLES)
    vector = (found.confusion.miou + 0.012 * shared + 0.003 * own).astype("<f4")
    low, high = (found.confusion.miou + end * NORMAL * float(vector.std()) for end in (-1, 1))
    resampled = base64.b64encode(vector.tobytes()).decode()
    return named | {"low": low, "high": high, "reason": None, "resampled": resampled}


def _timing(row: StudyRow, number: int, found: Evidence, machine: Machine) -> dict[str, object]:
    bound = {name: value for name, value in values_of(found).items() if name.endswith("_ms")}
    return {
        "study": row.name,
        "trial": number,
        "machine": machine.key,
        "values": json.dumps(bound),
        "intervals": json.dumps(intervals_of(found)),
        "json": to_json(found.timing),
        "taken": BEGAN + 60.0 * number + 54.0,
    }
