"""`model.json`: all that is known of a handed-over model, as plain data that the other pages are made from.

Its schema, format 1 (what is null was not measured or is not there):

    format      1; whoever reads the file refuses a number that it does not know
    name        what the model is called: study and trial
    files       each {file, answers: "mask" | "scores", sha256, size_bytes, derived, output: {name, shape, dtype},
                latency_ms: {value, low, high, machine, state, threads}, miou: {value, low, high, no_interval},
                class_iou: [...], test_miou: {value, low, high}, parity}; the first one is what `run.py` runs. `derived`
                files were made of the stored one and timed and scored anew; `parity` is how far they are from it
    input       {name, height, width, layout, dtype, range, order, resize, levels}: what a file is fed; `levels` are the
                stored values {black, white} that are 0 and 255 where images hold more than 8 bits, or "high_byte"
    exif        "turn" where images are turned as their EXIF orientation says, "ignore" where they are read as stored
    back        how a mask is brought to the image's own size
    classes     each {index, name, colour: "#rrggbb"}
    void        the number of unlabelled pixels in the masks that it learned from; no file answers it
    model       {design, precision, params, macs}
    machines    by key {cpu, cores, system, runtime}: the machines that latencies belong to
    provenance  {study, trial, seed, kind: "final" | "proxy", recipe, trainings, proxy_miou, over_seeds, artifact,
                picked, data, space, parameters, pretrained, versions, exported, commands}; a final was chosen among so
                many `trainings`, `proxy_miou` is what the trial scored before, `over_seeds` is what the proxy's mIoU
                {seeds, mean, sd} is, and `commands` are what trains it to the end and what wrote this folder
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from segsearch import __version__
from segsearch.evidence.images import NoSpread, Spread
from segsearch.evidence.timing import Machine, Timing
from segsearch.evidence.types import Confusion
from segsearch.handover.chosen import Chosen
from segsearch.judging.grown import recipe_object
from segsearch.judging.words import describe, precision
from segsearch.masks.paint import class_colours
from segsearch.pretrained.packages import PACKAGES
from segsearch.space.candidate import Output
from segsearch.store import GrownRow
from segsearch.workshop import sha256_of

if TYPE_CHECKING:
    from segsearch.datasets import Dataset

ABOUT = "model.json"
FORMAT = 1
# The licence of the weights that packages ship.
LICENCE = "Apache-2.0"
RESIZE = "bilinear, antialiased where it shrinks (Pillow's BILINEAR), to width x height"
BACK = "nearest neighbour, pixel centres at half pixels: row floor((y + 0.5) * rows / height), columns alike"


@dataclass(frozen=True)
class Form:
    """One written file, and what is known of it: stored evidence of the shipped form, new one of a derived form.

    `parity` is how far it is from what the stored file says, 0 where it is that file's graph.
    """

    file: str
    answers: Output
    derived: bool
    timing: Timing
    confusion: Confusion | None
    spread: Spread | NoSpread
    parity: float = 0.0


def about_of(chosen: Chosen, dataset: Dataset, *, commands: Sequence[str]) -> dict[str, Any]:
    """The content of `model.json` without its files, which hold a part of it themselves (`with_files`)."""
    data, classes = chosen.study.study.data, dataset.classes
    return {
        "format": FORMAT,
        "name": f"{chosen.study.name}-trial-{chosen.trial.number}",
        "files": [],
        "input": {
            "name": "image",
            "height": data.height,
            "width": data.width,
            "layout": "NCHW",
            "dtype": "float32",
            "range": [0, 255],
            "order": "RGB",
            "resize": RESIZE,
            "levels": _levels(data.levels),
        },
        "exif": data.exif,
        "back": BACK,
        "classes": [
            {"index": index, "name": name, "colour": colour.lower()}
            for index, (name, colour) in enumerate(zip(classes, class_colours(classes), strict=True))
        ],
        "void": dataset.void,
        "model": {
            "design": describe(chosen.trial.candidate),
            "precision": precision(chosen.trial.candidate),
            "params": chosen.evidence.params,
            "macs": chosen.evidence.macs,
        },
        "machines": {},
        "provenance": _provenance(chosen, dataset, commands),
    }


def with_files(
    about: Mapping[str, Any], chosen: Chosen, forms: Sequence[Form], folder: Path, machines: Sequence[Machine]
) -> dict[str, Any]:
    """The whole content: with the files that lie in `folder`, and the machines that they were timed on."""
    used = {form.timing.machine for form in forms}
    told = {
        one.key: {"cpu": one.cpu, "cores": one.cores, "system": one.system, "runtime": one.runtime}
        for one in machines
        if one.key in used
    }
    files = [_file(form, folder, about, None if form.derived else chosen.final) for form in forms]
    return {**about, "files": files, "machines": told}


def _levels(levels: Any) -> Any:
    return {"black": levels[0], "white": levels[1]} if isinstance(levels, tuple) else levels


def _file(form: Form, folder: Path, about: Mapping[str, Any], final: GrownRow | None) -> dict[str, Any]:
    path, timing = folder / form.file, form.timing
    low, high = timing.interval_ms or (None, None)
    sides = [about["input"]["height"], about["input"]["width"]]
    mask = form.answers == "mask"
    return {
        "file": form.file,
        "answers": form.answers,
        "sha256": sha256_of(path),
        "size_bytes": path.stat().st_size,
        "derived": form.derived,
        "output": {
            "name": form.answers,
            "shape": [1, *sides] if mask else [1, len(about["classes"]), *sides],
            "dtype": "uint8" if mask else "float32",
        },
        "latency_ms": {
            "value": timing.latency_ms,
            "low": low,
            "high": high,
            "machine": timing.machine,
            "state": timing.state,
            "threads": timing.threads,
        },
        "miou": _miou(form),
        "class_iou": None if form.confusion is None else list(form.confusion.class_iou),
        "test_miou": None if final is None or final.test is None else _test(final.test, final.test_interval),
        "parity": form.parity,
    }


def _miou(form: Form) -> dict[str, Any] | None:
    if form.confusion is None:
        return None
    if isinstance(form.spread, NoSpread):
        return {"value": form.confusion.miou, "low": None, "high": None, "no_interval": form.spread.reason}
    return {"value": form.confusion.miou, "low": form.spread.low, "high": form.spread.high, "no_interval": None}


def _test(value: float, interval: tuple[float, float] | None) -> dict[str, Any]:
    low, high = interval or (None, None)
    return {"value": value, "low": low, "high": high}


def _provenance(chosen: Chosen, dataset: Dataset, commands: Sequence[str]) -> dict[str, Any]:
    row, final, again = chosen.study, chosen.final, chosen.confirmed
    data = row.study.data
    return {
        "study": row.name,
        "trial": chosen.trial.number,
        "seed": chosen.evidence.seed,
        "kind": "proxy" if final is None else "final",
        "recipe": None if final is None else recipe_object(final.recipe),
        "trainings": chosen.finals,
        "proxy_miou": chosen.trial.values.get("miou"),
        "over_seeds": None if again is None else {"seeds": again.seeds, "mean": again.mean, "sd": again.sd},
        "artifact": chosen.path.stem,
        "picked": chosen.reason,
        "data": {
            "key": row.data_key,
            "kind": data.kind,
            "folder": PurePath(data.root).name if data.root else None,
            "train": len(dataset.train),
            "validation": len(dataset.validation),
        },
        "space": {"name": PurePath(row.study.space).name, "source": row.space.split(".")[0]},
        "parameters": dict(chosen.trial.params),
        "pretrained": _pretrained(row.study.train.pretrained, row.start),
        "versions": dict(chosen.evidence.versions),
        "exported": {"date": time.strftime("%Y-%m-%d", time.gmtime()), "versions": versions_here()},
        "commands": list(commands),
    }


def _pretrained(words: str, start: str | None) -> dict[str, Any] | None:
    """Whose weights the encoder began with; no licence is known of a file that somebody named."""
    if words == "none":
        return None
    known = PACKAGES.get(words)
    return {
        "weights": words if known else PurePath(words).name,
        "package": known.name if known else None,
        "licence": LICENCE if known else None,
        "artifact": start.split(".")[0] if start else None,
    }


def versions_here() -> Mapping[str, str]:
    """What wrote the folder."""
    import numpy
    import onnx
    import onnxruntime
    import PIL

    libraries = {"numpy": numpy, "onnx": onnx, "onnxruntime": onnxruntime, "pillow": PIL}
    own = {"segsearch": __version__, "python": platform.python_version()}
    return own | {name: str(library.__version__) for name, library in libraries.items()}
