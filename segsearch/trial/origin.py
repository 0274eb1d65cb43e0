"""Which weights made a trial's file: proven by the keys of the stages that are stored."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

from segsearch.evidence.types import Evidence
from segsearch.space.candidate import Candidate
from segsearch.store import Store, StudyRow
from segsearch.store.made import calibrated_of
from segsearch.trial.files import export_key, quantize_key

_WEIGHTS = ("train", "fine-tune")


def made_of(
    store: Store, row: StudyRow, candidate: Candidate, artifact: str, evidence: Evidence
) -> Iterator[tuple[str, str]]:
    """(weights, float file) of which a trial's file was made, proven by the keys of the stages that made it."""
    data = row.study.data
    levels = data.levels if isinstance(data.levels, tuple) else None
    exports = store.stages(row.name, name="export")
    plain = {artifact}
    if candidate.after_export:
        artifact = calibrated_of(store, row.name, artifact)
        keys = {one.key for one in store.stages(row.name, name="quantize") if one.outcome.get("model") == artifact}
        models = {str(one.outcome["model"]) for one in exports}
        key_of = partial(quantize_key, candidate, data_key=row.data_key, versions=evidence.versions)
        plain = {model for model in models if key_of(model) in keys}
    exported = {one.key: str(one.outcome["model"]) for one in exports if one.outcome["model"] in plain}
    trained = itertools.chain.from_iterable(store.stages(row.name, name=name) for name in _WEIGHTS)
    # Files of before they told so lie under keys that know nothing of it.
    known = {False, data.exif == "ignore"}
    for weights in dict.fromkeys(str(one.outcome["weights"]) for one in trained):
        for exif_ignored in known:
            key = export_key(
                candidate,
                weights,
                size=(data.height, data.width),
                output=row.study.output,
                levels=levels,
                exif_ignored=exif_ignored,
                versions=evidence.versions,
            )
            if key in exported:
                yield weights, exported[key]
