"""The ranges that numbers of a space are drawn from, as the sampler's memory keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection, column, inspect, select, table

# Optuna's own tables, of which only these columns are read.
_STUDIES = table("studies", column("study_id"), column("study_name"))
_TRIALS = table("trials", column("trial_id"), column("study_id"), column("number"))
_PARAMS = table("trial_params", column("trial_id"), column("param_name"), column("distribution_json"))
# The first trials are drawn at random: they have met whatever range there is.
_FIRST_TRIALS = 200


def ranges_of(connection: Connection, study: str) -> Mapping[str, tuple[float, float]]:
    """Lowest and highest of each parameter that is a number; where its range depends on others, the widest."""
    if not inspect(connection).has_table("trial_params"):  # nothing was asked for yet
        return {}
    joined = _PARAMS.join(_TRIALS, _TRIALS.c.trial_id == _PARAMS.c.trial_id)
    joined = joined.join(_STUDIES, _STUDIES.c.study_id == _TRIALS.c.study_id)
    query = select(_PARAMS.c.param_name, _PARAMS.c.distribution_json).select_from(joined).distinct()
    found: dict[str, tuple[float, float]] = {}
    for name, text in connection.execute(query.where(_STUDIES.c.study_name == study, _TRIALS.c.number < _FIRST_TRIALS)):
        about = json.loads(text).get("attributes", {})
        if isinstance(about.get("low"), (int, float)) and isinstance(about.get("high"), (int, float)):
            low, high = found.get(name, (about["low"], about["high"]))
            found[name] = (min(low, about["low"]), max(high, about["high"]))
    return found
