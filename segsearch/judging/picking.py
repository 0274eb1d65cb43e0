"""A pick from a front, with the reason in words, or why there is none."""

from __future__ import annotations

import math

from segsearch.errors import StudyError
from segsearch.evidence.objectives import OBJECTIVES
from segsearch.judging.fronts import Report, Row, knee_of, point_of, told_apart
from segsearch.judging.pareto import Prefer, dominates
from segsearch.judging.pareto import costs as as_costs
from segsearch.judging.words import in_numbers, trial_names
from segsearch.store import Pick, Store, StudyRow


def pick_from(report: Report, *, prefer: Prefer) -> Pick:
    """The preferred model of the front, with the reason in words. Raises `StudyError` where the front is empty."""
    members = report.front
    if not members:
        raise StudyError(_nothing_to_pick(report))
    if prefer == "knee":
        row, why = knee_of(report), "the knee of the front, nearest to the best of every objective at once"
    else:
        goal = OBJECTIVES[prefer]
        turn = -1.0 if goal.direction == "maximize" else 1.0
        row = min(members, key=lambda member: (turn * member.values[prefer], len(member.tied)))
        why = f"the {'highest' if goal.direction == 'maximize' else 'lowest'} {goal.title} on the front"
        alike = [member.trial for member in members if member is not row and not told_apart(member, row, prefer)]
        why += f" (not told apart from {trial_names(alike)})" if alike else ""
    under = f" under {', '.join(map(str, report.limits))}" if report.limits else ""
    return Pick(row.trial, f"{why}{under}: {in_numbers(report, row.values)}{_within(row)}")


def pick_trial(report: Report, trial: int) -> Pick:
    """A trial chosen by hand. Raises `StudyError` where it is not a trained one."""
    chosen = next((row for row in report.rows if row.trial == trial), None)
    if chosen is None:
        known = ", ".join(str(row.trial) for row in report.front) or "none yet"
        timed = f" that was timed on machine {report.machine[:8]}" if report.untimed else ""
        raise StudyError(f"A pick must be a trained trial{timed}; trial {trial} is not one. On the front: {known}.")
    return Pick(trial, f"chosen by hand, {_standing(report, chosen)}: {in_numbers(report, chosen.values)}")


def newest_pick(store: Store, row: StudyRow) -> Pick:
    """The pick of a study that counts. Raises `StudyError` where nothing was picked."""
    picks = store.picks(row.name)
    if not picks:
        raise StudyError(
            f"{store.where}: nothing was picked from {row.name} yet. `segsearch pick` chooses a model, or name one "
            "with --trial."
        )
    return picks[-1].pick


def _standing(report: Report, chosen: Row) -> str:
    if chosen.on_front:
        return f"on the front{_within(chosen)}"
    if chosen.broken:
        unseen = [limit for limit in chosen.broken if limit.objective not in chosen.values]
        words = (f"{limit}{' (not measured)' if limit in unseen else ''}" for limit in chosen.broken)
        return f"though it breaks {', '.join(words)}"
    directions = [goal.direction for goal in report.objectives]
    mine, *others = as_costs([point_of(report.objectives, row.values) for row in (chosen, *report.front)], directions)
    better = next(row.trial for row, cost in zip(report.front, others, strict=True) if dominates(cost, mine))
    return f"though trial {better} is at least as good in everything"


def _within(row: Row) -> str:
    """What to say of a member of the front that others beat by the plain values."""
    return f", within the confidence intervals of {trial_names(row.tied)}" if row.tied else ""


def _nothing_to_pick(report: Report) -> str:
    if not report.rows and report.untimed:
        return (
            f"A pick needs a trained trial that was timed on machine {report.machine[:8]} for every objective, and "
            f"none of {report.untimed} was; `segsearch remeasure` there times them, --machine chooses another."
        )
    if not report.rows:
        return f"A pick needs a trained trial, and study {report.study!r} has none yet; `segsearch status` says why."
    limits = ", ".join(map(str, report.limits))
    unseen = [
        limit.objective for limit in report.limits if all(limit.objective not in row.values for row in report.rows)
    ]
    if unseen:
        return (
            f"A limit must be on what was measured, and {', '.join(unseen)} was not on machine {report.machine[:8]}: "
            f"no trained trial is seen to meet {limits}. Leave that limit out, or choose another with --machine."
        )
    nearest = min(report.rows, key=_distance)
    return (
        f"No trained trial meets {limits}; the nearest is trial {nearest.trial} with "
        f"{in_numbers(report, nearest.values)}. Loosen the limit, or search on with more --trials."
    )


def _distance(row: Row) -> float:
    """How far a model is beyond the limit that it breaks most."""
    excesses = [limit.excess(row.values[limit.objective]) for limit in row.broken if limit.objective in row.values]
    return max(excesses, default=math.inf)
