"""What is searched: candidates and their parts, how they are drawn, keyed and loaded. A space imports from here."""

from segsearch.space.candidate import (
    DECODER,
    Architecture,
    Auxiliary,
    Candidate,
    Context,
    Distill,
    Draw,
    Feature,
    Head,
    Join,
    Path,
    Prune,
    Quantize,
    Stage,
    Stem,
)

__all__ = [
    "DECODER",
    "Architecture",
    "Auxiliary",
    "Candidate",
    "Context",
    "Distill",
    "Draw",
    "Feature",
    "Head",
    "Join",
    "Path",
    "Prune",
    "Quantize",
    "Stage",
    "Stem",
]
