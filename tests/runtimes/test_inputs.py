"""Models of several inputs: shapes and values by name, what must be given, and what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from segsearch.errors import StudyError
from segsearch.runtimes.graphs import Ready, made_ready
from segsearch.runtimes.inputs import Input
from tests.models import RUNTIME, one_node, resized, save

SIZED = ["size=1,3,5,7"]


def ready(model: Path, shapes: list[str] | None = None, values: list[str] | None = None) -> Ready:
    return made_ready(model, model.parent / "copy.onnx", shapes=shapes or [], values=values or [])


def refuse(model: Path, words: str, shapes: list[str] | None = None, values: list[str] | None = None) -> None:
    with pytest.raises(StudyError, match=words) as caught:
        ready(model, shapes, values)
    assert len(str(caught.value).splitlines()) == 1
    assert not (model.parent / "copy.onnx").exists()


def two(path: Path, first: tuple[object, ...] = (1, 3, "h", "w"), other: tuple[object, ...] = (1, 1, "h", "w")) -> Path:
    """Two pictures of open shapes that are added."""
    named = (("image", first), ("in:0", other))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in named]
    return save(path, [helper.make_node("Add", ["image", "in:0"], ["scores"])], values)


# ---- shapes


@pytest.mark.parametrize("mark", [":", "="])
def test_each_of_several_inputs_has_a_shape_of_its_own(tmp_path: Path, mark: str) -> None:
    found = ready(two(tmp_path / "model.onnx"), [f"image{mark}1x3x8x9", f"in:0{mark}1x1x8x9"])
    assert found.inputs == (Input("image", "float32", (1, 3, 8, 9)), Input("in:0", "float32", (1, 1, 8, 9)))
    assert found.path == tmp_path / "copy.onnx"
    assert len(RUNTIME.timer(found.path, threads=1, feed=found.feed).times_ns(2)) == 2


def test_every_open_shape_is_asked_for_at_once(tmp_path: Path) -> None:
    model = two(tmp_path / "model.onnx")
    asked = r"--shape image:1x3x360x480 --shape in:0:1x1x360x480\."
    refuse(model, r"2 inputs have no fixed shape: image \(1x3xhxw\), in:0 \(1x1xhxw\)\. Give each one: " + asked)
    refuse(model, r"in:0 has no fixed shape \(1x1xhxw\)\. Give one: --shape in:0:1x1x360x480", ["image:1x3x8x8"])


def test_a_shape_without_a_name_could_be_anybodys(tmp_path: Path) -> None:
    model = two(tmp_path / "model.onnx")
    refuse(model, r"has 2 inputs: image \(1x3xhxw\), in:0 \(1x1xhxw\)\. Say whose shape it is", ["1x3x8x8"])
    refuse(model, r"--shape must fit the input in:0 \(1x1xhxw\), got 'in:0:1x3x8x8'", ["image:1x3x8x8", "in:0:1x3x8x8"])


# ---- values


def test_an_input_of_a_few_numbers_beside_a_picture_must_be_given_them(tmp_path: Path) -> None:
    """Zeros or noise for a size, a factor or a switch would time another work."""
    model = resized(tmp_path / "model.onnx")
    words = r"size \(int64, 4 numbers\) settles what is computed.*--value size=NUMBER,NUMBER,NUMBER,NUMBER$"
    refuse(model, words)
    refuse(model, words, ["size:4"])
    found = ready(model, ["size:4"], SIZED)
    assert (found.path, found.feed.values) == (model, (("size", (1, 3, 5, 7)),))
    assert [one.words for one in found.inputs] == ["image: float32 1x3x8x8", "size: int64 4 = 1,3,5,7"]


def test_as_many_numbers_as_are_given_are_the_shape_of_an_open_list(tmp_path: Path) -> None:
    model = resized(tmp_path / "model.onnx", open_size=True)
    found = ready(model, None, ["size:1,3,5,7"])
    assert found.inputs[1] == Input("size", "int64", (4,), (1, 3, 5, 7))
    assert len(RUNTIME.timer(found.path, threads=1, feed=found.feed).times_ns(1)) == 1
    refuse_shapes = r"size has no fixed shape \(count\)\. Give one: --shape size:1"
    (tmp_path / "copy.onnx").unlink()
    refuse(model, refuse_shapes)


def test_one_number_fills_an_input(tmp_path: Path) -> None:
    model = one_node(tmp_path / "model.onnx", "Identity", (2, 5), dtype=TensorProto.FLOAT16)
    assert ready(model).inputs == (Input("image", "float16", (2, 5)),), "alone it is whatever a model takes"
    found = ready(model, None, ["image=0.5"])
    assert found.feed.values == (("image", (0.5,) * 10),)
    assert len(RUNTIME.timer(model, threads=1, feed=found.feed).times_ns(1)) == 1


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("INT64", "size=1,3,5", "size takes 4 numbers, or one for all, got 3 in 'size=1,3,5'"),
        ("INT64", "size=1,3,5,7.5", "takes whole numbers from -9223372036854775808 to"),
        ("UINT8", "size=1,3,5,256", "size is uint8 and takes whole numbers from 0 to 255, got 'size=1,3,5,256'"),
        ("BOOL", "size=2", "size is bool and takes whole numbers from 0 to 1"),
        ("FLOAT16", "size=70000", "size is float16, which does not hold the numbers of 'size=70000'"),
        ("FLOAT", "size=nan", "--value must look like size=1,5,64,96, got 'size=nan'"),
        ("FLOAT", "size=1,,2", "--value must look like size=1,5,64,96"),
        ("FLOAT", "size", "--value must look like size=1,5,64,96"),
        ("FLOAT", "=1", "--value must look like size=1,5,64,96"),
        ("FLOAT", "sise=1", "--value must name an input, got 'sise=1'; this model has image, size"),
        ("STRING", "size=1", "size is of object, and --value gives numbers"),
    ],
)
def test_values_that_do_not_fit_are_refused(tmp_path: Path, kind: str, value: str, words: str) -> None:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    size = helper.make_tensor_value_info("size", getattr(TensorProto, kind), [4])
    model = save(tmp_path / "model.onnx", [helper.make_node("Relu", ["image"], ["scores"])], [image, size])
    refuse(model, words, None, [value])


def test_values_are_given_once(tmp_path: Path) -> None:
    refuse(
        resized(tmp_path / "model.onnx"),
        "once for each input, got 'size=1,3,5,7' and 'size:2'",
        None,
        [*SIZED, "size:2"],
    )


def test_what_is_fed_is_told_in_words() -> None:
    assert Input("t", "int64", ()).words == "t: int64 one number"
    assert Input("scale", "float32", (1, 2), (0.5, 2.0)).words == "scale: float32 1x2 = 0.5,2"
    assert [Input("a", kind, (4,)).zeros for kind in ("int64", "bool", "uint8", "float16")] == [
        True,
        True,
        False,
        False,
    ]
    assert not Input("a", "int64", (1,), (3,)).zeros
