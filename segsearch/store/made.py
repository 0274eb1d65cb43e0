"""What a file was made of, as the stages that made it tell."""

from __future__ import annotations

from segsearch.store.store import Store

# Stages that make an int8 file of another one, which their outcome names.
_OF_ANOTHER = ("quantize-train", "keep-in-float")


def calibrated_of(store: Store, study: str, artifact: str) -> str:
    """The calibrated file that a file began as, before layers went back to float and it was trained on; or itself."""
    made = {
        str(one.outcome["model"]): str(one.outcome["calibrated"])
        for name in _OF_ANOTHER
        for one in store.stages(study, name=name)
    }
    seen = {artifact}
    while (before := made.get(artifact)) is not None and before not in seen:  # what was not changed is made of itself
        seen.add(before)
        artifact = before
    return artifact
