"""What the classes of a stored study are called."""

from __future__ import annotations

from pathlib import Path

from segsearch.errors import UserError
from segsearch.settings.texts import read_names
from segsearch.store import StudyRow


def class_names(row: StudyRow) -> tuple[str, ...]:
    """The names of the classes, where the run kept them or their list is still there; else none."""
    if row.study.data.kind == "synthetic":
        from segsearch.datasets.scene_canvas import CLASSES

        return CLASSES
    try:
        from segsearch.datasets.folders import classes_in

        data = row.study.data
        return classes_in(data, row.texts or {data.classes: read_names(Path(data.root or "") / data.classes)})
    except (UserError, OSError):
        return ()
