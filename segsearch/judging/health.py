"""The health of a search: every judgement that its rows suffice for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from segsearch.judging.judgement import Judgement
from segsearch.judging.of_rows import judge_int8, judge_limits, judge_machine
from segsearch.store import Store, StudyRow, TimingRow, TrialRow
from segsearch.store.ranges import ranges_of
from segsearch.study import Study

if TYPE_CHECKING:
    from segsearch.search.earlier import Earlier

# With fewer trained trials none of the judgements that reckon with arrays says anything: they need not be loaded.
FEWEST = 16


def judgements(
    study: Study,
    trials: Sequence[TrialRow],
    timings: Sequence[TimingRow] = (),
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    teacher_miou: float | None = None,
    earlier: Earlier | None = None,
) -> tuple[Judgement, ...]:
    """The judgements of a search, the sick ones first; none where the rows do not suffice."""
    found = [judge_limits(trials, study), judge_machine(timings, study), judge_int8(trials, study)]
    if sum(row.state == "trained" for row in trials) >= FEWEST:
        from segsearch.judging.of_models import judge_prediction, judge_teacher
        from segsearch.judging.of_search import judge_bounds, judge_gains
        from segsearch.search.earlier import NOTHING

        found[1:1] = [
            judge_bounds(trials, study, ranges or {}),
            judge_prediction(trials, study),
            judge_gains(trials, study, earlier or NOTHING),
        ]
        found[-1:-1] = [judge_teacher(trials, study, teacher_miou)]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.verdict != "sick"))


def health_of(
    store: Store, row: StudyRow, trials: Sequence[TrialRow], timings: Sequence[TimingRow]
) -> tuple[Judgement, ...]:
    """The judgements of a stored study, of which these rows were read."""
    with store.reading() as connection:
        ranges = ranges_of(connection, row.name)
    teachers = [stage.outcome.get("miou") for stage in store.stages(row.name, name="teacher")]
    known = [float(miou) for miou in teachers if miou is not None]
    earlier = None
    if row.earlier is not None and row.artifacts.has(row.earlier):
        from segsearch.judging.earlier import earlier_of

        earlier = earlier_of(row)
    miou = known[-1] if known else None
    return judgements(row.study, trials, timings, ranges=ranges, teacher_miou=miou, earlier=earlier)


def health_lines(found: Sequence[Judgement]) -> list[str]:
    """Lines of a status: each sick one with what to do, what is to be gained, and the names of those that are well."""
    lines = [f"Look     {one.name}: {one.words}. {one.todo}" for one in found if one.verdict == "sick"]
    well = [one for one in found if one.verdict == "well"]
    lines += [" ".join(["Ahead   ", f"{one.words}.", one.todo]).rstrip() for one in well if one.name == "gains"]
    return [*lines, *([f"Well     {', '.join(one.name for one in well)}"] if well else [])]
