"""How hard the measurements of a study try."""

from __future__ import annotations

from segsearch.errors import StudyError
from segsearch.evidence.objectives import samples_wanted
from segsearch.latency.energy import find_counter
from segsearch.latency.measure import Effort
from segsearch.study import Study


def effort_of(study: Study) -> Effort:
    """How hard a study's measurements try. Raises `StudyError` for energy where there is no counter."""
    wanted = {*study.objectives, *(limit.objective for limit in study.bounds)}
    if "energy_mj" in wanted and find_counter() is None:
        raise StudyError(
            "energy_mj needs an energy counter that may be read (RAPL); this machine has none. Leave it out."
        )
    timing = study.timing
    return Effort(timing.warmup_runs, timing.interval, timing.max_seconds, samples_wanted(wanted), timing.state)
