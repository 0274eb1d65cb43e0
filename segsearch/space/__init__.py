"""What is searched: candidates and their parts, how they are drawn, keyed and loaded. A space imports from here."""

from segsearch.space.candidate import (
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
    Joined,
    Prune,
    Quantize,
    Stage,
    Stem,
)
from segsearch.space.draws import Facts

__all__ = [
    "Architecture",
    "Auxiliary",
    "Candidate",
    "Context",
    "Distill",
    "Draw",
    "EncoderPath",
    "Facts",
    "Feature",
    "Head",
    "Join",
    "Joined",
    "Prune",
    "Quantize",
    "Stage",
    "Stem",
]
