"""A candidate with everything that is drawn, and a network of three paths."""

from __future__ import annotations

from segsearch.space.architecture import (
    Architecture,
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
from segsearch.space.candidate import Candidate
from segsearch.space.steps import Prune, Quantize

STAGES = (
    Stage("conv", 32, 1, 2),
    Stage("inverted_residual", 64, 2, 2, kernel=5, expansion=4.0, atrous=(1, 2)),
)


ONE = Architecture(
    (EncoderPath(Stem(16), STAGES, Context("pyramid_pooling", 48, bins=(1, 2))),),
    (Join("concat", Feature(0, 1), 32, 16),),
    Head(32, 1, "separable"),
    input_scale=0.5,
)


CANDIDATE = Candidate(ONE, None, (Prune(0.5),), (Quantize(),))


TWO = Architecture(
    (
        EncoderPath(Stem(16), (Stage("conv", 32, 1, 2),)),
        EncoderPath(Stem(8), (Stage("grouped", 24, 1, 2, groups=4),), scale=0.5),
        EncoderPath(None, (Stage("conv", 40, 1, 2, downsample="max_pool"),), source=Feature(0, 1)),
    ),
    (Join("add", Feature(1, 1), 24),),
    Head(32, 0),
    trunk=0,
)


# Paths that exchange maps both ways, joins of several maps, and scores that no head makes.
EXCHANGED = Architecture(
    (
        EncoderPath(
            Stem(16, 4, pool=True, activation="hardswish"),
            (Stage("conv", 32, 1, norm="none"),),
            merges=(Merge(1, Feature(1, 1)),),
        ),
        EncoderPath(
            None,
            (Stage("mbconv", 40, 2, 2, expansion=4.0, squeeze=0.25, activation="relu6"),),
            Context("aspp_scores", rates=(2, 4), block="separable"),
            source=Feature(0, 0),
            merges=(Merge(1, Feature(0, 1)),),
        ),
    ),
    (
        Join("concat", Feature(0, 0), 24, 8, others=(Feature(0, 1),), block="conv", depth=2, upsample="nearest"),
        Join("score", ContextMap(0), 0, others=(ContextMap(1), Joined(0)), upsample="transposed"),
    ),
    Head(32, 0),
    trunk=1,
)
