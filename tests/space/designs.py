"""A small candidate."""

from __future__ import annotations

from segsearch.space.candidate import Architecture, Candidate, EncoderPath, Head, Stage, Stem

SMALL = Candidate(Architecture((EncoderPath(Stem(8), (Stage("conv", 16, 1, stride=2),)),), (), Head(16)))
