"""Files of any origin before they are run: what passes untouched, what is made fixed, and every refusal."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from segsearch.errors import StudyError
from segsearch.runtimes.graphs import Ready, made_ready, with_mask
from tests.models import RUNTIME, convolutions, one_node, save, scoring

DYNAMIC = (1, 3, "height", "width")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "fixed" / "model.onnx"


@pytest.fixture(autouse=True)
def place(target: Path) -> None:
    target.parent.mkdir()


def fixed(model: Path, shape: str | None, target: Path) -> Path:
    return made_ready(model, target, shapes=[] if shape is None else [shape]).path


def refuse(model: Path, shape: str | None, target: Path, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        fixed(model, shape, target)
    assert list(target.parent.iterdir()) == []


def input_of(model: Path) -> onnx.ValueInfoProto:
    return onnx.load(model).graph.input[0]


def sides(model: Path) -> list[int]:
    return [side.dim_value for side in input_of(model).type.tensor_type.shape.dim]


# ---- what passes


@pytest.mark.parametrize("shape", [None, "1x3x8x8", "image=1x3x8x8", "image:1x3x8x8", "1,3,8,8", " 1x3x8x8 "])
def test_a_fixed_shape_passes_through_untouched(tmp_path: Path, target: Path, shape: str | None) -> None:
    model = one_node(tmp_path / "model.onnx")
    before = model.read_bytes()
    assert fixed(model, shape, target) == model
    assert model.read_bytes() == before
    assert list(target.parent.iterdir()) == []


def test_a_number_alone_has_a_shape(tmp_path: Path, target: Path) -> None:
    model = one_node(tmp_path / "model.onnx", shape=())
    assert fixed(model, None, target) == model


def test_weights_that_are_listed_as_inputs_are_none(tmp_path: Path, target: Path) -> None:
    """Older exporters list every weight beside the image."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("weight", "image")]
    weight = numpy_helper.from_array(np.zeros((1, 3), np.float32), "weight")
    node = helper.make_node("Add", ["image", "weight"], ["scores"])
    model = save(tmp_path / "model.onnx", [node], values, [weight])
    assert fixed(model, None, target) == model


# ---- what is made fixed


@pytest.mark.parametrize("shape", ["1x3x8x8", "image=1x3x8x8"])
@pytest.mark.parametrize("dynamic", [DYNAMIC, ("batch", 3, 8, 8), (-1, 3, -1, -1), ("a", "b", "c", "d"), None], ids=str)
def test_a_dynamic_shape_is_fixed_in_a_copy(
    tmp_path: Path, target: Path, shape: str, dynamic: tuple[int | str, ...] | None
) -> None:
    model = one_node(tmp_path / "model.onnx", shape=dynamic)
    before = model.read_bytes()
    assert fixed(model, shape, target) == target
    assert sides(target) == [1, 3, 8, 8]
    assert model.read_bytes() == before
    assert RUNTIME.open(target, threads=1).shape == (1, 3, 8, 8)


def test_the_copy_answers_as_the_model_does(tmp_path: Path, target: Path) -> None:
    dynamic, same = convolutions(tmp_path / "model.onnx", size="side"), convolutions(tmp_path / "fixed.onnx", size=16)
    fixed(dynamic, "1x3x16x16", target)
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 16)).astype(np.float32)
    one, other = (RUNTIME.open(path, threads=1).run(image) for path in (same, target))
    assert np.array_equal(one, other)


def test_shapes_that_an_exporter_noted_along_the_way_are_forgotten(tmp_path: Path, target: Path) -> None:
    """They may hold the names, or the numbers, of another shape than the one that is asked for."""
    nodes = [helper.make_node("Relu", ["image"], ["a"]), helper.make_node("Relu", ["a"], ["scores"])]
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "h", 99]) for name in ("a", "scores")}
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = helper.make_graph(nodes, "graph", [image], [values["scores"]], value_info=[values["a"]])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx"
    )
    fixed(tmp_path / "model.onnx", "1x3x8x8", target)
    assert RUNTIME.open(target, threads=1).run(np.ones((1, 3, 8, 8), np.float32)).shape == (1, 3, 8, 8)


