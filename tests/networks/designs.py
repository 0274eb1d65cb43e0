"""Small networks with the contexts, joins and exchanges of the field."""

from __future__ import annotations

from dataclasses import replace

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

STAGES = (Stage("conv", 16, 1, 2), Stage("residual", 24, 1, 2))
PLAIN = Architecture((EncoderPath(Stem(8), STAGES),), (), Head(16))

# Two paths that exchange maps half-way (DDRNet): a fine one, and a coarse one that begins with it.
DEEP = (
    EncoderPath(
        Stem(8, 4, depth=2),
        (Stage("residual", 16, 1), Stage("residual", 16, 1)),
        merges=(Merge(1, Feature(1, 1)), Merge(2, Feature(1, 2))),
    ),
    EncoderPath(
        None,
        (Stage("residual", 24, 1, 2), Stage("residual", 32, 1, 2)),
        Context("cascaded_pooling", 32, bins=(4, 2)),
        source=Feature(0, 0),
        merges=(Merge(1, Feature(0, 1)), Merge(2, Feature(0, 2))),
    ),
)

DECODERS: dict[str, Architecture] = {
    "FCN-8s": replace(
        PLAIN,
        joins=(Join("score", Feature(0, 1), 0, upsample="transposed"), Join("score", Feature(0, 0), 0)),
        head=Head(8, 0),
    ),
    "DeepLab v1": replace(
        PLAIN, paths=(EncoderPath(Stem(8, 4, pool=True), STAGES, Context("large_field", 32, rates=(4,))),)
    ),
    "DeepLab v2": replace(
        PLAIN,
        paths=(EncoderPath(Stem(8), STAGES, Context("aspp_scores", rates=(2, 4, 6))),),
        head=Head(8, 0, upsample="pixel_shuffle"),
    ),
    "scores of a context and of a skip": replace(
        PLAIN,
        paths=(EncoderPath(Stem(8), STAGES, Context("aspp_scores", rates=(2,))),),
        joins=(Join("score", Feature(0, 1), 0, others=(Feature(0, 0),)), Join("concat", Feature(0, 0), 16)),
    ),
    "BiSeNet": Architecture(
        (
            EncoderPath(Stem(8), (*STAGES, Stage("residual", 32, 1, 2)), Context("attention", 24)),
            EncoderPath(Stem(16, kernel=7), (Stage("conv", 16, 2, 2),)),
        ),
        (Join("attention", Feature(0, 2), 24, block="conv"), Join("fuse", Feature(1, 1), 32)),
        Head(16),
        auxiliary=(Auxiliary(ContextMap(0), 1.0, 16), Auxiliary(Joined(0), 1.0, 16)),
    ),
    "ICNet": Architecture(
        (
            EncoderPath(Stem(8), STAGES, scale=0.5),
            EncoderPath(
                None, (Stage("residual", 32, 1, 2),), Context("pyramid_pooling", 32, (1, 2)), Feature(0, 2), 0.5
            ),
            EncoderPath(Stem(8, 4, depth=2), (Stage("conv", 16, 1, 2),)),
        ),
        (Join("cascade", Feature(0, 2), 24), Join("cascade", Feature(2, 1), 24)),
        Head(16, 0),
        auxiliary=(Auxiliary(ContextMap(1), 0.4, 16), Auxiliary(Joined(0), 0.4, 16)),
        trunk=1,
    ),
    "DDRNet": Architecture(
        DEEP, (Join("add", Feature(0, 2), 32),), Head(16), auxiliary=(Auxiliary(Feature(0, 1), 0.4, 16),), trunk=1
    ),
    "HRNet": Architecture(
        (
            EncoderPath(
                Stem(8, 4, depth=2),
                (Stage("residual", 16, 1), Stage("residual", 16, 1)),
                merges=(Merge(1, Feature(1, 1)), Merge(2, Feature(1, 2)), Merge(2, Feature(2, 1))),
            ),
            EncoderPath(
                None,
                (Stage("residual", 24, 1, 2), Stage("residual", 24, 1)),
                source=Feature(0, 0),
                merges=(Merge(1, Feature(0, 1)), Merge(2, Feature(0, 2)), Merge(2, Feature(2, 1))),
            ),
            EncoderPath(
                None,
                (Stage("residual", 32, 1, 2),),
                source=Feature(1, 1),
                merges=(Merge(1, Feature(0, 2)), Merge(1, Feature(1, 2))),
            ),
        ),
        (Join("concat", Feature(0, 2), 32, others=(Feature(1, 2),), block="conv"),),
        Head(16, 0),
        trunk=2,
    ),
    "semantic FPN": replace(
        PLAIN,
        joins=(
            Join("add", Feature(0, 1), 16, upsample="nearest"),
            Join("add", Feature(0, 0), 16, upsample="nearest"),
            Join("add", Joined(1), 8, others=(Joined(0), ContextMap(0)), block="conv", depth=1),
        ),
        head=Head(8, 0),
    ),
    "RegSeg's decoder": replace(
        PLAIN,
        joins=(
            Join("add", Feature(0, 1), 16, block="conv", depth=1),
            Join("concat", Feature(0, 0), 8, reduce=4, block="conv"),
        ),
    ),
    "U-Net": replace(
        PLAIN,
        joins=tuple(
            Join("concat", Feature(0, stage), 16, block="conv", depth=2, upsample="transposed") for stage in (1, 0)
        ),
    ),
    "the context of a path that is not the trunk": Architecture(
        (
            EncoderPath(Stem(8), (Stage("conv", 16, 1, 2),)),
            EncoderPath(None, (Stage("conv", 24, 1, 2),), Context("global_pooling", 16), source=Feature(0, 1)),
        ),
        (Join("add", ContextMap(0), 16), Join("concat", Feature(0, 0), 16, others=(ContextMap(1),))),
        Head(16),
        auxiliary=(Auxiliary(ContextMap(1), 0.4, 8),),
    ),
    # The bottom of the decoder is a path of its own: level 3 plus the projected level 4, a block, pyramid pooling.
    "ESPNetv2's decoder": Architecture(
        (
            EncoderPath(Stem(8), STAGES),
            EncoderPath(None, (Stage("conv", 32, 1, 2),), source=Feature(0, 2)),
            EncoderPath(
                None,
                (Stage("separable", 24, 1),),
                Context("pyramid_pooling", 16, (1, 2)),
                source=Feature(0, 2),
                merges=(Merge(0, Feature(1, 1)),),
            ),
        ),
        (Join("add", Feature(0, 1), 16), Join("add", Feature(0, 0), 8)),
        Head(8, 0),
        auxiliary=(Auxiliary(ContextMap(2), 0.4, 8),),
        trunk=2,
    ),
}
