"""A small candidate."""

from __future__ import annotations

from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.candidate import Candidate

SMALL = Candidate(Architecture((EncoderPath(Stem(8), (Stage("conv", 16, 1, stride=2),)),), (), Head(16)))
