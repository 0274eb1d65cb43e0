"""The process that reads pretrained weights: a study keeps them as an artifact, and a worker loads no torch for it.

`python -m segsearch.trial.start`; `keep_start` starts it, where a study is begun or checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from segsearch.errors import StudyError
from segsearch.pretrained.packages import file_of
from segsearch.trial.wire import answered_once, error_from_message
from segsearch.workshop import Artifacts, Progress, silent

READER = (sys.executable, "-P", "-m", "segsearch.trial.start")


def keep_start(
    pretrained: str, artifacts: Artifacts, *, progress: Progress = silent, reader: Sequence[str] = READER
) -> str:
    """Keep the weights that `train.pretrained` means, and return the artifact's name.

    Raises `StudyError` where they are not installed or cannot be read, `StorageFull` where there is no room.
    """
    path = file_of(pretrained)
    progress("pretrained", 0, 1)
    order = json.dumps([str(path), str(artifacts.folder)])
    return asked(reader, order, failed=f"{path}: the weights that train.pretrained names could not be read")


def asked(reader: Sequence[str], order: str, *, failed: str) -> str:
    """The artifact that a process keeps which is told that order.

    Raises what it refused with, and `StudyError` that begins as `failed` says where it answers nothing.
    """
    done = subprocess.run(reader, input=order, capture_output=True, text=True, encoding="utf-8")
    answer = json.loads(done.stdout) if done.stdout.endswith("\n") else {}
    if "refused" in answer:
        raise error_from_message(answer["refused"])
    if "kept" not in answer:
        said = " ".join(done.stderr.strip().splitlines()[-1:]) or f"it ended with code {done.returncode}"
        raise StudyError(f"{failed}: {said[:200]}")
    return str(answer["kept"])


def main() -> int:
    from segsearch.pretrained.parent import keep, parent_of

    path, folder = json.load(sys.stdin)
    return answered_once("kept", lambda: keep(parent_of(Path(path)), Artifacts(Path(folder))))


if __name__ == "__main__":
    sys.exit(main())
