"""Weights that lie beside an ONNX file: an exporter puts them there where one file could not hold them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx

from segsearch.errors import StudyError

# More than this no message of protobuf holds.
MOST_BYTES = 2**31 - 1


def load_graph(model: Path) -> onnx.ModelProto:
    """The graph of a model of any origin, its external data left where they are.

    Raises `StudyError` where it is not an ONNX model, or where what belongs to it is not there.
    """
    try:
        found = onnx.load(str(model), load_external_data=False)
    except FileNotFoundError:
        raise StudyError(f"{model}: no such file.") from None
    except OSError as error:
        raise StudyError(f"{model}: cannot be read: {error.strerror}.") from None
    except Exception:  # protobuf's errors are of its own kind
        if model.stat().st_size > MOST_BYTES:
            raise StudyError(
                f"{model}: no ONNX file holds more than 2 GB; export the model with its weights beside it, as external "
                "data."
            ) from None
        raise StudyError(f"{model}: not an ONNX file; export the model to ONNX first.") from None
    if not found.graph.node:
        raise StudyError(f"{model}: not an ONNX model: its graph has no operations.")
    files_beside(found, model)
    return found


def size_of(model: Path) -> int:
    """Bytes of a model as it is shipped: the file, and each file of external data once. Raises as `load_graph` does."""
    files = {file.resolve() for file in files_beside(load_graph(model), model)}
    return model.stat().st_size + sum(file.stat().st_size for file in files)


def files_beside(found: onnx.ModelProto, model: Path) -> tuple[Path, ...]:
    """The files of a model's external data. Raises `StudyError` where one is missing, too short, or outside."""
    files: dict[str, Path] = {}
    for tensor in tensors_beside(found):
        about = {entry.key: entry.value for entry in tensor.external_data}
        location = about.get("location", "")
        if not location or os.path.isabs(location) or ".." in Path(location).parts:
            raise StudyError(
                f"{model}: external data must lie in the model's folder or below it, and {tensor.name!r} lies at "
                f"{location!r}. Export the model anew."
            )
        file = files.setdefault(location, model.parent / location)
        if not file.is_file():
            raise StudyError(
                f"{model}: its weights lie beside it, in {location}, and there is no such file. "
                "Put both into one folder, under the names that they were exported with."
            )
        end = _number(about.get("offset")) + _number(about.get("length"))
        if end > file.stat().st_size:
            raise StudyError(
                f"{file}: the weights of {model.name} end after {end} bytes, and this file has {file.stat().st_size}. "
                "Copy it anew: it is not whole, or of another export."
            )
    return tuple(files.values())


def point_at(found: onnx.ModelProto, files: Sequence[Path], folder: Path) -> str | None:
    """Name the external data of a graph by where they really lie, so that a copy of it may lie anywhere.

    `folder` is the model's. Returns the folder that the new names are in, None where there are no such data.
    """
    if not files:
        return None
    base = os.path.commonpath([file.resolve().parent for file in files])
    for tensor in tensors_beside(found):
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = os.path.relpath((folder / entry.value).resolve(), base)
    return base


def tensors_beside(found: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a model whose values lie in another file, in whatever branch or function."""
    for tensor in (*_of_graph(found.graph), *(one for made in found.functions for one in _of_nodes(made.node))):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield tensor


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from _of_graph(graph)


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
