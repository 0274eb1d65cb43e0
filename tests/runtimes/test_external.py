"""Models whose weights lie beside them: what they weigh, copies without them, and weights that are not there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from segsearch.errors import StudyError
from segsearch.runtimes.external import load_graph, size_of, tensors_beside
from segsearch.runtimes.graphs import made_ready, with_mask
from tests.models import RUNTIME, beside, convolutions, save


def at(model: Path, **changes: str) -> Path:
    """A model whose first weight says otherwise of where it lies."""
    found = onnx.load(str(model), load_external_data=False)
    tensor = next(tensors_beside(found))
    for entry in tensor.external_data:
        entry.value = changes.get(entry.key, entry.value)
    model.write_bytes(found.SerializeToString())
    return model


def test_a_model_weighs_what_all_its_files_do(tmp_path: Path) -> None:
    """Three weights in one file count once: 137 bytes were told of 2.24 GB."""
    model = beside(tmp_path / "model.onnx")
    data = tmp_path / "model.data"
    assert len(list(tensors_beside(load_graph(model)))) == 3
    assert size_of(model) == model.stat().st_size + data.stat().st_size
    assert data.stat().st_size >= 4 * (3 * 16 * 9 + 2 * 16 * 16 * 9)
    whole = convolutions(tmp_path / "whole.onnx")
    assert size_of(whole) == whole.stat().st_size


def test_a_file_under_two_names_counts_once(tmp_path: Path) -> None:
    model = beside(tmp_path / "model.onnx")
    (tmp_path / "same.data").symlink_to("model.data")
    at(model, location="same.data")
    assert size_of(model) == model.stat().st_size + (tmp_path / "model.data").stat().st_size


def test_weights_in_a_branch_lie_beside_it_too(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((1, 3, 8, 8), np.float32), "w")
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    branches = [
        helper.make_graph([helper.make_node("Constant", [], ["y"], value=weight)], name, [], [value])
        for name in ("then", "else")
    ]
    nodes = [
        helper.make_node("If", ["on"], ["w"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Mul", ["image", "w"], ["scores"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    save(tmp_path / "model.onnx", nodes, [image], [numpy_helper.from_array(np.array(True), "on")])
    found = onnx.load(tmp_path / "model.onnx")
    for branch in (found.graph.node[0].attribute[0].g, found.graph.node[0].attribute[1].g):
        tensor = branch.node[0].attribute[0].t
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="b.data")
    onnx.save(found, tmp_path / "model.onnx")
    (tmp_path / "b.data").write_bytes(bytes(4 * 3 * 64))
    assert size_of(tmp_path / "model.onnx") == (tmp_path / "model.onnx").stat().st_size + 4 * 3 * 64
    (tmp_path / "b.data").unlink()
    with pytest.raises(StudyError, match=r"in b\.data, and there is no such file"):
        load_graph(tmp_path / "model.onnx")


# ---- copies


@pytest.mark.parametrize("linked", [False, True], ids=["a folder", "links to blobs"])
def test_a_shape_is_fixed_without_reading_the_weights(tmp_path: Path, linked: bool) -> None:
    """Hubs keep each file under its hash and link to it; the copy lies in another folder and still finds them."""
    folder = tmp_path / "model"
    folder.mkdir()
    model = beside(folder / "model.onnx", size="side")
    if linked:
        (tmp_path / "blobs").mkdir()
        for number, file in enumerate(sorted(folder.iterdir())):
            file.rename(tmp_path / "blobs" / f"{number}")
            file.symlink_to(os.path.relpath(tmp_path / "blobs" / f"{number}", folder))
    (tmp_path / "scratch").mkdir()
    before = {file: file.read_bytes() for file in folder.iterdir()}
    ready = made_ready(model, tmp_path / "scratch" / "model.onnx", shapes=["1x3x16x16"])
    assert ready.path == tmp_path / "scratch" / "model.onnx"
    assert ready.path.stat().st_size < 2000
    assert [file.name for file in (tmp_path / "scratch").iterdir()] == ["model.onnx"]
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    assert len(RUNTIME.timer(ready.path, threads=1, feed=ready.feed).times_ns(2)) == 2
    masked = with_mask(ready, tmp_path / "scratch" / "mask.onnx")
    assert masked.path.stat().st_size < 2000
    assert len(RUNTIME.timer(masked.path, threads=1, feed=masked.feed).times_ns(2)) == 2


def test_a_model_of_more_than_2_gb_has_its_shape_fixed(tmp_path: Path) -> None:
    """A sparse file stands for the weights: nobody reads them."""
    node = helper.make_node("Gather", ["w", "image"], ["scores"])
    image = helper.make_tensor_value_info("image", TensorProto.INT64, ["n"])
    model = save(tmp_path / "model.onnx", [node], [image])
    found = onnx.load(model)
    weight = found.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[768, 2**20])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="w.data")
    weight.external_data.add(key="length", value=str(3 * 2**30))
    onnx.save(found, model)
    with (tmp_path / "w.data").open("wb") as stream:
        stream.truncate(3 * 2**30)
    ready = made_ready(model, tmp_path / "copy.onnx", shapes=["32"])
    assert ready.path.stat().st_size < 1000
    assert ready.feed.weights == str(tmp_path.resolve())
    assert size_of(model) == model.stat().st_size + 3 * 2**30


def test_a_mask_of_a_fixed_model_leaves_the_weights_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    model = beside(tmp_path / "model.onnx")
    ready = made_ready(model, tmp_path / "scratch" / "model.onnx")
    assert (ready.path, ready.feed.weights) == (model, None)
    masked = with_mask(ready, tmp_path / "scratch" / "mask.onnx")
    assert masked.feed.weights == str(tmp_path.resolve())
    assert len(RUNTIME.timer(masked.path, threads=1, feed=masked.feed).times_ns(2)) == 2


# ---- what is refused


def test_weights_that_are_not_there_or_not_whole_are_said(tmp_path: Path) -> None:
    model = beside(tmp_path / "model.onnx")
    data = tmp_path / "model.data"
    whole = data.read_bytes()
    data.write_bytes(whole[:-1])
    with pytest.raises(
        StudyError, match=rf"model\.data: the weights of model\.onnx end after \d+ bytes, and .* has {len(whole) - 1}\."
    ):
        size_of(model)
    data.unlink()
    with pytest.raises(
        StudyError, match=r"model\.onnx: its weights lie beside it, in model\.data, and there is no such"
    ):
        size_of(model)


@pytest.mark.parametrize("location", ["", "/etc/passwd", "../model.data", "sub/../../model.data"])
def test_weights_outside_the_models_folder_are_not_opened(tmp_path: Path, location: str) -> None:
    model = at(beside(tmp_path / "model.onnx"), location=location)
    with pytest.raises(StudyError, match="must lie in the model's folder or below it, and 'w0' lies at"):
        load_graph(model)


def test_a_file_that_is_too_large_for_one_says_so(tmp_path: Path) -> None:
    """A sparse file of more than 2 GB: what an exporter wrote past the limit of protobuf."""
    with (tmp_path / "model.onnx").open("wb") as stream:
        stream.truncate(2**31 + 10)
    with pytest.raises(StudyError, match="no ONNX file holds more than 2 GB; export the model with its weights beside"):
        load_graph(tmp_path / "model.onnx")
