"""Explanations of what int8 does to a study's files, as stages hold them."""

from __future__ import annotations

from collections.abc import Mapping

from segsearch.evidence.layers import Explained
from segsearch.space.keys import from_json
from segsearch.store.store import Store


def explained_files(store: Store, study: str) -> Mapping[str, float]:
    """The files that were explained, and when last, in seconds since 1970."""
    return {str(one.outcome["shipped"]): one.finished for one in store.stages(study, name="explain")}


def explanation_of(store: Store, study: str, artifact: str, *, machine: str | None = None) -> Explained | None:
    """The newest explanation of a file, on that machine where it is said; None where nobody asked for one."""
    found = [one.outcome for one in store.stages(study, name="explain") if one.outcome["shipped"] == artifact]
    found = [one for one in found if machine is None or one["machine"] == machine]
    return from_json(Explained, str(found[-1]["explained"])) if found else None
