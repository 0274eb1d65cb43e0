"""A profile in a picture."""

from __future__ import annotations

from typing import Any

from segsearch.figures import profile_figure, profile_page
from segsearch.runtimes import Operation


def test_the_profile_is_coloured_by_type_the_dearest_first() -> None:
    operations = [Operation("a", "Conv", 2.0), Operation("b", "Relu", 0.5), Operation("c", "Conv", 1.0)]
    chart: Any = profile_figure(operations, dark=True)
    assert [(trace.name, list(trace.x)) for trace in chart.data] == [("Conv, 3 ms", [0, 2]), ("Relu, 0.5 ms", [1])]
    assert "3 operations, 3.5 ms" in profile_page("a model", operations)
