"""Judgements that count and compare what is stored, without arrays: limits, the machine that times, int8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, median, stdev

from segsearch.evidence.objectives import DEAR, Limit
from segsearch.judging.judgement import Judgement, dots
from segsearch.judging.words import in_words
from segsearch.space.candidate import Candidate
from segsearch.space.keys import content_key
from segsearch.store import TimingRow, TrialRow
from segsearch.study import Study

# A limit is judged by so many candidates, and one that few meet by more.
_FEW, _MANY, _LITTLE = 20, 100, 0.05
_TIMED, _WIDE = 10, 1.5
# Full width of the part of an interval that no measurement sees in its own samples (`latency.ratio`).
_UNSEEN = 0.0235
# int8 is judged by so many models that are there as floats, too, and may lose so much.
_PAIRS, _LOSS = 5, 0.02


def judge_limits(trials: Sequence[TrialRow], study: Study) -> Judgement | None:
    """A limit that leaves nothing, or next to nothing, of what was measured."""
    told: list[tuple[float, Judgement]] = []
    for limit in study.bounds:
        known = [row.values[limit.objective] for row in trials if limit.objective in row.values]
        met = sum(limit.excess(value) <= 0 for value in known)
        if len(known) < _FEW or (0 < met < _LITTLE * len(known) and len(known) < _MANY):
            continue
        told.append((met / len(known), _of_limit(limit, known, met)))
    return min(told, key=lambda pair: pair[0])[1] if told else None


def _of_limit(limit: Limit, known: Sequence[float], met: int) -> Judgement:
    values, scale = sorted(known), math.log if min([*known, limit.bound]) > 0 else float
    picture = dots(
        [(scale(value), rank / len(values)) for rank, value in enumerate(values)],
        joined=True,
        mark=scale(limit.bound),
        label=f"{limit.objective} of all candidates, and the limit",
    )
    if met >= _LITTLE * len(known):
        return Judgement(
            "limits", "well", f"{limit} leaves {met} of {len(known)} candidates that were measured", "", picture
        )
    nearest = min(known, key=limit.excess)
    count = f"none of {len(known)}" if met == 0 else f"{met} of {len(known)}"
    reached = f"; the nearest has {in_words(limit.objective, nearest)}" if met == 0 else ""
    return Judgement(
        "limits",
        "sick",
        f"{limit} leaves {count} candidates that were measured{reached}",
        "Loosen it or widen the space, under another study name, or begin with a design that meets it.",
        picture,
    )


def judge_machine(timings: Sequence[TimingRow], study: Study) -> Judgement | None:
    """A machine on which latencies stay less sure than the study asks for."""
    newest = sorted(timings, key=lambda timing: timing.taken)[-50:]
    spans = [(one.values["latency_ms"], one.intervals["latency_ms"]) for one in newest if "latency_ms" in one.intervals]
    widths = [(high - low) / value for value, (low, high) in spans if value > 0]
    if len(widths) < _TIMED:
        return None
    wide, asked = median(widths), math.hypot(study.timing.interval, _UNSEEN)
    words = f"latencies are known to ±{wide / 2:.1%} in the median of {len(widths)}, and ±{asked / 2:.1%} is asked for"
    if wide <= _WIDE * asked:
        return Judgement("machine", "well", words)
    return Judgement(
        "machine",
        "sick",
        f"the machine is noisy: {words}",
        "Stop other work, or reserve cores ([timing] cores); `segsearch remeasure` then times the models again.",
        dots(list(enumerate(widths)), label="width of latency's interval, measurement by measurement"),
    )


def judge_int8(trials: Sequence[TrialRow], study: Study) -> Judgement | None:
    """int8 that loses: models beside the same ones as floats."""
    trained = [row for row in trials if row.state == "trained" and DEAR in row.values]
    floats = {_twin(row.candidate): row.values[DEAR] for row in trained if not row.candidate.after_export}
    losses: dict[str, list[tuple[float, float]]] = {}
    for row in trained:
        if row.candidate.bits == 8 and _twin(row.candidate) in floats:
            pair = (floats[_twin(row.candidate)], row.values[DEAR])
            losses.setdefault(_kind(row.candidate), []).append(pair)
    plain = losses.get("int8", [])
    if len(plain) < _PAIRS:
        return None
    found, half = _mean_loss(plain)
    words = f"int8 loses {found:.3f} ±{half:.3f} mIoU in the mean of {len(plain)} models that are there as floats, too"
    picture = dots([(x, y) for x, y in plain], label="mIoU of int8 over mIoU of the same model as float")
    if found - half > _LOSS:
        others = {kind: _mean_loss(pairs)[0] for kind, pairs in losses.items() if kind != "int8" and len(pairs) > 1}
        told = ", ".join(f"{kind} loses {loss:.3f}" for kind, loss in others.items())
        todo = f"Of the same models, {told}." if told else 'Let the space draw bits = "mixed" or "trained", too.'
        return Judgement("int8", "sick", words, todo, picture)
    return Judgement("int8", "well", words, "", picture) if found + half < _LOSS else None


def _twin(candidate: Candidate) -> str:
    """The same model before anything follows the export."""
    return content_key(replace(candidate, after_export=()))


def _kind(candidate: Candidate) -> str:
    if candidate.tail:
        return "int8 that learns on"
    return "mixed" if candidate.float_convolutions else "int8"


def _mean_loss(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """How much mIoU is lost in the mean, and half of its 95 % interval (Student's t, nearly)."""
    losses = [float_miou - int8_miou for float_miou, int8_miou in pairs]
    count = len(losses)
    return mean(losses), 1.96 * (1 + 2.1 / count) * (stdev(losses) if count > 1 else 0.0) / math.sqrt(count)
