"""Hand a model over: its files written, opened again and compared, what is new timed and scored, then the pages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from segsearch.errors import StudyError
from segsearch.evidence.resample import spread_of
from segsearch.evidence.timing import Machine
from segsearch.handover.about import ABOUT, Form, about_of, with_files
from segsearch.handover.card import model_card
from segsearch.handover.chosen import Chosen
from segsearch.handover.folder import whole_folder
from segsearch.handover.forms import (
    answer_of,
    answers_of,
    as_metadata,
    check_derived,
    check_same,
    derive,
    other,
    with_metadata,
)
from segsearch.handover.page import examples, report_page
from segsearch.judging.fronts import Report
from segsearch.space.candidate import Output
from segsearch.trial.score import score_images, to_input
from segsearch.workshop import Progress

if TYPE_CHECKING:
    from segsearch.datasets import Dataset

Wanted = Literal["mask", "scores", "both"]
# Validation images on which written files are compared with the stored one.
COMPARED = 4
RUN = Path(__file__).with_name("run.py")


def wanted(words: str | None) -> Wanted | None:
    """What --output says. Raises `StudyError` for anything else."""
    for option in get_args(Wanted):
        if words == option:
            found: Wanted = option
            return found
    if words is None:
        return None
    raise StudyError(f"--output must be one of {', '.join(get_args(Wanted))}; got {words!r}.")


def hand_over(
    chosen: Chosen,
    dataset: Dataset,
    report: Report,
    out: Path,
    *,
    output: Wanted | None,
    machine: Callable[[], Machine],
    machines: Sequence[Machine],
    commands: Sequence[str],
    progress: Progress,
) -> dict[str, Any]:
    """Write the folder of a model, whole or not at all, and return what its `model.json` says.

    `output` is what `model.onnx` answers, the stored file's own without it; with `both` the other form lies beside it.
    `machine` finds out what this machine is, where a derived file is timed; `machines` are those that are known.
    Raises `StudyError` where `out` holds something, `TrialFailed` where a written file does not say what the stored one
    says or cannot be timed, `StorageFull` where there is no room.
    """
    own = answer_of(chosen.path)
    first: Output = own if output is None or output == "both" else output
    names = {first: "model.onnx"} | ({other(first): f"model-{other(first)}.onnx"} if output == "both" else {})
    about = about_of(chosen, dataset, commands=commands)
    here = machine() if set(names) != {own} else None
    with whole_folder(out) as folder:
        images = [to_input(dataset.validation.images[at]) for at in _spread(len(dataset.validation), COMPARED)]
        stored = answers_of(chosen.path, images)
        forms = []
        for answers, name in names.items():
            written = folder / name
            if answers == own:
                with_metadata(chosen.path, written, as_metadata(about))
                check_same(stored, answers_of(written, images), name)
                evidence = chosen.evidence
                forms.append(Form(name, answers, False, evidence.timing, evidence.confusion, chosen.spread))
                continue
            assert here is not None
            derive(chosen.path, written, answers)
            with_metadata(written, written, as_metadata(about))
            apart = check_derived(chosen.path, stored, answers_of(written, images), images)
            forms.append(_looked_at(written, answers, chosen, dataset, here, apart, progress))
        about = with_files(about, chosen, forms, folder, [*machines, *([here] if here else [])])
        _write(folder / ABOUT, json.dumps(about, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
        shutil.copyfile(RUN, folder / "run.py")
        _write(folder / "MODEL_CARD.md", model_card(about))
        shown = examples(folder / "model.onnx", chosen, dataset, progress)
        _write(folder / "report.html", report_page(about, chosen, report, forms[0].confusion, shown))
    return about


def _looked_at(
    written: Path, answers: Output, chosen: Chosen, dataset: Dataset, here: Machine, apart: float, progress: Progress
) -> Form:
    """Time a derived file as the study times its own, and score it on the validation images."""
    from segsearch.latency.effort import effort_of
    from segsearch.latency.measure import measure
    from segsearch.latency.room import machine_room
    from segsearch.runtimes import RUNTIMES

    study, runtime = chosen.study.study, RUNTIMES["onnxruntime"]
    room = machine_room(study.timing.cores)
    progress("measure", 0, 1)
    with room.quiet():
        timing = measure(written, here, runtime, effort=effort_of(study))
    if "miou" not in chosen.values:  # it learned from the validation images
        return Form(written.name, answers, True, timing, None, chosen.spread, apart)
    with room.working() as give_way:

        def watched(stage: str, done: int, total: int, /) -> None:
            progress(stage, done, total)
            give_way()

        session = runtime.open(written, threads=1)
        found = score_images(session, dataset.validation, classes=dataset.classes, progress=watched)
    return Form(written.name, answers, True, timing, found.confusion, spread_of(found.images), apart)


def _spread(count: int, wanted: int) -> list[int]:
    """So many places from end to end."""
    return [int(at) for at in np.unique(np.linspace(0, count - 1, wanted).astype(int))]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
