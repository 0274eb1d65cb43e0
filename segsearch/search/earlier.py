"""What earlier studies know of a space: designs of their fronts, and rows for the surrogate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segsearch.errors import SegsearchError
from segsearch.evidence.objectives import DEAR, MACHINE_BOUND
from segsearch.search.features import Array, Described
from segsearch.search.gain import front_of
from segsearch.search.machines import factor_of
from segsearch.search.points import meets_limits, nearest
from segsearch.settings.search import Scalar, SearchSettings
from segsearch.space.candidate import Candidate
from segsearch.space.draws import DrawCandidate
from segsearch.space.keys import as_stored
from segsearch.space.mutate import Params, Replay
from segsearch.store.rows import TrialRow
from segsearch.study import Study

MOST_DESIGNS = 6
# Rows of each earlier study that are kept: those nearest to its front.
MOST_ROWS = 120
# Where on a front its members are taken from, the worst is at 0: the middle first.
_SPREAD = (0.5, 1.0, 0.25, 0.75, 0.0, 0.375, 0.625, 0.875, 0.125)


@dataclass(frozen=True)
class Source:
    """One earlier study: of its `models` so many can be drawn here, and so many became first designs.

    `data`, `recipe` and `machine` say whether they are this study's own.
    """

    name: str
    models: int
    drawable: int
    designs: int = 0
    data: bool = False
    recipe: bool = False
    machine: bool = False

    @property
    def belief(self) -> float:
        """How far its errors are believed to go along with this study's."""
        return 0.98 if self.data and self.recipe else 0.95 if self.data else 0.9

    @property
    def words(self) -> str:
        """`other: 14 of 31 models can be drawn here, 4 are first designs; other data, the same recipe and machine`."""
        facts = {"data": self.data, "recipe": self.recipe, "machine": self.machine}
        same, other = ([name for name, is_same in facts.items() if is_same == wanted] for wanted in (True, False))
        told = [f"{how} {_listed(names)}" for how, names in (("other", other), ("the same", same)) if names]
        began = f"{self.designs} {'is a first design' if self.designs == 1 else 'are first designs'}"
        return f"{self.name}: {self.drawable} of {self.models} models can be drawn here, {began}; {', '.join(told)}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([*([", ".join(names[:-1])] if names[:-1] else []), *names[-1:]])


@dataclass(frozen=True)
class Known:
    """A model that an earlier study trained, as this one's space draws it. `source` is its place among the sources."""

    source: int
    candidate: Candidate
    key: str
    params: Mapping[str, Scalar]
    values: Mapping[str, float]


@dataclass(frozen=True)
class Earlier:
    """All that a study was told of earlier ones when it began: it needs their databases no more.

    `rows` hold each study's models, those nearest to its front first, in turns.
    """

    sources: tuple[Source, ...] = ()
    designs: tuple[Mapping[str, Scalar], ...] = ()
    rows: tuple[Known, ...] = ()

    @property
    def words(self) -> str:
        return "; ".join(source.words for source in self.sources)

    def trained_before_screening(self, search: SearchSettings) -> int:
        """A random start is for who knows nothing: with enough earlier rows the designs are a start."""
        usual = search.trained_before_screening
        enough = len(self.rows) >= search.startup_trials
        return min(usual, max(1, len(search.first) + len(self.designs))) if enough else usual


NOTHING = Earlier()


def drawable(draw: DrawCandidate, rows: Sequence[TrialRow]) -> list[Known]:
    """Those trained models that this space draws, too, by the parameters that it asks for here; of the first source."""
    found = []
    for row in rows:
        params = drawn_again(draw, row)
        if params is not None and math.isfinite(row.values.get(DEAR, math.nan)):
            found.append(Known(0, row.candidate, row.candidate.key, params, row.values))
    return found


def drawn_again(draw: DrawCandidate, row: TrialRow) -> Params | None:
    """The parameters by which a space draws a stored candidate: the very same one, or None."""
    replayed = Replay(row.params)
    try:
        candidate = as_stored(draw(replayed))
    except (SegsearchError, ArithmeticError, LookupError, ValueError):  # its choices lead nowhere in this space
        return None
    return replayed.params if candidate.key == row.candidate.key else None


def gathered(found: Sequence[tuple[Source, Sequence[Known]]], study: Study, taken: Sequence[str] = ()) -> Earlier:
    """Rows and first designs of earlier studies; `taken` are the keys of designs that the study begins with anyway."""
    kept = [_kept(rows, study) for _, rows in found]
    spread = [_spread(source, rows, study) for source, rows in found]
    designs, owners, keys = list[Params](), list[int](), set(taken)
    for place in range(MOST_DESIGNS):
        for index, members in enumerate(spread):
            if place < len(members) and members[place].key not in keys and len(designs) < MOST_DESIGNS:
                keys.add(members[place].key)
                designs.append(members[place].params)
                owners.append(index)
    sources = [replace(source, designs=owners.count(index)) for index, (source, _) in enumerate(found)]
    ranks = range(max(map(len, kept), default=0))
    rows = tuple(members[rank] for rank in ranks for members in kept if rank < len(members))
    return Earlier(tuple(sources), tuple(designs), rows)


def aligned(rows: Sequence[Known], sources: Sequence[Source], here: Sequence[Described]) -> list[Known]:
    """The rows with their costs as they would be here: moved by what the models that were looked at in both say.

    Another machine, or another size of the input, makes all models slower by about one factor.
    """
    known = {row.candidate.key: row.values for row in here}
    factors: list[dict[str, float]] = []
    for place, _ in enumerate(sources):
        pairs = [(row.values, known[row.key]) for row in rows if row.source == place and row.key in known]
        names = {name for there, _ in pairs for name in there} - {DEAR}  # the error moves with no machine
        factors.append({name: factor_of(pairs, name) for name in names})
    return [
        replace(row, values={name: value * factors[row.source].get(name, 1.0) for name, value in row.values.items()})
        for row in rows
    ]


def _kept(rows: Sequence[Known], study: Study) -> list[Known]:
    """Each candidate once, those nearest to the front first."""
    once = list({row.key: row for row in rows}.values())
    return [once[index] for index in nearest(_on_axes(once, study), MOST_ROWS)]


def _spread(source: Source, rows: Sequence[Known], study: Study) -> list[Known]:
    """Members of the front by their mIoU, in an order whose every beginning is spread over it.

    What surely breaks a limit here is none of them: by its size, or by its latency on the same machine.
    """
    unsure = () if source.machine else MACHINE_BOUND
    legal = []
    for row in {row.key: row for row in rows}.values():
        sure = {name: value for name, value in row.values.items() if name not in unsure}
        if meets_limits(replace(row, values=sure), study):
            legal.append(row)
    points = _on_axes(legal, study)
    front = {tuple(member) for member in front_of(points)}
    members = [row for row, point in zip(legal, points, strict=True) if tuple(point) in front]
    members.sort(key=lambda row: (row.values[DEAR], row.key))
    return [members[index] for index in dict.fromkeys(round(share * (len(members) - 1)) for share in _SPREAD)]


def _on_axes(rows: Sequence[Known], study: Study) -> Array:
    """(rows, 1 + costs): the error and the logarithms of those objectives that all of these rows have."""
    axes = [name for name in study.objectives if name != DEAR and all(row.values.get(name, 0.0) > 0 for row in rows)]
    found = [[1 - row.values[DEAR], *(math.log(row.values[name]) for name in axes)] for row in rows]
    return np.array(found, dtype=float).reshape(len(rows), 1 + len(axes))
