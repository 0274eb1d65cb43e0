"""What is searched: candidates and their parts, how they are drawn, keyed and loaded. A space imports from here."""

from segsearch.space.architecture import (
    Architecture,
    Auxiliary,
    Context,
    ContextMap,
    EncoderPath,
    Feature,
    Head,
    Join,
    Joined,
    Merge,
    Stage,
    Stem,
)
from segsearch.space.candidate import Candidate, Draw
from segsearch.space.draws import Facts
from segsearch.space.own import OwnNetwork, Pixels
from segsearch.space.steps import Distill, Factorize, Prune, Quantize, StoreWeights

__all__ = [
    "Architecture",
    "Auxiliary",
    "Candidate",
    "Context",
    "ContextMap",
    "Distill",
    "Draw",
    "EncoderPath",
    "Factorize",
    "Facts",
    "Feature",
    "Head",
    "Join",
    "Joined",
    "Merge",
    "OwnNetwork",
    "Pixels",
    "Prune",
    "Quantize",
    "Stage",
    "Stem",
    "StoreWeights",
]
