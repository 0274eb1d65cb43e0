"""The processes that read somebody's network: one runs its code and packs it, another makes it again and tries it.

`python -m segsearch.trial.bring`; `read_apart` and `try_apart` start them, where `segsearch compress` writes a study.
Whatever that code imports or breaks stays there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segsearch.errors import StudyError, TrialFailed
from segsearch.space.own import Pixels
from segsearch.trial.bring_orders import Read, ReadOrder, Tried, TryOrder
from segsearch.trial.wire import answered_once, error_from_message

READER = (sys.executable, "-P", "-m", "segsearch.trial.bring")


def read_apart(order: ReadOrder) -> Read:
    """Read somebody's network in a process of its own. Raises `StudyError` as `read_network` does."""
    found = _apart({"read": asdict(order)}, Path(order.path).name)
    return Read(found["name"], tuple(found["notes"]), tuple(found["files"]))


def try_apart(order: TryOrder) -> Tried:
    """Make a packed network again and try it, in a process of its own. Raises `UserError`."""
    found = _apart({"try": asdict(order)}, Path(order.packed).name)
    mious = tuple((str(name), float(value)) for name, value in found.pop("mious"))
    left = tuple((str(layer), str(why)) for layer, why in found.pop("left"))
    return Tried(mious=mious, left=left, **{name: _frozen(value) for name, value in found.items()})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _apart(order: Mapping[str, Any], name: str, reader: Sequence[str] = READER) -> dict[str, Any]:
    """What a process answers to an order. Raises what it refuses with."""
    done = subprocess.run(reader, input=json.dumps(order), capture_output=True, encoding="utf-8", errors="replace")
    answer: dict[str, Any] = json.loads(done.stdout) if done.stdout.endswith("\n") else {}
    if "refused" in answer:
        error = error_from_message(answer["refused"])
        raise StudyError(str(error)) if isinstance(error, TrialFailed) else error
    if "found" not in answer:
        how = f"died of {signal.Signals(-done.returncode).name}" if done.returncode < 0 else "did not end well"
        last = " ".join(done.stderr.strip().splitlines()[-1:])[:200].rstrip(".")
        raise StudyError(f"{name}: the process that read it {how}{f': {last}' if last else ''}.")
    found: dict[str, Any] = answer["found"]
    return found


def main() -> int:
    """One order from standard input, one answer to standard output; all that is printed meanwhile goes elsewhere."""
    order = json.load(sys.stdin)
    sys.stdin = open(os.devnull)  # noqa: SIM115 (somebody's code may ask)
    sys.argv = ["segsearch"]
    return answered_once("found", lambda: _read(order["read"]) if "read" in order else _try(order["try"]))


def _read(raw: Mapping[str, Any]) -> dict[str, Any]:
    import safetensors.torch
    import torch

    from segsearch.networks.own import entry_of
    from segsearch.own.answers import noise
    from segsearch.own.reading import pack, read_network

    order = ReadOrder(**{**raw, "size": tuple(raw["size"])})
    if order.path.endswith(".onnx"):
        from segsearch.own.graph import read_graph

        target, entry = Path(order.target), order.entry
        header, notes = read_graph(Path(order.path), target, size=order.size, classes=order.classes, entry=entry)
        return {"name": header.name, "notes": notes, "files": []}
    torch.set_num_threads(1)  # what it answers is compared to the last bit
    found = read_network(
        Path(order.path),
        order.function,
        size=order.size,
        classes=order.classes,
        entry=order.entry,
        here=Path(order.here),
    )
    with torch.no_grad():
        answer = entry_of(found.module(noise(order.size)), found.header.entry)
    safetensors.torch.save_file({"answer": answer.contiguous()}, order.expected)
    pack(found.module, found.header, Path(order.target))
    return {"name": found.header.name, "notes": list(found.notes), "files": [str(path) for path in found.files]}


def _try(raw: Mapping[str, Any]) -> dict[str, Any]:
    from segsearch.trial.tried import tried, tried_graph

    pixels = raw["pixels"]
    if pixels is not None:
        pixels = Pixels(tuple(pixels["mean"]), tuple(pixels["std"]), pixels["top"], pixels["channels"])
    order = TryOrder(**{**raw, "files": tuple(raw["files"]), "pixels": pixels})
    return asdict(tried_graph(order) if order.packed.endswith(".onnx") else tried(order))


if __name__ == "__main__":
    sys.exit(main())