def test_an_output_that_is_no_tensor_stays_as_it_is(tmp_path: Path, target: Path) -> None:
    node = helper.make_node("SequenceConstruct", ["image"], ["scores"])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n"])
    output = helper.make_tensor_sequence_value_info("scores", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "graph", [image], [output])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "model.onnx"
    )
    fixed(tmp_path / "model.onnx", "4", target)
    assert onnx.load(target).graph.output[0] == output
    assert sides(target) == [4]


# ---- what is refused


@pytest.mark.parametrize(
    ("dynamic", "now", "example"),
    [
        (DYNAMIC, "1x3xheightxwidth", "1x3x360x480"),
        (("batch", 5, "height", 64), "batchx5xheightx64", "1x5x360x64"),
        ((-1, 3, 0, 8), "?x3x?x8", "1x3x360x8"),
        (("n", 16), "nx16", "1x16"),
        (None, "any", "1x3x360x480"),
    ],
)
def test_a_dynamic_shape_needs_one_and_is_shown_how(
    tmp_path: Path, target: Path, dynamic: tuple[int | str, ...] | None, now: str, example: str
) -> None:
    model = one_node(tmp_path / "model.onnx", shape=dynamic)
    with pytest.raises(StudyError) as caught:
        fixed(model, None, target)
    assert str(caught.value) == f"{model}: image has no fixed shape ({now}). Give one: --shape {example}."


@pytest.mark.parametrize(
    "shape",
    ["", "x", "1x3x", "1xx3", "1x3x8x8x", "-1x3x8x8", "1.5x3x8x8", "1*3*8*8", "=1x3x8x8", "image=", "image:big"],
)
def test_what_is_not_a_shape_of_this_input_is_refused(tmp_path: Path, target: Path, shape: str) -> None:
    model = one_node(tmp_path / "model.onnx", shape=DYNAMIC)
    refuse(model, shape, target, r"--shape must look like 1x3x360x480 or image:1x3x360x480, got '")


def test_another_inputs_shape_is_refused_with_the_names_that_there_are(tmp_path: Path, target: Path) -> None:
    model = one_node(tmp_path / "model.onnx", shape=DYNAMIC)
    refuse(model, "picture:1x3x8x8", target, "--shape must name an input, got 'picture:1x3x8x8'; this model has image")
    assert made_ready(model, target, shapes=["picture:1x3x9x9", "image:1x3x8x8"], elsewhere={"picture"}).path == target
    assert sides(target) == [1, 3, 8, 8]


def test_a_shape_is_given_once(tmp_path: Path, target: Path) -> None:
    model = one_node(tmp_path / "model.onnx", shape=DYNAMIC)
    with pytest.raises(StudyError, match="once for each input, got '1x3x8x8' and 'image:1x3x9x9'"):
        made_ready(model, target, shapes=["1x3x8x8", "image:1x3x9x9"])


def test_a_side_that_no_picture_has_is_refused(tmp_path: Path, target: Path) -> None:
    model = one_node(tmp_path / "model.onnx", shape=DYNAMIC)
    refuse(model, "1x3x0x8", target, "sizes of at least 1, got '1x3x0x8'")
    refuse(model, f"1x3x8x{10**20}", target, "must look like")
    refuse(model, "1x3x8x" + "9" * 10_000, target, "must look like")


@pytest.mark.parametrize("shape", ["3x8x8", "1x3x8x8x8", "1x4x8x8", "8"])
@pytest.mark.parametrize("known", [DYNAMIC, (1, 3, 9, 9)], ids=["dynamic", "fixed"])
def test_a_shape_that_does_not_fit_is_refused(
    tmp_path: Path, target: Path, shape: str, known: tuple[int | str, ...]
) -> None:
    model = one_node(tmp_path / "model.onnx", shape=known)
    refuse(model, shape, target, rf"--shape must fit the input image \(1x3x\w+\), got '{shape}'")


