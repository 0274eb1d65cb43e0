"""Values, designs and times as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from segsearch.evidence.images import NoSpread
from segsearch.space.architecture import Architecture, ContextMap, EncoderPath, Feature, Join, Joined, Stage, Stem
from segsearch.space.candidate import Candidate
from segsearch.space.own import OwnNetwork

if TYPE_CHECKING:  # a progress line needs neither a front nor a database
    from segsearch.judging.fronts import Measured, Report

# How weights ship that are computed with as floats, by the bits that they are stored in.
STORED = {32: "fp32", 16: "w16", 4: "w4"}
# Trials, or layers, that a line names before it counts the rest.
MOST_NAMED = 4


def in_words(name: str, value: float) -> str:
    """One objective's value as a table shows it."""
    if name in ("size_bytes", "params", "macs", "peak_memory_bytes"):
        for bound, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= bound:
                return f"{value / bound:.3g} {suffix}{'B' if name.endswith('_bytes') else ''}"
        return f"{value:.0f}{' B' if name.endswith('_bytes') else ''}"
    return f"{value:.3f}" if name == "miou" else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: `45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def state_words(state: str) -> str:
    """A trial's state as a person reads it."""
    return "looked at" if state == "screened" else state


def in_numbers(report: Report, values: Mapping[str, float]) -> str:
    """The study's objectives in one line: `miou 0.612, latency_ms 4.2`."""
    return ", ".join(
        f"{goal.name} {in_words(goal.name, values[goal.name])}" for goal in report.objectives if goal.name in values
    )


def with_interval(row: Measured, name: str) -> str:
    """A value with half the width of its confidence interval: `7.83 ±0.06`."""
    if name not in row.values:
        return "-"
    shown = in_words(name, row.values[name])
    if name not in row.intervals:
        return shown
    low, high = row.intervals[name]
    half = (high - low) / 2
    return f"{shown} ±{half:{'.2g' if half < 99.5 else '.0f'}}"


def trial_names(trials: Sequence[int]) -> str:
    """`trial 4`, `trial 1, 4`, `trial 1, 4, 9 and 12 more`: intervals of mIoU can tie many."""
    shown = ", ".join(map(str, trials[:MOST_NAMED]))
    return f"trial {shown}" + (f" and {len(trials) - MOST_NAMED} more" if len(trials) > MOST_NAMED else "")


def unsure_lines(report: Report) -> list[str]:
    """Why members of the front have no interval around their mIoU, a line for each reason."""
    if all(goal.name != "miou" for goal in report.objectives):
        return []
    reasons: dict[str, list[int]] = {}
    for row in report.front:
        if isinstance(row.spread, NoSpread):
            reasons.setdefault(row.spread.reason, []).append(row.trial)
    return [
        f"miou{'' if len(trials) == len(report.front) else f' of {trial_names(trials)}'} has no interval: {reason}."
        for reason, trials in reasons.items()
    ]


def left_lines(candidate: Candidate, left: Sequence[Mapping[str, str]]) -> list[str]:
    """Which convolutions each step before the export left as they were, and why; a line for each step that did.

    `left` has the names and reasons of each step, as the fine-tune stage keeps them.
    """
    lines = []
    for step, told in zip(candidate.before_export, left, strict=False):
        reasons: dict[str, list[str]] = {}
        for layer, why in told.items():
            reasons.setdefault(why, []).append(layer)
        words = []
        for why, layers in reasons.items():
            more = f" and {len(layers) - MOST_NAMED} more" if len(layers) > MOST_NAMED else ""
            words.append(f"{', '.join(layers[:MOST_NAMED])}{more} ({why})")
        lines += [f"{step.words}, but for {'; '.join(words)}"] if words else []
    return lines


def precision(candidate: Candidate) -> str:
    """How a candidate's weights ship: fp32, int8, or as w16 and w4: stored so and computed with as floats."""
    return f"int{candidate.bits}" if candidate.int8_steps else STORED[candidate.bits]


def describe(candidate: Candidate) -> str:
    """A candidate in words, in the order data flows through it."""
    words = _architecture(candidate.architecture)
    if candidate.distill is not None and candidate.distill.weight > 0:
        words.append(candidate.distill.words)
    words += [step.words for step in candidate.before_export if not step.idle]
    words += [step.words for step in candidate.after_export] or [precision(candidate)]
    return "; ".join(words)


def _architecture(architecture: Architecture | OwnNetwork) -> list[str]:
    words = [] if architecture.input_scale == 1 else [f"input x{architecture.input_scale:.3g}"]
    classes_at = [] if architecture.answer_scale == 1 else [f"classes at x{architecture.answer_scale:.3g}"]
    if isinstance(architecture, OwnNetwork):
        return [*words, "own network", *classes_at]
    for number, path in enumerate(architecture.paths):
        words.append(("" if number == 0 else f"path {number}: ") + _chain(path))
        context = path.context
        if context.kind != "none":
            details = "-".join(map(str, context.bins or context.rates))
            block = "separable" if context.block == "separable" else ""
            words.append(" ".join(filter(None, (context.kind, details, _channels(context.channels), block))))
        words += [f"{_map(Feature(number, merge.after))} plus {_map(merge.feature)}" for merge in path.merges]
    words += [_join(join) for join in architecture.joins]
    head = [] if architecture.ends_with_scores else [str(architecture.head.channels)]
    head += ["pixel shuffle"] if architecture.head.upsample == "pixel_shuffle" else []
    words += [" ".join(["head", *head])] if head else []
    return [*words, *classes_at]


def _map(feature: Feature | Joined | ContextMap) -> str:
    if isinstance(feature, Joined):
        return f"join {feature.join + 1}"
    if isinstance(feature, ContextMap):
        return "context" + _of_path(feature.context)
    return f"stage {feature.stage}" + _of_path(feature.path)


def _of_path(number: int) -> str:
    """The first path goes without saying."""
    return f" of path {number}" if number else ""


def _channels(channels: int) -> str:
    """What scores classes has no channels of its own."""
    return f"({channels or 'classes'})"


def _join(join: Join) -> str:
    """`concat from stage 1 and join 1 (32) 2x conv transposed`: of two maps, refined twice, the running one doubled."""
    maps = " and ".join(map(_map, join.features))
    notes = [f"{join.depth}x {join.block}"] if join.depth else []
    notes += ["conv"] if join.depth is None and join.block == "conv" and join.kind in ("concat", "attention") else []
    notes += [join.upsample] if join.upsample != "bilinear" else []
    return " ".join([f"{join.kind} from {maps} {_channels(join.channels)}", *notes])


def _chain(path: EncoderPath) -> str:
    stem = [_stem(path.stem)] if path.stem is not None else []
    return ", ".join([*stem, *(_stage(stage) for stage in path.stages)])


def _stem(stem: Stem) -> str:
    notes = ["max pool"] if stem.pool else []
    notes += [stem.activation] if stem.activation != "relu" else []
    return " ".join([f"stem {stem.channels}", *notes])


def _stage(stage: Stage) -> str:
    """`inverted 2x24 /2 k5 e4`: two blocks of 24 channels, stride 2, kernel 5, expansion 4."""
    notes = [f"/{stage.stride}"] if stage.stride != 1 else []
    notes += [f"k{stage.kernel}"] if stage.kernel != 3 else []
    notes += [f"e{stage.expansion:.3g}"] if stage.expansion != 1 else []
    notes += [f"g{stage.groups}"] if stage.groups != 1 else []
    notes += ["rates " + "-".join(map(str, stage.atrous))] if set(stage.atrous) != {1} else []
    notes += [f"se{stage.squeeze:.3g}"] if stage.squeeze else []
    notes += [stage.activation] if stage.activation != "relu" else []
    notes += ["no norm"] if stage.norm == "none" else []
    return " ".join([f"{stage.block} {stage.depth}x{stage.channels}", *notes])
