"""The words of a space under their first names: databases keep the source of spaces that import them from here."""

from segsearch.space import architecture
from segsearch.space.architecture import Architecture, Auxiliary, Context, EncoderPath, Head, Join, Joined, Stage, Stem
from segsearch.space.candidate import Candidate, Draw, Named
from segsearch.space.keys import content_key, from_json, to_json
from segsearch.space.steps import AfterExport, BeforeExport, Distill, Prune, Quantize

Path = EncoderPath
DECODER = -1


def Feature(path: int, stage: int) -> architecture.Feature | Joined:  # noqa: N802 (it was a class)
    """A map by its path and stage, where path -1 was the decoder."""
    return Joined(stage) if path == DECODER else architecture.Feature(path, stage)


__all__ = [
    "DECODER",
    "AfterExport",
    "Architecture",
    "Auxiliary",
    "BeforeExport",
    "Candidate",
    "Context",
    "Distill",
    "Draw",
    "Feature",
    "Head",
    "Join",
    "Named",
    "Path",
    "Prune",
    "Quantize",
    "Stage",
    "Stem",
    "content_key",
    "from_json",
    "to_json",
]