@pytest.mark.parametrize("content", [b"garbage", b"\x00" * 200, b"\x89PNG\r\n\x1a\n"])
def test_what_is_not_an_onnx_file_is_refused(tmp_path: Path, target: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    refuse(tmp_path / "model.onnx", None, target, r"model\.onnx: not an ONNX file; export")


@pytest.mark.parametrize("content", [b"", b"\x08\x08\x12\x00"], ids=["empty", "bare"])
def test_a_file_without_operations_is_refused(tmp_path: Path, target: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    refuse(tmp_path / "model.onnx", None, target, "its graph has no operations")


def test_what_is_not_there_or_not_a_file_is_refused(tmp_path: Path, target: Path) -> None:
    refuse(tmp_path / "absent.onnx", None, target, r"absent\.onnx: no such file")
    (tmp_path / "folder.onnx").mkdir()
    refuse(tmp_path / "folder.onnx", None, target, r"folder\.onnx: cannot be read: Is a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, target: Path) -> None:
    one_node(tmp_path / "model.onnx").chmod(0)
    refuse(tmp_path / "model.onnx", None, target, "cannot be read: Permission denied")


def test_a_model_without_an_input_is_refused(tmp_path: Path, target: Path) -> None:
    node = helper.make_node("Constant", [], ["scores"], value_float=1.0)
    model = save(tmp_path / "model.onnx", [node], [])
    for shape in (None, "1x3x8x8"):
        refuse(model, shape, target, "must have an input; this one has none")


def test_an_input_that_is_no_tensor_is_refused(tmp_path: Path, target: Path) -> None:
    node = helper.make_node("SequenceAt", ["images", "first"], ["scores"])
    images = helper.make_tensor_sequence_value_info("images", TensorProto.FLOAT, None)
    model = save(tmp_path / "model.onnx", [node], [images], [numpy_helper.from_array(np.array(0), "first")])
    refuse(model, None, target, "takes tensors, and its input images is none")


# ---- a mask of scores


@pytest.mark.parametrize("name", ["scores", "classes", "mask"])
def test_a_mask_is_the_class_of_the_highest_score(tmp_path: Path, target: Path, name: str) -> None:
    model = scoring(tmp_path / "model.onnx", node=name)
    before = model.read_bytes()
    masked = with_mask(Ready(model), target).path
    onnx.checker.check_model(onnx.load(masked), full_check=True)
    scores = np.random.default_rng(0).normal(size=(1, 5, 8, 8)).astype(np.float32)
    answer = ort.InferenceSession(str(masked), providers=["CPUExecutionProvider"]).run(None, {"image": scores})
    assert len(answer) == 1
    assert answer[0].dtype == np.uint8
    assert np.array_equal(answer[0], scores.argmax(axis=1))
    assert model.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rank": 3}, "scores is float of rank 3"),
        ({"kind": TensorProto.UINT8}, "scores is uint8 of rank 4. Leave --mask out"),
    ],
)
def test_what_is_no_scores_has_no_mask(tmp_path: Path, target: Path, changes: dict[str, int], words: str) -> None:
    with pytest.raises(StudyError, match=words):
        with_mask(Ready(scoring(tmp_path / "model.onnx", **changes)), target)
    assert list(target.parent.iterdir()) == []


def test_more_classes_than_a_mask_holds_are_refused(tmp_path: Path, target: Path) -> None:
    """Class 300 would be told as class 44."""
    found = onnx.load(scoring(tmp_path / "model.onnx"))
    for value in (*found.graph.input, *found.graph.output):
        value.type.tensor_type.shape.dim[1].dim_value = 300
    onnx.save(found, tmp_path / "model.onnx")
    with pytest.raises(StudyError, match="at most 256 classes; scores has 300"):
        with_mask(Ready(tmp_path / "model.onnx"), target)


def test_two_outputs_have_no_one_mask(tmp_path: Path, target: Path) -> None:
    found = onnx.load(scoring(tmp_path / "model.onnx"))
    found.graph.output.add().CopyFrom(found.graph.input[0])
    onnx.save(found, tmp_path / "model.onnx")
    with pytest.raises(StudyError, match="this model has 2: scores, image"):
        with_mask(Ready(tmp_path / "model.onnx"), target)


def test_a_file_that_onnx_does_not_know_has_no_mask_and_no_traceback(tmp_path: Path, target: Path) -> None:
    found = onnx.load(scoring(tmp_path / "model.onnx"))
    del found.opset_import[:]
    onnx.save(found, tmp_path / "model.onnx")
    with pytest.raises(StudyError, match=r"--mask cannot tell the shape of scores: \S"):
        with_mask(Ready(tmp_path / "model.onnx"), target)
