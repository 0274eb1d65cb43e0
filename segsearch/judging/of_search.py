"""Judgements of the search itself: its bounds, and what it gains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from segsearch.evidence.objectives import DEAR
from segsearch.judging.judgement import Judgement, dots
from segsearch.judging.status import seconds_worked
from segsearch.search.earlier import NOTHING, Earlier
from segsearch.search.outlook import AHEAD, outlook
from segsearch.search.points import front_rows, trained_of
from segsearch.settings.search import STOP_GAIN
from segsearch.store import TrialRow
from segsearch.study import Study

# A parameter is judged by so many models of the front and so many others.
_MEMBERS, _OTHERS, _SHARE, _SURE = 6, 12, 2 / 3, 0.01


def judge_bounds(
    trials: Sequence[TrialRow], study: Study, ranges: Mapping[str, tuple[float, float]]
) -> Judgement | None:
    """A number whose values on the front lie at an end of its range, and elsewhere do not. An end at 0 or 1 is none.

    What says so is Fisher's exact test, for all ends that are looked at.
    """
    front = front_rows(trials, study)
    members = {row.number for row in front}
    others = [row for row in trained_of(trials, study) if row.number not in members]
    looked: list[tuple[float, str, float, tuple[int, int, int, int]]] = []
    for name, (low, high) in sorted(ranges.items()):
        on, off = (_numbers(rows, name) for rows in (front, others))
        if len(on) < _MEMBERS or len(off) < _OTHERS or len({*on, *off}) < 4:
            continue
        for end in (low, high):
            if end in (0, 1):
                continue
            at, beside = (sum(abs(value - end) <= 0.02 * (high - low) for value in found) for found in (on, off))
            chance = _fisher(at, len(on), beside, len(off)) if at >= _SHARE * len(on) else 1.0
            looked.append((chance, name, end, (at, len(on), beside, len(off))))
    if not looked:
        return None
    sick = sorted(one for one in looked if one[0] * len(looked) < _SURE)
    if not sick:
        names = len({name for _, name, _, _ in looked})
        return Judgement("bounds", "well", f"no end of {names} parameters holds the front's best values")
    _, name, end, (at, on_front, beside, off_front) = sick[0]
    side = "upper" if end == ranges[name][1] else "lower"
    more = len({one[1] for one in sick}) - 1
    return Judgement(
        "bounds",
        "sick",
        f"{name} is at its {side} bound, {end:g}, in {at} of {on_front} models of the front and in {beside} of "
        f"{off_front} others" + (f"; {more} more parameters likewise" if more else ""),
        "Widen its range in the space, under another study name.",
        dots(
            [(float(row.params[name]), row.values[DEAR]) for row in (*others, *front) if _is_number(row, name)],
            mark=end,
            label=f"mIoU over {name}, and its bound",
        ),
    )


def _is_number(row: TrialRow, name: str) -> bool:
    return isinstance(row.params.get(name), (int, float))


def _numbers(rows: Sequence[TrialRow], name: str) -> list[float]:
    return [float(row.params[name]) for row in rows if _is_number(row, name)]


def _fisher(at: int, on: int, beside: int, off: int) -> float:
    """The chance that so many of those at a bound, or more, are on the front by accident."""
    total, bound = on + off, at + beside
    ways = math.comb(total, bound)
    most = min(on, bound)
    return sum(math.comb(on, count) * math.comb(off, bound - count) for count in range(at, most + 1)) / ways


def judge_gains(trials: Sequence[TrialRow], study: Study, earlier: Earlier = NOTHING) -> Judgement | None:
    """A search that has stopped gaining, and what an hour more would bring; or one that ended too early."""
    found = outlook(trials, study, earlier=earlier)
    if found is None:
        return None
    share = study.search.stop_gain if study.search.stop == "converged" else STOP_GAIN
    seconds = seconds_worked(trials) / found.trainings
    ahead = f"the next {AHEAD} trainings are expected to add at most {_percent(found.gain)} to the hypervolume"
    if seconds > 0:
        hourly = min(1.0, found.gain * 3600 / seconds / AHEAD)
        ahead += f", another hour {_percent(hourly)}"
    picture = dots(list(enumerate(found.reached)), joined=True, label="hypervolume over trainings")
    ended = found.trainings >= study.trials
    if found.gain >= share:
        more = "`segsearch resume` with more --trials goes on." if ended else ""
        return Judgement(
            "gains", "well", f"the front {'was still growing' if ended else 'grows'}: {ahead}", more, picture
        )
    if ended:
        return Judgement("gains", "well", f"all trials are trained, and little is left to gain: {ahead}", "", picture)
    return Judgement(
        "gains",
        "sick",
        f"the front has stopped growing: {ahead}",
        'End here, or let the search end itself (stop = "converged"); for more, widen the space or loosen the limits.',
        picture,
    )


def _percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.0995 else f"{share:.0%}"
