"""Teachers from elsewhere: a stored trial, a file; what suits no study is refused, what does is kept by its hash."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch

from segsearch.errors import DatabaseError, StudyError
from segsearch.networks import build
from segsearch.networks.build import wear_in
from segsearch.settings.teacher import TeacherSettings
from segsearch.space.keys import to_json
from segsearch.space.steps import Distill
from segsearch.store import open_store
from segsearch.trial.evaluate import evaluate
from segsearch.trial.export import export
from segsearch.trial.given import HEADER, Header, Order, header_of, keep_teacher, kept, network_of_file
from segsearch.trial.types import FirstTeacher, GivenTeacher
from segsearch.workshop import Artifacts, sha256_of
from tests.scenes import tiny_dataset
from tests.tiny import CLASSES
from tests.trial.benches import ARCHITECTURE, PLAIN, Notebook, make_bench

SIZE = (64, 96)


def order(folder: Path, **settings: Any) -> Order:
    return Order(TeacherSettings(**settings).model_dump_json(), CLASSES, str(folder / "artifacts"))


def onnx_file(folder: Path, *, output: Any = "scores", classes: int = 3, about: dict[str, str] | None = None) -> Path:
    path = folder / "teacher.onnx"
    export(wear_in(build(ARCHITECTURE, classes, seed=1), seed=1), SIZE, path, output=output)
    if about is not None:
        found = onnx.load(str(path))
        for key, value in about.items():
            found.metadata_props.add(key=key, value=value)
        onnx.save(found, str(path))
    return path


def weights_file(folder: Path, **changes: Any) -> Path:
    header = replace(Header(CLASSES, ARCHITECTURE), **changes)
    path = folder / "teacher.safetensors"
    state = {name: value.contiguous() for name, value in build(ARCHITECTURE, 3, seed=1).state_dict().items()}
    path.write_bytes(safetensors.torch.save(state, {HEADER: to_json(header)}))
    return path


# ---- a trial


def test_a_stored_trial_teaches_with_the_weights_of_its_file(tiny: Path, tmp_path: Path) -> None:
    """Trial 1 is pruned and int8: its teacher is the pruned network in float."""
    artifacts = Artifacts(tmp_path / "artifacts")
    settings = TeacherSettings(trial=1, database=str(tiny / "runs/mine/study.db"))
    name = keep_teacher(settings, CLASSES, artifacts)
    header = header_of(artifacts.path(name))
    assert (header.classes, len(header.before_export)) == (CLASSES, 1)
    with open_store(tiny / "runs/mine/study.db") as store:
        row = store.study()
        (stage,) = [one for one in store.stages(row.name, name="fine-tune") if one.trial == 1]
        weights = safetensors.torch.load_file(row.artifacts.path(str(stage.outcome["weights"])))
    found = network_of_file(artifacts.path(name)).state_dict()
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[key], weights[key]) for key in weights)
    assert keep_teacher(settings, CLASSES, artifacts) == name, "equal teachers have equal names"
    with pytest.raises(StudyError, match=r"trial 1 of mine: .* 3 classes in their order, got 'box' where the .* 'car'"):
        kept(Order(settings.model_dump_json(), ("sky", "road", "car"), str(tmp_path)))
    with pytest.raises(StudyError, match="has no trial 9"):
        kept(order(tmp_path, trial=9, database=str(tiny / "runs/mine/study.db")))
    path = row.artifacts.path(str(stage.outcome["weights"]))
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(DatabaseError, match="it was changed"):
        kept(order(tmp_path, trial=1, database=str(tiny / "runs/mine/study.db")))


# ---- a file


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"output": "mask"}, r"must say scores .* this file answers a mask, uint8 \(1, 64, 96\): .*--output scores"),
        ({"classes": 4}, r"must know the study's 3 classes, got scores of 4"),
        ({"about": {"segsearch.classes": json.dumps(["sky", "box", "road"])}}, r"got 'box' where the study has 'road'"),
    ],
)
def test_a_file_that_suits_no_teacher_of_these_classes_is_refused(
    tmp_path: Path, about: dict[str, Any], words: str
) -> None:
    with pytest.raises(StudyError, match=words):
        kept(order(tmp_path, file=str(onnx_file(tmp_path, **about))))


def test_a_file_that_is_gone_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"gone\.onnx: teacher\.file must be there, got no such file"):
        keep_teacher(TeacherSettings(file=str(tmp_path / "gone.onnx")), CLASSES, Artifacts(tmp_path / "a"))
    (tmp_path / "words.onnx").write_text("no model")
    with pytest.raises(StudyError, match="not an ONNX"):
        kept(order(tmp_path, file=str(tmp_path / "words.onnx")))
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(StudyError, match=r"weights alone do not say which network they are of.*Name a trial"):
        kept(order(tmp_path, file=str(tmp_path / "bare.safetensors")))
    path = weights_file(tmp_path, architecture=replace(ARCHITECTURE, joins=()))
    with pytest.raises(StudyError, match="must be those of the network that it names"):
        kept(order(tmp_path, file=str(path)))


def test_both_kinds_of_file_teach_and_say_their_own_miou(notebook: Notebook, tmp_path: Path) -> None:
    said = []
    for path in (onnx_file(tmp_path), weights_file(tmp_path)):
        name = kept(Order(TeacherSettings(file=str(path)).model_dump_json(), CLASSES, str(notebook.artifacts.folder)))
        assert name == f"{sha256_of(path)}{path.suffix}"
        bench = make_bench(teacher=GivenTeacher(name))
        before = set(notebook.outcomes)
        evaluate(replace(PLAIN, distill=Distill(2.0, 1.0, "pairs", 0.3)), bench, notebook)
        made = [notebook.outcomes[key] for key in notebook.outcomes.keys() - before]
        (outcome,) = [one for one in made if "logits" in one]
        said.append(np.load(notebook.artifacts.path(outcome["logits"]), mmap_mode="r"))
        assert 0 <= outcome["miou"] <= 1
        assert outcome["on"] == bench.dataset.key
    assert said[0].shape == (len(tiny_dataset().train), 3, 16, 24), "no finer than any student hears"
    assert said[1].shape[:2] == said[0].shape[:2]
    assert notebook.made.count("teacher") == 2


def test_logits_that_are_gone_are_made_again_from_the_same_key(notebook: Notebook, tmp_path: Path) -> None:
    name = notebook.artifacts.keep_bytes(weights_file(tmp_path).read_bytes(), ".safetensors")
    bench = make_bench(teacher=GivenTeacher(name))
    first = evaluate(replace(PLAIN, distill=Distill(0.5)), bench, notebook)
    key = next(key for key, outcome in notebook.outcomes.items() if "logits" in outcome)
    gone = notebook.outcomes.pop(key)
    notebook.artifacts.path(gone["logits"]).unlink()
    again = evaluate(replace(PLAIN, distill=Distill(0.6)), bench, notebook)
    assert notebook.outcomes[key]["logits"] == gone["logits"], "the same bytes"
    assert again.artifact != first.artifact


# ---- a first design


def test_a_first_design_teaches_with_the_training_of_its_trial(notebook: Notebook) -> None:
    bench = make_bench(teacher=FirstTeacher(PLAIN), fine_tune_on_top=True)
    evaluate(PLAIN, bench, notebook)
    trained = notebook.made.count("train")
    evaluate(replace(PLAIN, distill=Distill(0.5)), bench, notebook)
    assert notebook.made.count("train") == trained + 1, "its student's own, and none for the teacher"
    assert notebook.made.count("teacher") == 1
