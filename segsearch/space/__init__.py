"""What is searched: candidates and their parts, how they are drawn, keyed and loaded. A space imports from here."""

from segsearch.space.candidate import (
    DECODER,
    Architecture,
    Auxiliary,
    Candidate,
    Context,
    Distill,
    Draw,
    EncoderPath,
    Feature,
    Head,
    Join,
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
    "EncoderPath",
    "Feature",
    "Head",
    "Join",
    "Prune",
    "Quantize",
    "Stage",
    "Stem",
]
