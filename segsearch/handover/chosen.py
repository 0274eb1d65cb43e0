"""Which model is handed over: the pick or a trial, as it was trained to the end, or as the proxy that it is so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segsearch.errors import StudyError
from segsearch.evidence.images import NoSpread, Spread
from segsearch.evidence.objectives import intervals_of, values_of
from segsearch.evidence.types import Evidence
from segsearch.judging.confirmed import Confirmed, over_seeds
from segsearch.judging.picking import newest_pick
from segsearch.store import GrownRow, Store, StudyRow, TrialRow
from segsearch.store.grown import grown_evidence, grown_of


@dataclass(frozen=True)
class Chosen:
    """A stored file to hand over, checked byte by byte, with all that is stored of it.

    `final` is the row of its training to the end, None of a proxy, and `finals` among how many trainings it was chosen.
    `reason` is why it was picked, where it was, `confirmed` what the proxy scored over several seeds.
    """

    study: StudyRow
    trial: TrialRow
    evidence: Evidence
    path: Path
    final: GrownRow | None
    finals: int
    spread: Spread | NoSpread
    reason: str | None = None
    confirmed: Confirmed | None = None

    @property
    def values(self) -> Mapping[str, float]:
        """Every objective that is stored of this very file."""
        return values_of(self.evidence)

    @property
    def intervals(self) -> Mapping[str, tuple[float, float]]:
        """The 95 % confidence intervals of those values that have one."""
        over = {"miou": (self.spread.low, self.spread.high)} if isinstance(self.spread, Spread) else {}
        return over | intervals_of(self.evidence)


def chosen(store: Store, row: StudyRow, *, trial: int | None, machine: str) -> Chosen:
    """The newest pick's model, or a trial's: trained to the end where it was, else the proxy.

    `machine` is the key of the one whose timings count. Raises `StudyError` where nothing was picked or there is no
    such trained trial, `DatabaseError` where the file is gone or changed.
    """
    number, reason = _number(store, row, trial)
    trained = next((one for one in store.trials(row.name, ["trained"]) if one.number == number), None)
    if trained is None:
        raise StudyError(
            f"--trial must name a trained trial of {row.name}, and {number} is not one; `segsearch front` lists the "
            "best."
        )
    grown = [one for one in grown_of(store, row.name) if one.trial == number]
    among = rivals([one for one in grown if one.machine == machine] or grown)
    final = max(among, key=lambda one: (one.values.get("miou", 0.0), one.finished), default=None)
    if final is not None:
        found: Evidence | None = grown_evidence(store, row.name, final)
        spread = final.spread
    else:
        found, spread = store.evidence(row.name, number, machine=machine), trained.spread
    if found is None:
        raise StudyError(f"{store.where}: no evidence is stored of trial {number} of {row.name}; choose another.")
    again = [one.miou for one in store.confirmations(row.name) if one.trial == number]
    return Chosen(
        study=row,
        trial=trained,
        evidence=found,
        path=row.artifacts.verified(found.artifact),
        final=final,
        finals=len(among),
        spread=spread,
        reason=reason,
        confirmed=over_seeds(trained.values["miou"], again) if again else None,
    )


def rivals(rows: Sequence[GrownRow]) -> list[GrownRow]:
    """The trainings among which one is chosen: those with a validation mIoU; without any all, of which the newest."""
    return [one for one in rows if "miou" in one.values] or list(rows)


def _number(store: Store, row: StudyRow, trial: int | None) -> tuple[int, str | None]:
    """The trial that is meant, and the reason of its pick."""
    if trial is not None:
        picks = store.picks(row.name)
        return trial, next((one.pick.reason for one in reversed(picks) if one.pick.trial == trial), None)
    pick = newest_pick(store, row)
    return pick.trial, pick.reason
