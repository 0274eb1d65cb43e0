"""What MODEL may be: exported folders, files and stored trials, each checked before a picture is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segsearch.errors import DatabaseError, StudyError, UserError
from segsearch.masks import class_colours
from segsearch.predicting.answer import opened
from segsearch.predicting.model import MOST_CLASSES, from_file, from_folder, graph_of
from segsearch.workshop import Artifacts
from tests.predicting.looks import CLASSES, HEIGHT, WIDTH, make_folder, make_model

# ---- exported folders


def test_of_an_exported_folder_the_mask_is_taken_with_all_that_is_told(tmp_path: Path) -> None:
    found = from_folder(make_folder(tmp_path / "mine", exif="ignore"))
    assert found.path.name == "model-mask.onnx"
    assert (found.title, found.classes, found.named) == ("mine-trial-7", CLASSES, True)
    assert (found.height, found.width, found.exif, found.levels) == (HEIGHT, WIDTH, "ignore", None)
    assert found.colours == ("#0a20f0", "#3220f0", "#5a20f0")
    assert opened(found).session.shape == (1, 3, HEIGHT, WIDTH)


@pytest.mark.parametrize(("levels", "read"), [({"black": 800, "white": 3200.5}, (800.0, 3200.5)), ("high_byte",) * 2])
def test_levels_are_read_as_a_study_has_them(tmp_path: Path, levels: Any, read: Any) -> None:
    fed = {"name": "image", "height": HEIGHT, "width": WIDTH, "levels": levels}
    assert from_folder(make_folder(tmp_path, input=fed)).levels == read


def test_a_folder_of_scores_alone_is_a_model_too(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**about, "files": about["files"][:1]}))
    assert from_folder(folder).path.name == "model-scores.onnx"


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    make_model(folder / "model-mask.onnx", classes=3, nan=True)
    with pytest.raises(StudyError, match=r"model-mask\.onnx: must hold the bytes .* was changed"):
        from_folder(folder)


@pytest.mark.parametrize("name", ["../outside.onnx", "/etc/hostname", "sub/../../outside.onnx", "link.onnx", "..\\x"])
def test_no_path_of_a_model_json_leaves_its_folder(tmp_path: Path, name: str) -> None:
    outside = make_model(tmp_path / "outside.onnx")
    folder = make_folder(tmp_path / "mine")
    (folder / "link.onnx").symlink_to(outside)
    about = json.loads((folder / "model.json").read_text())
    about["files"][1]["file"] = name
    (folder / "model.json").write_text(json.dumps(about))
    with pytest.raises(StudyError, match="must lie in its folder"):
        from_folder(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "its format must be 1, got 2"),
        ({"exif": "maybe"}, "exif"),
        ({"files": []}, "files"),
        ({"classes": [{"index": 1, "name": "a", "colour": "#000000"}]}, "numbered from 0"),
        ({"classes": [{"index": 0, "name": "a", "colour": "red"}]}, "colour"),
        ({"classes": [{"index": 0, "name": "a", "colour": "#00ff00"}]}, "1 classes, and model-mask.onnx has .* 3"),
        ({"input": {"name": "image", "height": 10, "width": WIDTH, "levels": None}}, "says 64x10"),
        ({"input": {"height": HEIGHT, "width": WIDTH, "levels": {"black": 9, "white": 9}}}, "the smaller first"),
        ({"input": {"height": HEIGHT, "width": WIDTH, "levels": {"black": float("nan"), "white": 9}}}, "levels"),
    ],
)
def test_a_model_json_that_is_not_as_it_was_written_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(StudyError, match=words):
        from_folder(make_folder(tmp_path, **changes))


def test_a_folder_without_a_model_says_where_its_database_is(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"must hold model\.json .* name a folder"):
        from_folder(tmp_path)
    (tmp_path / "study.db").write_bytes(b"")
    with pytest.raises(StudyError, match=r"name its database, .*study\.db"):
        from_folder(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(StudyError, match="cannot be read"):
        from_folder(tmp_path)


# ---- files


def test_a_file_without_words_has_numbered_classes(tmp_path: Path) -> None:
    for answers in ("mask", "scores"):
        found = from_file(make_model(tmp_path / f"{answers}.onnx", classes=5, answers=answers))
        assert (found.named, found.classes) == (False, ("0", "1", "2", "3", "4"))
        assert found.colours == class_colours(found.classes)
        assert (found.levels, found.exif) == (None, "turn")


def test_a_file_tells_what_was_written_into_it(tmp_path: Path) -> None:
    about = {"classes": CLASSES, "colours": ["#000001", "#000002", "#000003"], "exif": "ignore"}
    found = from_file(make_model(tmp_path / "a.onnx", metadata={**about, "levels": {"black": 1, "white": 9}}))
    assert (found.classes, found.named) == (CLASSES, True)
    assert (found.colours, found.exif, found.levels) == (tuple(about["colours"]), "ignore", (1.0, 9.0))


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"classes": "road"}, "segsearch.classes"),
        ({"classes": ["a", "b"]}, "2 classes are named, and the file has 3"),
        ({"classes": CLASSES, "colours": ["red", "x", "y"]}, "segsearch.colours"),
        ({"exif": "sideways"}, "segsearch.exif"),
        ({"levels": [1, 2]}, "segsearch.levels"),
    ],
)
def test_metadata_that_nobody_of_ours_wrote_are_refused(tmp_path: Path, about: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=words):
        from_file(make_model(tmp_path / "a.onnx", metadata=about))


def test_an_artifact_is_held_to_its_name(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    name = artifacts.keep(make_model(artifacts.scratch(".onnx")))
    assert from_file(artifacts.path(name)).title == f"{name[:12]}....onnx"
    make_model(artifacts.folder / name, nan=True)
    with pytest.raises(DatabaseError, match="it was changed"):
        from_file(artifacts.folder / name)


def test_a_file_of_somebody_else_is_refused_before_it_answers_nonsense(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    from tests.models import save

    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])
    other = save(tmp_path / "a.onnx", [helper.make_node("Relu", ["input"], ["output"])], [image])
    with pytest.raises(StudyError, match=r"a file that segsearch made.*takes input .* answers output"):
        from_file(other)
    (tmp_path / "b.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match="not an ONNX file"):
        from_file(tmp_path / "b.onnx")
    with pytest.raises(UserError, match="no such file"):
        from_file(tmp_path / "c.onnx")


def test_where_no_count_of_classes_can_be_seen_a_byte_bounds_it(tmp_path: Path) -> None:
    import onnx

    path = make_model(tmp_path / "a.onnx")
    changed = onnx.load(str(path))
    node = next(one for one in changed.graph.node if one.op_type == "Conv")
    node.op_type, node.domain = "Unknown", "elsewhere"
    onnx.save(changed, str(path))
    assert graph_of(path).classes is None
    found = from_file(path)
    assert len(set(found.colours)) == len(found.classes) == MOST_CLASSES
    with pytest.raises(StudyError, match="cannot be run"):
        opened(found)
